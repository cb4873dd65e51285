package policy

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
)

var nameForm = regexp.MustCompile(`^[\w+=,.@-]{1,128}$`)

// Create makes a policy whose version 1 is the document and the default.
func Create(ctx context.Context, s Store, t arn.Tenant, name, document string, tags map[string]string, now time.Time) (*Record, error) {
	if !nameForm.MatchString(name) {
		return nil, fault.New(fault.InvalidRequest, "Policy name %q: expected 1 to 128 of letters, digits and _+=,.@-", arn.Clip(name, 140))
	}
	if err := checkDocument(ctx, s, t, document); err != nil {
		return nil, err
	}
	tags, err := ref.Retag(ctx, s, t, nil, tags, nil)
	if err != nil {
		return nil, err
	}
	_, err = s.Policy(ctx, t, name)
	if err == nil {
		e := fault.New(fault.Exists, "Policy cannot be created - name already exists (name=%s)", name)
		e.ResourceID, e.ResourceARN = name, t.Policy(name)
		return nil, e
	}
	if !fault.Is(err, fault.Missing) {
		return nil, err
	}
	r := &Record{
		Tenant: t, Name: name, Default: "1", Next: 2,
		Versions:   []VersionRecord{{ID: "1", Document: document, Created: now}},
		Generation: ref.ID(t.String(), "policy", name, now),
		Created:    now, Modified: now, Tags: tags,
	}
	return r, put(ctx, s, r, now)
}

// Ensure makes sure that the policy exists with this document: it is created
// if absent and reused if its default document is the same text. Another
// document is fault.Conflict.
func Ensure(ctx context.Context, s Store, t arn.Tenant, name, document string, now time.Time) error {
	r, err := s.Policy(ctx, t, name)
	if fault.Is(err, fault.Missing) {
		_, err = Create(ctx, s, t, name, document, nil, now)
		return err
	}
	if err != nil {
		return err
	}
	if v := r.Version(r.Default); v == nil || v.Document != document {
		return fault.New(fault.Conflict, "Policy %s exists already with another document.", name)
	}
	return nil
}

// CreateVersion adds a document and gives the record and the new version.
func CreateVersion(ctx context.Context, s Store, t arn.Tenant, name, document string, setDefault bool, now time.Time) (*Record, *VersionRecord, error) {
	r, err := load(ctx, s, t, name)
	if err != nil {
		return nil, nil, err
	}
	if err := checkDocument(ctx, s, t, document); err != nil {
		return nil, nil, err
	}
	most, err := s.Limit(ctx, t, ref.PolicyVersions)
	if err != nil {
		return nil, nil, err
	}
	if len(r.Versions) >= most {
		return nil, nil, fault.New(fault.VersionsLimit, "The policy %s already has the maximum number of versions (%d)", name, most)
	}
	id := strconv.Itoa(r.Next)
	r.Next++
	r.Versions = append(r.Versions, VersionRecord{ID: id, Document: document, Created: now})
	if setDefault {
		r.Default = id
	}
	return r, r.Version(id), put(ctx, s, r, now)
}

func checkDocument(ctx context.Context, s Store, t arn.Tenant, document string) error {
	most, err := s.Limit(ctx, t, ref.PolicyCharacters)
	if err != nil {
		return err
	}
	_, err = parse(document, most)
	return err
}

// SetDefault makes a version the one that counts.
func SetDefault(ctx context.Context, s Store, t arn.Tenant, name, version string, now time.Time) error {
	r, err := loadVersion(ctx, s, t, name, version)
	if err != nil || r.Default == version {
		return err
	}
	r.Default = version
	return put(ctx, s, r, now)
}

// DeleteVersion removes a version that is not the default.
func DeleteVersion(ctx context.Context, s Store, t arn.Tenant, name, version string, now time.Time) error {
	r, err := loadVersion(ctx, s, t, name, version)
	if err != nil {
		return err
	}
	if r.Default == version {
		return fault.New(fault.InvalidRequest, "Cannot delete the default version of a policy")
	}
	r.Versions = slices.DeleteFunc(r.Versions, func(v VersionRecord) bool { return v.ID == version })
	return put(ctx, s, r, now)
}

// Delete removes a policy that is attached nowhere and has its default version
// only.
func Delete(ctx context.Context, s Store, t arn.Tenant, name string, now time.Time) error {
	r, err := load(ctx, s, t, name)
	if err != nil {
		return err
	}
	targets, _, err := s.Rights(ctx, t, ref.PolicyTarget, name, ref.Page{Limit: 1})
	if err != nil {
		return err
	}
	if len(targets) > 0 {
		return fault.New(fault.DeleteConflict, "The policy cannot be deleted as the policy is attached to one or more principals (name=%s)", name)
	}
	if len(r.Versions) > 1 {
		return fault.New(fault.DeleteConflict, "Cannot delete the policy because it has one or more policy versions attached to it (name=%s)", name)
	}
	if err := s.DeletePolicy(ctx, t, name); err != nil {
		return err
	}
	s.Emit(event.Event{Kind: event.PolicyChanged, Tenant: t, ID: name, Detail: "deleted", At: now})
	return nil
}

// Tag writes the tags of set and removes the keys of remove.
func Tag(ctx context.Context, s Store, t arn.Tenant, name string, set map[string]string, remove []string) error {
	r, err := load(ctx, s, t, name)
	if err != nil {
		return err
	}
	if r.Tags, err = ref.Retag(ctx, s, t, r.Tags, set, remove); err != nil {
		return err
	}
	return s.PutPolicy(ctx, r)
}

func load(ctx context.Context, s Store, t arn.Tenant, name string) (*Record, error) {
	r, err := s.Policy(ctx, t, name)
	if fault.Is(err, fault.Missing) {
		return nil, fault.Wrap(fault.Missing, err, "Policy %s does not exist.", name)
	}
	return r, err
}

func loadVersion(ctx context.Context, s Store, t arn.Tenant, name, version string) (*Record, error) {
	r, err := load(ctx, s, t, name)
	if err != nil {
		return nil, err
	}
	if r.Version(version) == nil {
		return nil, fault.New(fault.Missing, "Policy %s has no version %s.", name, arn.Clip(version, 20))
	}
	return r, nil
}

// put stores r and says which version counts now.
func put(ctx context.Context, s Store, r *Record, now time.Time) error {
	r.Modified = now
	if err := s.PutPolicy(ctx, r); err != nil {
		return err
	}
	s.Emit(event.Event{Kind: event.PolicyChanged, Tenant: r.Tenant, ID: r.Name, Detail: r.Default, At: now})
	return nil
}
