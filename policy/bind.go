package policy

import (
	"crypto/x509"
	"net/netip"
	"slices"
	"strings"

	"github.com/slipway-iot/slipway/arn"
)

// Named is a compiled document with the name and version it is stored under.
type Named struct {
	Name, Version string
	*Compiled
}

// A Context is what is known of one connection. Bind reads it and keeps nothing
// of it but the tenant.
type Context struct {
	Tenant        arn.Tenant
	ClientID      string
	HasClientID   bool // HTTPS has no client id, and then no thing either
	SourceIP      netip.Addr
	CertificateID string            // empty: no certificate
	Certificate   *x509.Certificate // nil: no certificate variable has a value

	// Thing is the connection's thing (policies.md, section 2.1), nil if there
	// is none. Whether a thing counts that the certificate is not attached to is
	// the caller's choice.
	Thing *Thing

	// ConnectAttributes holds PersistentConnect and LastWill as they apply. It
	// and LastWillTopic (a topic; the key's value is its ARN) count for
	// iot:Connect alone.
	ConnectAttributes []string
	LastWillTopic     string

	// Topic is that of the direct message that a request brings; empty: it
	// brings none.
	Topic string
}

// A Thing is what policies may ask of a connection's thing.
type Thing struct {
	Name, Type string
	Attributes map[string]string
	Attached   bool
}

// Bound is a set of policies with the values of one connection. It is immutable
// and may be used by several goroutines.
type Bound struct {
	hasThing   bool
	home       string // what the ARNs of the tenant begin with
	set        []Named
	statements []boundStatement

	// Statements by known action whose conditions hold, denials first: those of
	// action a are order[first[a]:first[a+1]].
	order []uint32
	first [len(knownActions) + 1]uint32

	// missing names variables without value, by known action; nil if all have
	// one.
	missing map[int][]string
}

type boundStatement struct {
	*compiledStatement
	policy    uint32 // in set
	index     uint32 // in the document
	unmet     [2]int16
	resources []boundARN
}

// Which of the two entries of boundStatement.unmet counts. An entry is the index
// of the first condition that does not hold, or met.
const (
	otherwise = 0
	atConnect = 1
	met       = -1
)

// Bind replaces the variables of the policies by what is known of one
// connection, and judges their conditions: neither changes until the connection
// is bound anew.
func Bind(set []Named, c Context) *Bound {
	home := [arnParts - 1]string{"arn", "aws", "iot", c.Tenant.Region, c.Tenant.Account}
	b := &Bound{hasThing: c.HasClientID && c.Thing != nil, home: strings.Join(home[:], ":") + ":", set: set}
	v := &values{c: &c}
	total := 0
	for _, p := range set {
		total += len(p.statements)
	}
	b.statements = make([]boundStatement, 0, total)
	for i, p := range set {
		for j := range p.statements {
			s := bindStatement(&p.statements[j], v, &home)
			s.policy, s.index = uint32(i), uint32(j)
			b.statements = append(b.statements, s)
		}
	}
	b.arrange()
	b.findMissing(v)
	return b
}

func bindStatement(c *compiledStatement, v *values, home *[arnParts - 1]string) boundStatement {
	s := boundStatement{compiledStatement: c, resources: make([]boundARN, len(c.resources))}
	for i := range c.resources {
		s.resources[i] = c.resources[i].bind(v, home)
	}
	s.unmet = [2]int16{c.firstUnmet(v, false), c.firstUnmet(v, true)}
	return s
}

func (c *compiledStatement) firstUnmet(v *values, connect bool) int16 {
	for i := range c.conditions {
		if !c.conditions[i].holds(v, connect) {
			return int16(i)
		}
	}
	return met
}

// arrange fills the index by action.
func (b *Bound) arrange() {
	for id := range knownActions {
		b.first[id] = uint32(len(b.order))
		for _, deny := range []bool{true, false} {
			for i := range b.statements {
				s := &b.statements[i]
				if s.deny == deny && s.known&(1<<id) != 0 && s.unmet[moment(id)] == met {
					b.order = append(b.order, uint32(i))
				}
			}
		}
	}
	b.first[len(knownActions)] = uint32(len(b.order))
}

func moment(id int) int {
	if id == actConnect {
		return atConnect
	}
	return otherwise
}

// findMissing notes the names without value, by action.
func (b *Bound) findMissing(v *values) {
	for i := range b.statements {
		s := &b.statements[i]
		inResources := s.unresolved(v)
		for id := range knownActions {
			if s.known&(1<<id) != 0 {
				b.note(id, inResources)
				b.note(id, s.unknownTo(v, id == actConnect))
			}
		}
	}
	for id, names := range b.missing {
		slices.Sort(names)
		b.missing[id] = slices.Compact(names)
	}
}

func (b *Bound) note(id int, names []string) {
	if len(names) == 0 {
		return
	}
	if b.missing == nil {
		b.missing = map[int][]string{}
	}
	b.missing[id] = append(b.missing[id], names...)
}

// unresolved names the variables without value in the statement's resources.
func (s *boundStatement) unresolved(v *values) []string {
	var names []string
	for i := range s.resources {
		if s.resources[i].dead {
			names = s.compiledStatement.resources[i].unresolved(v, names)
		}
	}
	return names
}

// unknownTo names the keys and variables without value in the conditions that
// therefore do not hold.
func (s *boundStatement) unknownTo(v *values, connect bool) []string {
	if s.unmet[otherwise] == met && s.unmet[atConnect] == met {
		return nil
	}
	var names []string
	for i := range s.conditions {
		c := &s.conditions[i]
		if c.holds(v, connect) {
			continue
		}
		if c.key.of != connectAttributes && len(c.got(v, connect)) == 0 {
			names = append(names, c.key.name)
		}
		names = c.unresolved(v, names)
	}
	return names
}
