package provision_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/provision"
	"github.com/slipway-iot/slipway/store"
)

// manyBody makes a thing that must not be there yet, of a line with a request.
const manyBody = `{"Parameters":{"Serial":{"Type":"String"},"CSR":{"Type":"String"},"Policy":{"Type":"String","Default":"device"}},"Resources":{
 "thing":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Fn::Join":["-",["lamp",{"Ref":"Serial"}]]},"AttributePayload":{"serial":{"Ref":"Serial"}}},
  "OverrideSettings":{"AttributePayload":"FAIL"}},
 "certificate":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateSigningRequest":{"Ref":"CSR"},"Status":"ACTIVE"}},
 "policy":{"Type":"AWS::IoT::Policy","Properties":{"PolicyName":{"Ref":"Policy"}}}}}`

// A batch is what came of RegisterMany: the join's words of those that were
// committed, by line.
type batch struct {
	vain  bool
	err   error
	lines []*provision.Line
}

func (r *rig) registerMany(hopeful bool, lines []*provision.Line) batch {
	b := batch{lines: lines}
	b.vain, b.err = r.engine.RegisterMany(context.Background(), arn.Default, manyBody, hopeful, lines,
		func(ctx context.Context, tx store.Tx, some []*provision.Line) error {
			for _, l := range some {
				word := "refused"
				if l.Refused == nil {
					word = l.Made.Thing
				}
				if _, err := tx.Document(ctx, arn.Default, "told", fmt.Sprint(l.Number)); !fault.Is(err, fault.Missing) {
					return fmt.Errorf("line %d is told twice: %w", l.Number, err)
				}
				if err := tx.PutDocument(ctx, arn.Default, "told", fmt.Sprint(l.Number), []byte(word)); err != nil {
					return err
				}
			}
			return nil
		})
	return b
}

func (r *rig) told(number int) string {
	r.t.Helper()
	var body []byte
	r.view(func(ctx context.Context, tx store.Tx) (err error) {
		if body, err = tx.Document(ctx, arn.Default, "told", fmt.Sprint(number)); fault.Is(err, fault.Missing) {
			return nil
		}
		return err
	})
	return string(body)
}

func (r *rig) line(number int, serial string, more ...string) *provision.Line {
	l := &provision.Line{Number: number, Params: map[string]string{"Serial": serial, "CSR": string(r.csr)}}
	for i := 0; i < len(more); i += 2 {
		l.Params[more[i]] = more[i+1]
	}
	return l
}

func TestEachOfManyLinesHasItsOwnOutcome(t *testing.T) {
	for _, hopeful := range []bool{true, false} {
		t.Run(fmt.Sprintf("hopeful: %v", hopeful), func(t *testing.T) {
			r := newRig(t)
			var lines []*provision.Line
			bad := map[int]fault.Kind{4: fault.InvalidCSR, 7: fault.MissingPart, 8: fault.MissingPart, 11: fault.Conflict, 19: fault.InvalidRequest}
			for i := range 20 {
				l := r.line(i, fmt.Sprint(i))
				switch i {
				case 4:
					l.Params["CSR"] = "none"
				case 7, 8:
					l.Params["Policy"] = "nobody"
				case 11: // as line 3, which comes first
					l.Params["Serial"] = "3"
				case 19:
					l.Refused = fault.New(fault.InvalidRequest, "The line is no JSON.")
				}
				lines = append(lines, l)
			}
			b := r.registerMany(hopeful, lines)
			must(t, b.err)
			if !b.vain { // no look ahead finds what a neighbour is about to write
				t.Error("nothing was signed in vain for line 11")
			}
			for i, l := range lines {
				if !l.Done {
					t.Errorf("line %d is not done", i)
				}
				if kind, isBad := bad[i]; isBad {
					if !fault.Is(l.Refused, kind) || r.told(i) != "refused" {
						t.Errorf("line %d: %v, told %q", i, l.Refused, r.told(i))
					}
				} else if name := fmt.Sprint("lamp-", i); l.Refused != nil || l.Made.Thing != name || r.told(i) != name {
					t.Errorf("line %d: %v, %+v, told %q", i, l.Refused, l.Made, r.told(i))
				}
			}
			if n := len(r.certificates()); n != 15 {
				t.Errorf("%d certificates are there, want those of 15 lines", n)
			}
		})
	}
}

func TestOfTwoLinesForOneThingTheSecondSeesTheFirst(t *testing.T) {
	r := newRig(t)
	b := r.registerMany(true, []*provision.Line{r.line(0, "a"), r.line(1, "b"), r.line(2, "a"), r.line(3, "c")})
	must(t, b.err)
	for i, l := range b.lines {
		if !l.Done || (l.Refused != nil) != (i == 2) {
			t.Errorf("line %d: done %v, %v", i, l.Done, l.Refused)
		}
	}
	for _, name := range []string{"lamp-a", "lamp-b", "lamp-c"} {
		r.thing(name)
	}
}

func TestManyLinesWithoutAStoreAreNotDone(t *testing.T) {
	r := newRig(t)
	must(t, r.registerMany(true, []*provision.Line{r.line(0, "first")}).err)
	before := r.snapshot()
	r.db.DB = away{r.db.DB}
	b := r.registerMany(true, []*provision.Line{r.line(1, "a"), r.line(2, "b")})
	if !fault.Is(b.err, fault.Unavailable) || b.lines[0].Done || b.lines[1].Done {
		t.Errorf("got %v, done %v and %v", b.err, b.lines[0].Done, b.lines[1].Done)
	}
	r.db.DB = r.db.DB.(away).DB
	if after := r.snapshot(); after != before {
		t.Errorf("something was stored: %s, before it was %s", after, before)
	}
	again := r.registerMany(true, b.lines)
	if must(t, again.err); !b.lines[0].Done || !b.lines[1].Done {
		t.Error("the second try did not do them")
	}
}

func TestManyLinesSurviveConflicts(t *testing.T) {
	r := newRig(t)
	r.db.DB = conflicting{r.db.DB}
	var lines []*provision.Line
	for i := range 9 {
		lines = append(lines, r.line(i, fmt.Sprint(i)))
	}
	must(t, r.registerMany(false, lines).err)
	for i, l := range lines {
		if !l.Done || l.Refused != nil || r.told(i) != l.Made.Thing {
			t.Errorf("line %d: done %v, %v, told %q", i, l.Done, l.Refused, r.told(i))
		}
		r.wantStatus(l.Made.CertificateID, "ACTIVE")
	}
}

// away is a store that cannot be written.
type away struct{ store.DB }

func (a away) Update(context.Context, func(context.Context, store.Tx) error) error {
	return fault.New(fault.Unavailable, "The database cannot be reached.")
}
