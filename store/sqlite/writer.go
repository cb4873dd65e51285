package sqlite

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/store/internal/records"
)

// groupLimit bounds how many functions share a commit, and with it what a
// failed commit undoes.
const groupLimit = 256

// A job is what the writer does for one caller.
type job func(context.Context, records.Conn, *records.Tx) error

// A request is one call of Update. The caller owns it until the writer takes
// it; the writer fills the outcome and closes done.
type request struct {
	ctx  context.Context
	job  job
	turn atomic.Int32
	done chan struct{}

	err      error
	panicked any  // what the job panicked with
	exited   bool // the job ended its goroutine, as t.FailNow does
}

// The states of request.turn.
const (
	waiting int32 = iota
	taken         // the writer runs it
	left          // the caller's context ended first
)

// A writer owns the connection that writes. Its goroutine takes what waits,
// runs one job after the other in one transaction, and commits them together.
//
// A job that fails is rolled back, and its neighbours do not notice: either to
// the savepoint in which it began, or, since few jobs fail and savepoints are
// dear, with its whole group, which then begins again with savepoints. Every
// caller hears of its outcome after the commit, the failed ones
// too: their reasons may lie in what a neighbour wrote.
type writer struct {
	db   *DB
	conn *conn

	mu      sync.Mutex // guards queue, peeks and closed
	queue   []*request
	peeks   []*request // they only read
	closed  bool
	wake    chan struct{} // holds a token while queue, peeks or closed is news
	stopped chan struct{}

	// The group under way; the writer's goroutine alone touches it.
	looks    []*request // those that read before the group writes
	group    []*request
	next     int                      // the job to run
	wary     int                      // so many groups more, this one included, use savepoints
	open     bool                     // a transaction is open
	kept     bool                     // it holds what a job before this one wrote
	lingered bool                     // it waited for company
	marked   bool                     // the savepoint of this job is set
	wrote    bool                     // this job wrote
	grown    int                      // commits since the folder was told
	swept    int64                    // it deletes rows of the outbox up to here
	held     records.Held             // of the whole database: nobody else writes it
	rows     map[string][]event.Event // of the outbox, by their bodies
	events   []event.Event            // of the jobs that succeeded
}

func newWriter(db *DB, c *conn) *writer {
	return &writer{db: db, conn: c, wake: make(chan struct{}, 1), stopped: make(chan struct{})}
}

// update puts a job into the queue and waits for its outcome. The caller's
// context counts until the job's turn has come.
func (w *writer) update(ctx context.Context, j job) error { return w.ask(ctx, &w.queue, j) }

// peek does the same for a job that only reads.
func (w *writer) peek(ctx context.Context, j job) error { return w.ask(ctx, &w.peeks, j) }

func (w *writer) ask(ctx context.Context, queue *[]*request, j job) error {
	if err := ctx.Err(); err != nil {
		return callerLeft(err)
	}
	r := &request{ctx: ctx, job: j, done: make(chan struct{})}
	if !w.enqueue(queue, r) {
		return errClosed()
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		if r.turn.CompareAndSwap(waiting, left) {
			return callerLeft(ctx.Err())
		}
		<-r.done
	}
	switch {
	case r.panicked != nil:
		panic(r.panicked)
	case r.exited:
		runtime.Goexit()
	}
	return r.err
}

func (w *writer) enqueue(queue *[]*request, r *request) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	*queue = append(*queue, r)
	w.ring()
	return true
}

func (w *writer) ring() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// stop refuses new jobs, lets the queued ones finish and ends the goroutine.
func (w *writer) stop() {
	w.mu.Lock()
	w.closed = true
	w.ring()
	w.mu.Unlock()
	<-w.stopped
}

// run is the writer's goroutine. A job that ends the goroutine it runs on ends
// this one; another then goes on with the group.
func (w *writer) run() {
	over := false
	defer func() {
		if over {
			close(w.stopped)
		} else {
			go w.run()
		}
	}()
	for len(w.looks) > 0 || len(w.group) > 0 || w.take() {
		for len(w.looks) > 0 {
			r := w.looks[0]
			w.looks = slices.Delete(w.looks, 0, 1)
			w.show(r)
		}
		for w.next < len(w.group) || w.more() {
			w.next++
			w.serve(w.group[w.next-1])
		}
		w.finish()
	}
	over = true
}

// take waits for requests and makes them the group, or says that the store
// was closed and nothing waits any more.
func (w *writer) take() bool {
	for {
		w.mu.Lock()
		n := min(len(w.queue), groupLimit)
		w.group, w.next = append(w.group[:0], w.queue[:n]...), 0
		w.queue = slices.Delete(w.queue, 0, n)
		w.looks = append(w.looks, w.peeks...)
		w.peeks = slices.Delete(w.peeks, 0, len(w.peeks))
		closed := w.closed
		w.mu.Unlock()
		if n > 0 || len(w.looks) > 0 {
			return true
		}
		if closed {
			return false
		}
		<-w.wake
	}
}

// more takes what came while the group was served into the same commit. It
// first lets those run who are about to ask: a commit costs more than a job.
// Who shares the commit already waits a moment longer for company; who is
// alone waits for nobody.
func (w *writer) more() bool {
	runtime.Gosched()
	if len(w.group) >= company && !w.lingered && !w.waits() {
		w.lingered = true
		time.Sleep(patience)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(w.queue), groupLimit-len(w.group))
	w.group = append(w.group, w.queue[:n]...)
	w.queue = slices.Delete(w.queue, 0, n)
	return n > 0
}

// company is how many jobs make a group that is worth waiting for, and patience
// for how long.
const (
	company  = 2
	patience = 4 * time.Millisecond
)

// waits says whether there is something to do already.
func (w *writer) waits() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue) > 0 || w.closed
}

// show runs a job that only reads. Nothing was written since the last commit,
// so what it sees is on disk, and its caller need not wait for the next one.
func (w *writer) show(r *request) {
	if !r.turn.CompareAndSwap(waiting, taken) {
		return
	}
	defer close(r.done)
	if r.err = w.begin(); r.err != nil {
		return
	}
	tx := records.Reader(w.conn, &w.db.memory, &w.held)
	returned := false
	defer func() {
		tx.End()
		if !returned {
			r.panicked = recover()
			r.exited = r.panicked == nil
		}
	}()
	r.err = r.job(r.ctx, w.conn, tx)
	returned = true
}

// serve runs one job in its turn, which may come a second time.
func (w *writer) serve(r *request) {
	if !r.turn.CompareAndSwap(waiting, taken) && !(r.turn.Load() == taken && r.panicked == nil && !r.exited) {
		return
	}
	if r.err = w.begin(); r.err != nil {
		return
	}
	w.wrote, w.marked = false, false
	tx := records.New((*turn)(w), &w.db.memory, &w.held, w.db.now, here)
	returned := false
	defer func() {
		events := tx.End()
		if !returned {
			r.panicked = recover()
			r.exited = r.panicked == nil
		}
		if returned && r.err == nil {
			w.events = append(w.events, events...)
			w.keep()
		} else {
			w.undo()
		}
	}()
	r.err = r.job(context.WithoutCancel(r.ctx), (*turn)(w), tx)
	returned = true
}

// begin opens the group's transaction if none is open. After an error that
// broke it nothing runs any more.
func (w *writer) begin() error {
	if w.open || w.conn.broken != nil {
		return w.conn.broken
	}
	if err := w.conn.run(beginNow); err != nil {
		return err
	}
	w.open = true
	return nil
}

// keep joins what the job wrote to the group.
func (w *writer) keep() {
	if w.marked {
		w.must(keep)
	}
	w.kept = w.kept || w.wrote
}

// undo takes back what the job wrote: to its savepoint, or wholly. Where that
// took a neighbour's writes along, the group begins again.
func (w *writer) undo() {
	if w.wrote {
		w.held.Forget()
	}
	switch {
	case w.conn.broken != nil || !w.wrote:
	case w.marked:
		w.must(undo)
		w.must(keep)
	default:
		w.must(rollback)
		w.open = false
		if w.kept {
			w.again()
		}
	}
}

// wariness is for how many groups a failure makes the writer use savepoints:
// who sends a stream of requests that fail late shall not have everyone's work
// done twice.
const wariness = 64

// again has every job of the group run once more, each in a savepoint.
func (w *writer) again() {
	w.db.retries.Add(int64(w.next))
	clear(w.events)
	w.next, w.kept, w.events, w.wary = 0, false, w.events[:0], wariness
}

// must runs a statement whose failure leaves the transaction in doubt.
func (w *writer) must(query string) {
	if err := w.conn.run(query); err != nil && w.conn.broken == nil {
		w.conn.broken = err
	}
}
