package functions

import (
	"context"
	"errors"
	"sync"
)

// Calls is what drivers have in common: it bounds the size of payloads, the
// number and the duration of one function's calls, and ends them at Close.
type Calls struct {
	spec Spec
	free chan struct{} // holds a token per call under way

	mu     sync.Mutex // guards closed, and Add against Wait
	closed bool
	under  sync.WaitGroup
	quit   context.Context // ends at Close
	stop   context.CancelFunc
}

// The causes for which Calls ends a call's context.
var (
	errLimit  = errors.New("the time limit was reached")
	errClosed = errors.New("the function was closed")
)

// NewCalls makes the bounds of a spec that has its defaults.
func NewCalls(s Spec) *Calls {
	c := &Calls{spec: s, free: make(chan struct{}, s.Concurrency)}
	c.quit, c.stop = context.WithCancel(context.Background())
	return c
}

// Begin waits for a free place. It gives the context of the call, which ends
// with ctx, at the time limit and at Close, and the function that ends the
// call, which must be called.
func (c *Calls) Begin(ctx context.Context, payload []byte) (context.Context, func(), error) {
	if len(payload) > MaxBytes {
		return nil, nil, Oversized(c.spec.Name, "was given", int64(len(payload)))
	}
	if !c.enter() {
		return nil, nil, c.afterClose()
	}
	ctx, expire := context.WithTimeoutCause(ctx, c.spec.Timeout, errLimit)
	ctx, cancel := context.WithCancelCause(ctx)
	unwatch := context.AfterFunc(c.quit, func() { cancel(errClosed) })
	end := func() {
		unwatch()
		cancel(nil)
		expire()
		c.under.Done()
	}
	if ctx.Err() != nil {
		defer end()
		return nil, nil, c.Ended(ctx, "answer")
	}
	select {
	case c.free <- struct{}{}:
		return ctx, func() { <-c.free; end() }, nil
	case <-ctx.Done():
		defer end()
		if len(c.free) < cap(c.free) { // the time was over before it waited
			return nil, nil, c.Ended(ctx, "answer")
		}
		return nil, nil, c.busy(ctx)
	}
}

// enter counts a call in, unless the function is closed.
func (c *Calls) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.under.Add(1)
	}
	return !c.closed
}

// Ended is the failure of a call whose context has ended before the function
// did what the verb says ("answer", "become ready").
func (c *Calls) Ended(ctx context.Context, verb string) *Failure {
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, errClosed):
		return c.afterClose()
	case errors.Is(cause, errLimit):
		return Fail(TimedOut, c.spec.Name, nil, "did not %s within %s.", verb, span(c.spec.Timeout))
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return Fail(TimedOut, c.spec.Name, nil, "did not %s before its caller's deadline.", verb)
	}
	return Fail(Canceled, c.spec.Name, ctx.Err(), "was given up by its caller.")
}

// busy is Ended for a call that found no free place.
func (c *Calls) busy(ctx context.Context) *Failure {
	f := c.Ended(ctx, "answer")
	if f.Reason == TimedOut {
		f = Fail(Busy, c.spec.Name, nil, "is busy: %d calls were under way all the time.", c.spec.Concurrency)
	}
	return f
}

func (c *Calls) afterClose() *Failure {
	return Fail(Closed, c.spec.Name, nil, "was closed: it was changed, or the server is stopping.")
}

// Close ends all calls and waits for them. Later ones fail.
func (c *Calls) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.stop()
	c.under.Wait()
}
