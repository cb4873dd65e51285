package templates

import (
	"context"
	"regexp"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
)

// payloadDate is the one payloadVersion of a hook.
const payloadDate = "2020-04-01"

var nameForm = regexp.MustCompile(`^[0-9A-Za-z_-]{1,36}$`)

// Create makes a template whose version 1 is the body and the default. r gives
// tenant, name, description, type, enabled, role, hook, tags and the moment;
// Create fills the rest.
func Create(ctx context.Context, s Store, r *Record, body string) error {
	if err := checkRecord(ctx, s, r); err != nil {
		return err
	}
	if err := checkBody(ctx, s, r.Tenant, body, r.Type); err != nil {
		return err
	}
	if err := checkSettings(r.Tags); err != nil {
		return err
	}
	_, err := s.TemplateRecord(ctx, r.Tenant, r.Name)
	if err == nil {
		e := fault.New(fault.Exists, "Provisioning template %s already exists.", r.Name)
		e.ResourceID, e.ResourceARN = r.Name, r.Tenant.Template(r.Name)
		return e
	}
	if !fault.Is(err, fault.Missing) {
		return err
	}
	most, err := s.Limit(ctx, r.Tenant, ref.Templates)
	if err != nil {
		return err
	}
	all, _, err := s.ListTemplates(ctx, r.Tenant, ref.Page{Limit: most})
	if err != nil {
		return err
	}
	if len(all) >= most {
		return fault.New(fault.LimitExceeded, "There are %d provisioning templates; the limit is %d.", len(all), most)
	}
	r.Default, r.Next = 1, 2
	r.Versions = []VersionRecord{{ID: 1, Body: body, Created: r.Created}}
	return put(ctx, s, r, r.Created)
}

func checkRecord(ctx context.Context, s Store, r *Record) error {
	if !nameForm.MatchString(r.Name) {
		return fault.New(fault.InvalidRequest, "Template name %q: expected 1 to 36 of letters, digits, underscore and hyphen.", arn.Clip(r.Name, 60))
	}
	kind, err := KindOf(r.Type)
	if err != nil {
		return err
	}
	r.Type = kind.String()
	if r.Tags, err = ref.Retag(ctx, s, r.Tenant, nil, r.Tags, nil); err != nil {
		return err
	}
	return checkHook(r)
}

// checkBody says what is wrong with a body for the type of template.
func checkBody(ctx context.Context, s Store, t arn.Tenant, body, typ string) error {
	kind, err := KindOf(typ)
	if err != nil {
		return err
	}
	if _, err = Parse([]byte(body), kind); err != nil {
		return err
	}
	most, err := s.Limit(ctx, t, ref.TemplateCharacters)
	if err != nil {
		return err
	}
	if n := utf8.RuneCountInString(body); n > most {
		return invalid("The template is %d characters long; at most %d are allowed.", n, most)
	}
	return nil
}

// checkHook fills the payload version of a hook and says what is wrong with it.
func checkHook(r *Record) error {
	if r.Hook == nil {
		return nil
	}
	if r.Type == JustInTime {
		return fault.New(fault.InvalidRequest, "preProvisioningHook: a template of type %s has no hook.", JustInTime)
	}
	if r.Hook.PayloadVersion == "" {
		r.Hook.PayloadVersion = payloadDate
	}
	if r.Hook.PayloadVersion != payloadDate {
		return fault.New(fault.InvalidRequest, "preProvisioningHook.payloadVersion %q: expected %s.", arn.Clip(r.Hook.PayloadVersion, 40), payloadDate)
	}
	if _, err := arn.Parse(r.Hook.TargetARN); err != nil {
		return fault.Wrap(fault.InvalidRequest, err, "preProvisioningHook.targetArn: expected the ARN of a function, such as arn:aws:lambda:%s:%s:function:NAME.", r.Tenant.Region, r.Tenant.Account)
	}
	return nil
}

// CreateVersion adds a body and gives the record and the new version.
func CreateVersion(ctx context.Context, s Store, t arn.Tenant, name, body string, setDefault bool, now time.Time) (*Record, *VersionRecord, error) {
	r, err := load(ctx, s, t, name)
	if err != nil {
		return nil, nil, err
	}
	if err := checkBody(ctx, s, t, body, r.Type); err != nil {
		return nil, nil, err
	}
	most, err := s.Limit(ctx, t, ref.TemplateVersions)
	if err != nil {
		return nil, nil, err
	}
	if len(r.Versions) >= most {
		return nil, nil, fault.New(fault.VersionsLimit, "The provisioning template %s already has the maximum number of versions (%d)", name, most)
	}
	id := r.Next
	r.Next++
	r.Versions = append(r.Versions, VersionRecord{ID: id, Body: body, Created: now})
	if setDefault {
		r.Default = id
	}
	return r, r.Version(id), put(ctx, s, r, now)
}

// A Change is what Update does to a template; zero members change nothing.
type Change struct {
	Description *string
	Enabled     *bool
	Default     int // id of the version to make the default
	RoleARN     string
	Hook        *HookRecord
	RemoveHook  bool // excludes Hook
}

// Update changes what is not the body.
func Update(ctx context.Context, s Store, t arn.Tenant, name string, ch Change, now time.Time) error {
	r, err := load(ctx, s, t, name)
	if err != nil {
		return err
	}
	if ch.RemoveHook && ch.Hook != nil {
		return fault.New(fault.InvalidRequest, "removePreProvisioningHook and preProvisioningHook exclude each other.")
	}
	if ch.Default != 0 && r.Version(ch.Default) == nil {
		return noVersion(name, ch.Default)
	}
	apply(r, ch)
	if err := checkHook(r); err != nil {
		return err
	}
	return put(ctx, s, r, now)
}

func apply(r *Record, ch Change) {
	if ch.Description != nil {
		r.Description = *ch.Description
	}
	if ch.Enabled != nil {
		r.Enabled = *ch.Enabled
	}
	if ch.Default != 0 {
		r.Default = ch.Default
	}
	if ch.RoleARN != "" {
		r.RoleARN = ch.RoleARN
	}
	if ch.Hook != nil || ch.RemoveHook {
		r.Hook = ch.Hook
	}
}

// DeleteVersion removes a version that is not the default.
func DeleteVersion(ctx context.Context, s Store, t arn.Tenant, name string, id int, now time.Time) error {
	r, err := load(ctx, s, t, name)
	if err != nil {
		return err
	}
	if r.Version(id) == nil {
		return noVersion(name, id)
	}
	if r.Default == id {
		return fault.New(fault.DeleteConflict, "Cannot delete version %d of provisioning template %s: it is the default version.", id, name)
	}
	r.Versions = slices.DeleteFunc(r.Versions, func(v VersionRecord) bool { return v.ID == id })
	return put(ctx, s, r, now)
}

// Delete removes a template with all its versions.
func Delete(ctx context.Context, s Store, t arn.Tenant, name string, now time.Time) error {
	if _, err := load(ctx, s, t, name); err != nil {
		return err
	}
	if err := s.DeleteTemplate(ctx, t, name); err != nil {
		return err
	}
	emit(s, t, name, now)
	return nil
}

func load(ctx context.Context, s Store, t arn.Tenant, name string) (*Record, error) {
	r, err := s.TemplateRecord(ctx, t, name)
	if fault.Is(err, fault.Missing) {
		return nil, fault.Wrap(fault.Missing, err, "Provisioning template %s does not exist.", name)
	}
	return r, err
}

func noVersion(name string, id int) error {
	return fault.New(fault.Missing, "Provisioning template %s has no version %d.", name, id)
}

func put(ctx context.Context, s Store, r *Record, now time.Time) error {
	r.Modified = now
	if err := s.PutTemplate(ctx, r); err != nil {
		return err
	}
	emit(s, r.Tenant, r.Name, now)
	return nil
}

func emit(s Store, t arn.Tenant, name string, now time.Time) {
	s.Emit(event.Event{Kind: event.TemplateChanged, Tenant: t, ID: name, At: now})
}
