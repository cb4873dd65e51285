package process

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/slipway-iot/slipway/functions"
)

// errGone says that a process ended between two calls.
var errGone = errors.New("the process has ended")

// A child is one process with its Runtime API.
type child struct {
	program *Program
	files   files // what it was started from
	secret  string
	output  tail

	server http.Server
	served chan struct{} // closed when the listener is closed
	offers chan *call    // taken by the process's request for the next call
	ready  chan struct{} // closed at the first such request
	gone   chan struct{} // closed when the process is reaped and its output read
	exit   string        // how it ended, such as "exited with code 3"; set before gone

	once sync.Once // closes ready
	slow *time.Timer

	mu      sync.Mutex         // guards all below
	current *call              // handed over and not answered
	failure *functions.Failure // why it never became ready, if that is known
	ended   bool               // it is or will be killed, or has ended
	pid     int                // while it may be signalled, else 0
}

// start makes a child and starts its process in a goroutine that ends when the
// process is reaped. The program's lock is held.
func (p *Program) start(from files) (*child, error) {
	secret, err := p.random(16)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := &child{
		program: p,
		files:   from,
		secret:  secret,
		served:  make(chan struct{}),
		offers:  make(chan *call),
		ready:   make(chan struct{}),
		gone:    make(chan struct{}),
	}
	c.server = http.Server{Handler: c, ReadHeaderTimeout: functions.MaxTimeout, MaxHeaderBytes: maxHeader, ErrorLog: quiet()}
	c.slow = time.AfterFunc(p.driver.InitLimit, c.tooSlow)
	p.all[c] = struct{}{}
	p.children.Add(1)
	go func() {
		defer close(c.served)
		c.server.Serve(l) // until Close; what fails before shows as a silent process
	}()
	go c.run(l.Addr().String() + "/" + secret)
	return c, nil
}

// run starts the process and waits for its end.
//
// It keeps its thread: Linux sends the parent-death signal when the thread
// that forked ends, not when the process does. The thread would wait for the
// child anyhow.
func (c *child) run(api string) {
	defer c.program.children.Done()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c.execute(api)
	c.slow.Stop()
	c.server.Close()
	<-c.served
	c.program.forget(c)
	close(c.gone)
}

// execute runs the process to its end and to the end of its output.
func (c *child) execute(api string) {
	r, w, err := os.Pipe()
	if err != nil {
		c.fail(c.program.unstarted(err))
		return
	}
	defer r.Close()
	cmd := c.command(api)
	cmd.Stdout, cmd.Stderr = w, w
	err = c.begin(cmd)
	w.Close()
	if err != nil {
		c.fail(c.program.unstarted(err))
		return
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		io.Copy(&c.output, r)
	}()
	cmd.Wait() // its error repeats the state
	c.reaped(cmd.Process.Pid)
	c.exit = describe(cmd.ProcessState)
	select {
	case <-drained:
	case <-time.After(200 * time.Millisecond): // a daemon that left the group holds the pipe
		r.Close()
		<-drained
	}
}

func (c *child) command(api string) *exec.Cmd {
	argv := c.program.spec.Command
	return &exec.Cmd{
		Path:        argv[0],
		Args:        argv,
		Dir:         filepath.Dir(argv[0]),
		Env:         environment(c.program.tenant, c.program.spec, api, c.granted(api)),
		SysProcAttr: ownGroup(),
	}
}

// begin starts the process, unless it was killed before.
func (c *child) begin(cmd *exec.Cmd) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return errGone
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	c.pid = cmd.Process.Pid
	return nil
}

// reaped marks the process as ended and kills what is left of its group, whose
// id stays taken for as long as the group has members.
func (c *child) reaped(pid int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended, c.pid = true, 0
	killGroup(pid)
}

// kill ends the process and its group; it does not wait.
func (c *child) kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.pid != 0 {
		killGroup(c.pid)
	}
}

// doomed says whether the process is or will be killed, or has ended.
func (c *child) doomed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// fail ends a process that cannot become ready. The first reason counts.
func (c *child) fail(f *functions.Failure) {
	c.mu.Lock()
	if c.failure == nil {
		c.failure = f
	}
	c.mu.Unlock()
	c.kill()
}

func (c *child) tooSlow() {
	limit := strconv.FormatFloat(c.program.driver.InitLimit.Seconds(), 'f', -1, 64)
	c.fail(functions.Fail(functions.InitFailed, c.program.spec.Name, nil, "was not ready within %s s.", limit))
}

// describe says how a process ended, for a sentence.
func describe(s *os.ProcessState) string {
	if s.Exited() {
		return "exited with code " + strconv.Itoa(s.ExitCode())
	}
	return "was ended by " + s.String() // "signal: killed"
}

// random gives n random bytes in hex.
func (p *Program) random(n int) (string, error) {
	b := make([]byte, n)
	_, err := io.ReadFull(p.driver.Rand, b)
	return hex.EncodeToString(b), err
}

// call hands payload to the process and waits for the answer. It fails with
// errGone if the process ended before it took the call, though it had been
// ready before.
func (c *child) call(ctx context.Context, payload []byte) ([]byte, error) {
	k, err := c.newCall(ctx, payload)
	if err != nil {
		return nil, c.program.unstarted(err)
	}
	select {
	case c.offers <- k:
	case <-c.gone:
		return nil, c.early()
	case <-ctx.Done():
		return nil, c.untaken(ctx)
	}
	select {
	case <-k.done:
	case <-c.gone:
	case <-ctx.Done():
	}
	return c.outcome(ctx, k)
}

// untaken is the failure of a call that the process did not take in time. A
// process that is still starting goes on with it; one that served calls before
// hangs.
func (c *child) untaken(ctx context.Context) error {
	select {
	case <-c.ready:
		c.kill()
	default:
	}
	return c.program.calls.Ended(ctx, "become ready")
}

// early is why a process ended without taking a call.
func (c *child) early() error {
	select {
	case <-c.ready:
		return errGone
	default:
	}
	c.mu.Lock()
	f := c.failure
	c.mu.Unlock()
	if f == nil {
		f = functions.Fail(functions.InitFailed, c.program.spec.Name, nil, "%s before it was ready.", c.exit)
	}
	f.Output = c.output.String()
	return f
}

// outcome is how a call ended that the process took. An answer counts even if
// the process ended after it.
func (c *child) outcome(ctx context.Context, k *call) ([]byte, error) {
	select {
	case <-k.done:
		return k.answer()
	default:
	}
	select {
	case <-c.gone:
		f := functions.Fail(functions.Crashed, c.program.spec.Name, nil, "%s during the call.", c.exit)
		f.Output = c.output.String()
		return nil, f
	default:
	}
	c.kill()
	f := c.program.calls.Ended(ctx, "answer")
	f.Output = c.output.String()
	return nil, f
}
