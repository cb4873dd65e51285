// Package process runs functions as local programs under the AWS Lambda
// Runtime API, version 2018-06-01, so that a program built for Lambda runs
// here unchanged.
//
// Each process has a listener of its own on 127.0.0.1 and a secret first
// segment of the path, both told only to it (AWS_LAMBDA_RUNTIME_API is
// HOST:PORT/SECRET): another user of the machine who finds the port can
// neither read a call nor answer one. Its environment holds what Lambda sets
// and what the spec adds, and nothing of the server's.
//
// A process serves one call at a time. Up to spec.Concurrency of them are
// started when calls need them, and then kept. One that lets the time of a
// call run out is killed with its process group, and the next call starts
// another. When the program's file has changed, the next call starts the new
// one, while a call under way ends on the old. On Linux the processes die with
// the server, however it ends; what they started themselves does not, unless
// the server is there to kill their group.
//
// Runtimes that split AWS_LAMBDA_RUNTIME_API at its colon into a host and a
// number lose the secret and get 403; those that put the text into a URL, as
// the ones for Go and Python do, work.
package process

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/functions"
)

// A Driver opens process functions. The zero value works.
type Driver struct {
	// Rand makes secrets and request ids. It is safe for concurrent use; nil
	// means crypto/rand.
	Rand io.Reader
	// Now is the clock of trace ids; nil means time.Now.
	Now func() time.Time
	// InitLimit is how long a process may take to become ready; 0 means 10 s,
	// as on Lambda. It is longer than a call may take: a process that starts
	// slowly refuses the call which started it, and serves a later one.
	InitLimit time.Duration
	// Grant gives a function credentials for the control plane, anew each time
	// its AWS SDK asks, and what else its environment needs to reach it. Nil
	// grants nothing.
	Grant func(t arn.Tenant, name string) (Grant, error)
}

// A Grant is what a function may reach the control plane with. It goes to the
// process as AWS's container credentials do, which every AWS SDK renews before
// they expire.
type Grant struct {
	KeyID, Secret, Token string
	Expires              time.Time
	Env                  map[string]string // such as AWS_ENDPOINT_URL_IOT
}

func (d Driver) withDefaults() Driver {
	if d.Rand == nil {
		d.Rand = rand.Reader
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.InitLimit == 0 {
		d.InitLimit = 10 * time.Second
	}
	return d
}

// Program is a live process function.
type Program struct {
	driver Driver
	tenant arn.Tenant
	spec   functions.Spec
	calls  *functions.Calls

	mu       sync.Mutex // guards idle and all
	idle     []*child   // in no call; the last one was used last
	all      map[*child]struct{}
	children sync.WaitGroup // one per child of all
}

// Open is a [functions.Opener]. It starts no process yet.
func (d Driver) Open(t arn.Tenant, s functions.Spec) (functions.Function, error) {
	s = s.WithDefaults()
	return &Program{
		driver: d.withDefaults(),
		tenant: t,
		spec:   s,
		calls:  functions.NewCalls(s),
		all:    map[*child]struct{}{},
	}, nil
}

// Invoke hands payload to a free process, or to a new one. If ctx ends while
// the process works, the process is killed: nobody waits for it any more, and
// it may hang.
func (p *Program) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	ctx, end, err := p.calls.Begin(ctx, payload)
	if err != nil {
		return nil, err
	}
	defer end()
	for {
		c, err := p.take()
		if err != nil {
			return nil, err
		}
		out, err := c.call(ctx, payload)
		if errors.Is(err, errGone) {
			continue // it had ended since its last call; this call was not handed over
		}
		p.give(c)
		return out, err
	}
}

// Close ends the calls under way, kills every process and waits until all are
// reaped.
func (p *Program) Close() error {
	p.calls.Close()
	p.mu.Lock()
	for c := range p.all {
		c.kill()
	}
	p.mu.Unlock()
	p.children.Wait()
	return nil
}

// take gives a process that runs the program as it is on disk now. Idle ones
// that run an older one are killed.
func (p *Program) take() (*child, error) {
	now, err := look(p.spec.Command)
	if err != nil {
		return nil, p.unstarted(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) > 0 {
		c := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		if c.files.same(now) {
			return c, nil
		}
		c.kill()
	}
	c, err := p.start(now)
	if err != nil {
		return nil, p.unstarted(err)
	}
	return c, nil
}

// give puts a process back after a call, unless it is ending.
func (p *Program) give(c *child) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, runs := p.all[c]; runs && !c.doomed() {
		p.idle = append(p.idle, c)
	}
}

// forget drops a process that has ended.
func (p *Program) forget(c *child) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.all, c)
	p.idle = slices.DeleteFunc(p.idle, func(i *child) bool { return i == c })
}

// unstarted is the failure of a process that could not be started at all.
func (p *Program) unstarted(err error) *functions.Failure {
	why := "its program cannot be executed"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		why = "its program, or the interpreter of it, does not exist"
	case errors.Is(err, fs.ErrPermission):
		why = "its program may not be executed by the server"
	}
	return functions.Fail(functions.InitFailed, p.spec.Name, err, "cannot be started: %s.", why)
}
