// Package crash kills the server and counts what came of it.
//
// The real program, built with the tag crashpoints, is killed as kill -9 does:
// at each named moment of the claim flow, at random moments under load, and
// while it starts on a fresh data folder. Devices behave as firmware does: they
// keep what they have received and try again. In the end every device is one
// thing with one ACTIVE certificate, the one that it holds, and nothing else is
// left (DESIGN.md, promise 2).
//
// SLIPWAY_LONG=1 runs more and larger cases; -reliability FILE writes the table
// into a document, -seed repeats a run's choices.
package crash

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/internal/crash"
)

var (
	reliability = flag.String("reliability", "", "write the table between the markers of this `file`")
	seed        = flag.Uint64("seed", 0, "repeat the choices of the run that printed this number")
)

// A size says how much a run does.
type size struct {
	devices     int // that are in the flow at the same time
	pointKills  int // at each point
	randomKills int
	starts      int           // of a fresh data folder that are killed
	window      time.Duration // within which a random kill strikes after each start
}

func sizeOfRun() size {
	if os.Getenv("SLIPWAY_LONG") != "" {
		return size{devices: 50, pointKills: 5, randomKills: 200, starts: 20, window: 1200 * time.Millisecond}
	}
	return size{devices: 10, pointKills: 1, randomKills: 6, starts: 4, window: 500 * time.Millisecond}
}

func TestTheServerIsKilled(t *testing.T) {
	size, binary, result := sizeOfRun(), build(t), &report{section: claimSection, seed: *seed}
	if result.seed == 0 {
		result.seed = rand.Uint64()
	}
	t.Logf("-seed %d repeats these choices", result.seed)
	for _, s := range backends(t) {
		k := &killer{size: size, binary: binary, backend: s, report: result, random: rand.New(rand.NewPCG(result.seed, 0))}
		for _, point := range crash.Points {
			t.Run(s.name+" at "+point, func(t *testing.T) { k.atPoint(t, point) })
		}
		t.Run(s.name+" at random moments", k.atRandom)
		t.Run(s.name+" while it starts", k.atStart)
	}
	result.publish(t)
}

// A killer runs the cases of one store.
type killer struct {
	size    size
	binary  string
	backend backend
	report  *report
	random  *rand.Rand
}

// atPoint kills the server where it passes the point, some passes after it
// started, as often as size says.
func (k *killer) atPoint(t *testing.T, point string) {
	f := k.newFleet(t, 20*k.size.devices*k.size.pointKills)
	flow := f.run(t, k.size.devices)
	for range k.size.pointKills {
		life := f.node.start(t, "SLIPWAY_CRASH_AT="+point, fmt.Sprint("SLIPWAY_CRASH_SKIP=", k.random.IntN(k.size.devices)))
		life.awaitCrash(t, point)
	}
	last := f.node.start(t)
	last.awaitReady(t)
	if point == "register.applied" { // where it is certain that events stay behind
		k.backend.adopts(t, f.node)
	}
	k.settle(t, f, flow, last, row{Store: k.backend.name, Point: point, Kills: k.size.pointKills})
}

// atRandom kills the server at any moment, from its start on, while devices
// are in the flow all the time.
func (k *killer) atRandom(t *testing.T) {
	f := k.newFleet(t, 100*k.size.randomKills)
	flow := f.run(t, k.size.devices)
	served := 0
	for range k.size.randomKills {
		life := f.node.start(t)
		life.killAfter(t, time.Duration(k.random.Int64N(int64(k.size.window))))
		if life.wasReady() {
			served++
		}
	}
	k.report.note("%s, random moments: %d of %d kills struck a server that was serving, the others one that was starting.",
		k.backend.name, served, k.size.randomKills)
	last := f.node.start(t)
	k.settle(t, f, flow, last, row{Store: k.backend.name, Point: "random moments", Kills: k.size.randomKills})
}

// settle lets every device finish, has it connect once more under its own
// identity, stops the server, and counts what is in the store.
func (k *killer) settle(t *testing.T, f *fleet, flow *flow, last *life, r row) {
	last.awaitReady(t)
	units := flow.finish()
	r.Devices = len(units)
	for _, u := range units {
		if u.err != nil {
			r.Stuck++
			t.Errorf("%s is stuck: %v", u.device.Connect.ClientID, u.err)
		}
		for _, no := range u.refused {
			t.Errorf("%s was refused: %v", u.device.Connect.ClientID, no)
		}
	}
	f.reconnect(t, units)
	last.stop(t)
	k.audit(t, f.node, units, &r)
	k.report.add(r)
}
