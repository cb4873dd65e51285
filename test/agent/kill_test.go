package agent

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-iot/slipway/agent"
)

// Kills at random moments: a device that is started again until it is done has
// one thing and one certificate, however often it died.
func TestAKilledAgentIsContinued(t *testing.T) {
	s := start(t)
	claim := s.claimFor("fleet", 0)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	const devices, kills = 16, 4
	probe := must(s.run(device{serial: "probe", claim: claim, template: "fleet", dir: t.TempDir()}))(t)
	span := time.Duration(probe.TotalMs*float64(time.Millisecond)) + 50*time.Millisecond

	found := make([]map[agent.Stage]int, devices)
	var all errgroup.Group
	all.SetLimit(4)
	for i := range devices {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		d := device{serial: fmt.Sprintf("killed-%02d", i), claim: claim, template: "fleet", dir: t.TempDir(), flags: ways()[i%8]}
		found[i] = map[agent.Stage]int{}
		all.Go(func() error {
			for range kills {
				if err := s.kill(d, time.Duration(random.Int64N(int64(span)))); err != nil {
					return err
				}
				found[i][stageOf(d)]++
			}
			r, err := s.run(d)
			if err == nil && r.code != 0 {
				err = fmt.Errorf("%s: exit code %d\n%s", d.serial, r.code, r.stderr)
			}
			if err != nil {
				return err
			}
			return s.holds(t.Context(), d, r)
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	states := map[agent.Stage]int{}
	for _, f := range found {
		for stage, n := range f {
			states[stage] += n
		}
	}
	t.Logf("%d kills left the devices in: %v", devices*kills, states)
}

// kill starts the agent and ends it with SIGKILL when it is so old, unless it
// is done before.
func (s *site) kill(d device, age time.Duration) error {
	cmd, _, stderr := s.command(d)
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-time.After(age):
		_ = cmd.Process.Kill()
		<-ended
	case err := <-ended:
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", d.serial, err, stderr)
		}
	}
	return nil
}

// stageOf reads the state that a dead agent left; no file is the start.
func stageOf(d device) agent.Stage {
	var state struct{ State agent.Stage }
	b, err := os.ReadFile(filepath.Join(d.dir, agent.StateFile))
	if err != nil {
		return agent.Start
	}
	if err := json.Unmarshal(b, &state); err != nil {
		return agent.Stage("torn: " + err.Error())
	}
	return state.State
}
