// Package agent is the device's side of fleet provisioning by claim: it trades
// a claim certificate for an identity of the device's own (methods.md, section
// 6), from Slipway or from AWS IoT Core.
//
// It is an explicit machine of states, kept on disk. Each stage ends with the
// state written whole, so that a run killed at any moment is continued by the
// next one: a key once made is used again, a certificate once received is
// registered, and a registration whose answer was lost is asked for again with
// the same token, which gets the same answer.
//
// The private key is made on the device and never leaves it, unless the
// operator wants the server to make it.
package agent

import (
	"context"
	"crypto/rand"
	"io"
	"os"
	"time"

	"github.com/slipway-iot/slipway/agent/mqttlink"
)

// An Agent provisions one device. Its fields are set before Provision is
// called; New sets all but Notice and Reached to what a real device uses.
type Agent struct {
	Config Config

	Connect func(context.Context, mqttlink.Options) (mqttlink.Link, error)
	Now     func() time.Time
	Random  io.Reader // of jitter and of client ids, not of keys

	Notice  func(sentence string) // told why a stage is tried again, if not nil
	Reached func(Stage)           // told each state once it is on disk, if not nil
}

// New gives an agent that works on the real network.
func New(c Config) *Agent {
	return &Agent{Config: c, Connect: mqttlink.Connect, Now: time.Now, Random: rand.Reader}
}

// A Report is what a run did.
type Report struct {
	ThingName     string
	CertificateID string
	Resumed       Stage // the state in which the run found the folder; empty if it was new
	Stages        []Timing
	Total         time.Duration
}

// A Timing is one stage's share of a run, its waits and failed tries included.
type Timing struct {
	Name  string
	Tries int
	Took  time.Duration
}

// Provision takes the device from wherever its folder says it is to Done. Its
// error is a *Failure. A folder that is Done already stays as it is.
func (a *Agent) Provision(ctx context.Context) (*Report, error) {
	a.Config = a.Config.withDefaults()
	r := &run{Agent: a, report: &Report{}}
	defer r.hangUp()
	started := a.Now()
	err := r.provision(ctx)
	r.report.Total = a.Now().Sub(started)
	r.report.ThingName, r.report.CertificateID = r.state.ThingName, r.state.CertificateID
	return r.report, err
}

// A run is one call of Provision.
type run struct {
	*Agent
	state    state
	link     mqttlink.Link // the claim's, while it is open
	restarts int           // how often a token was given up
	report   *Report
}

func (r *run) provision(ctx context.Context) error {
	if err := r.Config.check(); err != nil {
		return err
	}
	if err := os.MkdirAll(r.Config.Dir, 0o700); err != nil {
		return usage("--out: %v.", err)
	}
	found, err := loadState(r.Config.Dir)
	if err != nil {
		return err
	}
	if found.Stage != Start {
		r.report.Resumed = found.Stage
	}
	if r.state, err = r.adopt(found); err != nil {
		return err
	}
	return r.walk(ctx)
}

func (r *run) notice(sentence string) {
	if r.Notice != nil {
		r.Notice(sentence)
	}
}

// timed adds one try of a stage to the report.
func (r *run) timed(name string, f func() error) error {
	started := r.Now()
	err := f()
	took := r.Now().Sub(started)
	for i := range r.report.Stages {
		if t := &r.report.Stages[i]; t.Name == name {
			t.Tries, t.Took = t.Tries+1, t.Took+took
			return err
		}
	}
	r.report.Stages = append(r.report.Stages, Timing{name, 1, took})
	return err
}
