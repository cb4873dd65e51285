package policy

import "github.com/slipway-iot/slipway/fault"

// A Vote is what one policy of a set says of a request, whatever the others
// say. It may allow one resource in one statement and deny it in another.
type Vote struct {
	Policy         string
	Allows, Denies bool
}

// Votes gives the vote of each policy, in the order of the set. Decide follows
// from them: any denial denies, else any consent allows.
func (b *Bound) Votes(action, resource string) []Vote {
	votes := make([]Vote, len(b.set))
	for i := range b.set {
		votes[i].Policy = b.set[i].Name
	}
	r, at := b.request(resource), moment(actionID(action))
	for i := range b.statements {
		s := &b.statements[i]
		if s.unmet[at] != met || !s.names(action) || !s.covers(r) {
			continue
		}
		v := &votes[s.policy]
		v.Allows, v.Denies = v.Allows || !s.deny, v.Denies || s.deny
	}
	return votes
}

// Ready gives the record's default version, compiled.
func (r *Record) Ready() (Named, error) {
	v := r.Version(r.Default)
	if v == nil {
		return Named{}, fault.New(fault.Internal, "Policy %s has no default version.", r.Name)
	}
	doc, err := parse(v.Document, maxRaw) // it was within the limit that held
	if err != nil {
		return Named{}, err
	}
	return Named{Name: r.Name, Version: v.ID, Compiled: doc.Compile()}, nil
}
