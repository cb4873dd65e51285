package races

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The answers of the model that are no success: AWS's exceptions.
const (
	missing   = "ResourceNotFoundException"
	exists    = "ResourceAlreadyExistsException"
	invalid   = "InvalidRequestException"
	version   = "VersionConflictException"
	versions  = "VersionsLimitExceededException"
	held      = "DeleteConflictException"
	wrongly   = "CertificateStateException"
	ok        = "ok"
	exclusive = "EXCLUSIVE_THING"
)

// A registry is a registry as one would keep it on paper. It has no locks and
// no transactions: one call comes after the other.
type registry struct {
	Things   map[string]thing
	Groups   map[string]string // parents
	Billing  map[string]bool
	Policies map[string]docs
	Certs    map[string]string // status
	Holds    map[pair]string   // thing and certificate: the kind of the attachment
	Members  map[pair]bool     // group and thing
	Bound    map[pair]bool     // policy and target, which is a certificate or a group
}

type thing struct {
	By      string // its one attribute
	Billing string
	Version int
}

// docs are the versions of a policy; the first of them stays the default.
type docs struct {
	IDs  string // such as "1 2 4"
	Next int
}

type pair struct{ Left, Right string }

func blank() *registry {
	return &registry{map[string]thing{}, map[string]string{}, map[string]bool{}, map[string]docs{},
		map[string]string{}, map[pair]string{}, map[pair]bool{}, map[pair]bool{}}
}

func (r *registry) clone() *registry {
	return &registry{maps.Clone(r.Things), maps.Clone(r.Groups), maps.Clone(r.Billing), maps.Clone(r.Policies),
		maps.Clone(r.Certs), maps.Clone(r.Holds), maps.Clone(r.Members), maps.Clone(r.Bound)}
}

// String is the same for the same content: fmt sorts the keys of maps.
func (r *registry) String() string { return fmt.Sprintf("%+v", *r) }

// A call is one request. What X and Y name depends on what it does.
type call struct {
	Do   string
	X, Y string
	N    int    // an expected version, or the id of a policy's version
	By   string // what only this call writes
}

func (c call) String() string { return fmt.Sprintf("%s(%s %s %d %s)", c.Do, c.X, c.Y, c.N, c.By) }

// step does a call and gives what it answers.
func (r *registry) step(c call) string {
	at := pair{c.X, c.Y}
	switch c.Do {
	case "CreateThing", "UpdateThing", "DeleteThing", "DescribeThing":
		return r.onThing(c)
	case "AttachThingPrincipal", "DetachThingPrincipal", "ListThingPrincipals":
		return r.onHolds(c, at)
	case "CreatePolicy", "CreatePolicyVersion", "DeletePolicyVersion", "ListPolicyVersions", "DeletePolicy":
		return r.onPolicy(c)
	case "AttachPolicy", "DetachPolicy", "ListAttachedPolicies":
		return r.onBound(c, at)
	case "UpdateCertificate", "DeleteCertificate", "DescribeCertificate":
		return r.onCertificate(c)
	case "CreateThingGroup", "DeleteThingGroup":
		return r.onGroup(c)
	case "AddThingToThingGroup", "RemoveThingFromThingGroup", "ListThingsInThingGroup":
		return r.onMembers(c, at)
	case "CreateBillingGroup", "DeleteBillingGroup", "AddThingToBillingGroup", "RemoveThingFromBillingGroup":
		return r.onBilling(c)
	case "ListThings":
		return fmt.Sprint(r.by(c.By))
	case "everything":
		return r.String()
	}
	panic("no such call: " + c.Do)
}

func (r *registry) onThing(c call) string {
	th, there := r.Things[c.X]
	switch {
	case c.Do == "CreateThing" && !there:
		r.Things[c.X] = thing{By: c.By, Version: 1}
	case c.Do == "CreateThing" && (th.By != c.By || th.Billing != ""):
		return exists
	case c.Do == "CreateThing", c.Do == "DeleteThing" && !there:
	case !there:
		return missing
	case c.Do == "DescribeThing":
		return fmt.Sprintf("%+v", th)
	case c.N != 0 && c.N != th.Version:
		return version
	case c.Do == "UpdateThing":
		th.By = c.By
		th.Version++
		r.Things[c.X] = th
	case len(rights(r.Holds, c.X)) > 0:
		return invalid
	default:
		delete(r.Things, c.X)
		maps.DeleteFunc(r.Members, func(p pair, _ bool) bool { return p.Right == c.X })
	}
	return ok
}

// by gives the things with an attribute of this value.
func (r *registry) by(value string) []string {
	out := []string{}
	for name, th := range r.Things {
		if th.By == value {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func (r *registry) onHolds(c call, at pair) string {
	if c.Do == "AttachThingPrincipal" && r.Certs[c.Y] == "" {
		return missing
	}
	if _, there := r.Things[c.X]; !there {
		return missing
	}
	switch c.Do {
	case "ListThingPrincipals":
		return fmt.Sprint(rights(r.Holds, c.X))
	case "DetachThingPrincipal":
		delete(r.Holds, at)
		return ok
	}
	if kind, there := r.Holds[at]; there {
		if kind == c.By {
			return ok
		}
		return invalid
	}
	for p, kind := range r.Holds {
		if p.Right == c.Y && (kind == exclusive || c.By == exclusive) {
			return invalid
		}
	}
	r.Holds[at] = c.By
	return ok
}

func (r *registry) onPolicy(c call) string {
	p, there := r.Policies[c.X]
	ids := strings.Fields(p.IDs)
	switch {
	case c.Do == "CreatePolicy" && there:
		return exists
	case c.Do == "CreatePolicy":
		r.Policies[c.X] = docs{"1", 2}
	case !there:
		return missing
	case c.Do == "ListPolicyVersions":
		return fmt.Sprint(ids)
	case c.Do == "CreatePolicyVersion":
		if len(ids) == 5 {
			return versions
		}
		r.Policies[c.X] = docs{fmt.Sprintf("%s %d", p.IDs, p.Next), p.Next + 1}
		return fmt.Sprint(p.Next)
	case c.Do == "DeletePolicyVersion":
		return r.dropVersion(c, p, ids)
	case len(rights(r.Bound, c.X)) > 0 || len(ids) > 1:
		return held
	default:
		delete(r.Policies, c.X)
	}
	return ok
}

func (r *registry) dropVersion(c call, p docs, ids []string) string {
	i := slices.Index(ids, fmt.Sprint(c.N))
	if i < 0 {
		return missing
	}
	if i == 0 {
		return invalid
	}
	p.IDs = strings.Join(slices.Delete(ids, i, i+1), " ")
	r.Policies[c.X] = p
	return ok
}

func (r *registry) onBound(c call, at pair) string {
	_, policy := r.Policies[c.X]
	_, group := r.Groups[c.Y]
	switch target := group || r.Certs[c.Y] != ""; {
	case c.Do == "DetachPolicy":
		delete(r.Bound, at)
	case !target:
		return missing
	case c.Do == "ListAttachedPolicies":
		return fmt.Sprint(lefts(r.Bound, c.Y))
	case !policy:
		return missing
	default:
		r.Bound[at] = true
	}
	return ok
}

func (r *registry) onCertificate(c call) string {
	status, there := r.Certs[c.X]
	switch {
	case !there:
		return missing
	case c.Do == "DescribeCertificate":
		return status
	case c.Do == "UpdateCertificate":
		if status == "REVOKED" && c.By != status {
			return wrongly
		}
		r.Certs[c.X] = c.By
	case status == "ACTIVE":
		return wrongly
	case len(lefts(r.Holds, c.X)) > 0 || len(lefts(r.Bound, c.X)) > 0 && c.By != "force":
		return held
	default:
		delete(r.Certs, c.X)
		maps.DeleteFunc(r.Bound, func(p pair, _ bool) bool { return p.Right == c.X })
	}
	return ok
}

func (r *registry) onGroup(c call) string {
	parent, there := r.Groups[c.X]
	_, above := r.Groups[c.Y]
	switch {
	case c.Do == "CreateThingGroup" && there && parent != c.Y:
		return exists
	case c.Do == "CreateThingGroup" && !there && c.Y != "" && !above:
		return invalid // AWS's CreateThingGroup has no other exception for it
	case c.Do == "CreateThingGroup":
		r.Groups[c.X] = c.Y
	case slices.Contains(slices.Collect(maps.Values(r.Groups)), c.X) && there:
		return invalid
	default:
		delete(r.Groups, c.X)
		maps.DeleteFunc(r.Members, func(p pair, _ bool) bool { return p.Left == c.X })
		maps.DeleteFunc(r.Bound, func(p pair, _ bool) bool { return p.Right == c.X })
	}
	return ok
}

func (r *registry) onMembers(c call, at pair) string {
	_, group := r.Groups[c.X]
	if c.Do == "ListThingsInThingGroup" && group {
		return fmt.Sprint(rights(r.Members, c.X))
	}
	if _, there := r.Things[c.Y]; !there || !group {
		return missing
	}
	if c.Do == "RemoveThingFromThingGroup" {
		delete(r.Members, at)
		return ok
	}
	for _, other := range lefts(r.Members, c.Y) {
		if other != c.X && r.root(other) == r.root(c.X) {
			return invalid
		}
	}
	r.Members[at] = true
	return ok
}

func (r *registry) root(group string) string {
	for r.Groups[group] != "" {
		group = r.Groups[group]
	}
	return group
}

func (r *registry) onBilling(c call) string {
	switch c.Do {
	case "CreateBillingGroup":
		r.Billing[c.X] = true
		return ok
	case "DeleteBillingGroup":
		delete(r.Billing, c.X)
		for name, th := range r.Things {
			if th.Billing == c.X {
				r.Things[name] = thing{th.By, "", th.Version + 1}
			}
		}
		return ok
	}
	th, there := r.Things[c.Y]
	switch {
	case !r.Billing[c.X] || !there:
		return missing
	case c.Do == "AddThingToBillingGroup" && th.Billing == c.X:
	case c.Do == "AddThingToBillingGroup" && th.Billing != "":
		return invalid
	case c.Do == "AddThingToBillingGroup":
		r.Things[c.Y] = thing{th.By, c.X, th.Version + 1}
	case th.Billing == c.X:
		r.Things[c.Y] = thing{th.By, "", th.Version + 1}
	}
	return ok
}

func rights[V any](m map[pair]V, left string) []string {
	out := []string{}
	for p := range m {
		if p.Left == left {
			out = append(out, p.Right)
		}
	}
	slices.Sort(out)
	return out
}

func lefts[V any](m map[pair]V, right string) []string {
	out := []string{}
	for p := range m {
		if p.Right == right {
			out = append(out, p.Left)
		}
	}
	slices.Sort(out)
	return out
}
