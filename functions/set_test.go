package functions_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/functions"
)

// A world is a store of specs that a test changes, and a driver whose
// functions answer with their spec's list.
type world struct {
	holds chan chan struct{} // each call with the payload "hold" sends its release

	mu       sync.Mutex // guards all below
	specs    map[string]*functions.Spec
	lookups  int
	open     int
	inLookup func() // called once, after a spec was read
	broken   error  // of the store
}

func newWorld(t *testing.T) (*world, *functions.Set) {
	w := &world{holds: make(chan chan struct{}), specs: map[string]*functions.Spec{}}
	w.put("gate", "first")
	s := functions.NewSet(w.lookup, map[string]functions.Opener{functions.Allowlist: w.driver})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if n := w.live(); n != 0 {
			t.Errorf("%d functions are open after Close", n)
		}
	})
	return w, s
}

func (w *world) put(name, csv string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.specs[name] = &functions.Spec{Name: name, Kind: functions.Allowlist, CSV: csv}
}

func (w *world) live() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.open
}

func (w *world) lookup(_ context.Context, t arn.Tenant, name string) (*functions.Spec, error) {
	w.mu.Lock()
	w.lookups++
	spec, between, err := w.specs[name], w.inLookup, w.broken
	w.inLookup = nil
	w.mu.Unlock()
	if between != nil {
		between()
	}
	if t != arn.Default {
		return nil, err
	}
	return spec, err
}

func (w *world) driver(_ arn.Tenant, s functions.Spec) (functions.Function, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open++
	return &fake{w: w, text: s.CSV, calls: functions.NewCalls(s)}, nil
}

// A fake is a function of a world.
type fake struct {
	w     *world
	text  string
	calls *functions.Calls
	once  sync.Once
}

func (f *fake) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	ctx, end, err := f.calls.Begin(ctx, payload)
	if err != nil {
		return nil, err
	}
	defer end()
	if string(payload) == "hold" {
		release := make(chan struct{})
		f.w.holds <- release
		select {
		case <-release:
		case <-ctx.Done():
			return nil, f.calls.Ended(ctx, "answer")
		}
	}
	return []byte(f.text), nil
}

func (f *fake) Close() error {
	f.calls.Close()
	f.once.Do(func() {
		f.w.mu.Lock()
		f.w.open--
		f.w.mu.Unlock()
	})
	return nil
}

func resolve(t *testing.T, s *functions.Set, arnOrName string) functions.Function {
	t.Helper()
	f, err := s.Resolve(t.Context(), arn.Default, arnOrName)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func answers(t *testing.T, f functions.Function, want string) {
	t.Helper()
	if out, err := f.Invoke(t.Context(), nil); string(out) != want || err != nil {
		t.Errorf("got %q, %v, want %q", out, err, want)
	}
}

// hold begins a call that ends when the channel is closed; its outcome comes
// from the other.
func hold(t *testing.T, w *world, f functions.Function) (chan<- struct{}, <-chan error) {
	t.Helper()
	end := make(chan error, 1)
	go func() {
		_, err := f.Invoke(t.Context(), []byte("hold"))
		end <- err
	}()
	return <-w.holds, end
}

func TestAFunctionIsOpenedOnce(t *testing.T) {
	w, s := newWorld(t)
	for _, name := range []string{"gate", "arn:aws:lambda:eu-west-1:999999999999:function:gate", "arn:aws:lambda:us-east-1:000000000000:function:gate:PROD"} {
		answers(t, resolve(t, s, name), "first")
	}
	if w.lookups != 1 || w.live() != 1 {
		t.Errorf("%d lookups, %d open", w.lookups, w.live())
	}
}

func TestAFunctionBelongsToItsTenant(t *testing.T) {
	_, s := newWorld(t)
	answers(t, resolve(t, s, "gate"), "first")
	other := arn.Tenant{Account: "111111111111", Region: "us-east-1"}
	_, err := s.Resolve(t.Context(), other, "arn:aws:lambda:us-east-1:000000000000:function:gate")
	if !fault.Is(err, fault.Missing) {
		t.Errorf("got %v, want that it does not exist", err)
	}
}

func TestWhatCannotBeOpened(t *testing.T) {
	w, s := newWorld(t)
	w.put("bad name", "")
	w.specs["http"] = &functions.Spec{Name: "http", Kind: functions.HTTP, URL: "https://example.com"}
	w.specs["wrong"] = &functions.Spec{Name: "wrong", Kind: functions.HTTP}
	for name, want := range map[string]fault.Kind{
		"nobody":   fault.Missing,
		"bad name": fault.InvalidRequest,
		"http":     fault.NotImplemented,
		"wrong":    fault.InvalidRequest,
		"arn:aws:sqs:us-east-1:000000000000:gate": fault.InvalidRequest,
	} {
		if _, err := s.Resolve(t.Context(), arn.Default, name); fault.Of(err) != want || err == nil {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
	w.broken = errors.New("the disk is gone")
	if _, err := s.Resolve(t.Context(), arn.Default, "gate"); !errors.Is(err, w.broken) {
		t.Errorf("got %v, want the store's error", err)
	}
	w.broken = nil
	answers(t, resolve(t, s, "gate"), "first")
}

func TestAChangedSpecServesTheNextCall(t *testing.T) {
	w, s := newWorld(t)
	f := resolve(t, s, "gate")
	release, end := hold(t, w, f)
	w.put("gate", "second")
	s.Invalidate(arn.Default, "gate")
	answers(t, f, "second")
	if n := w.live(); n != 2 {
		t.Errorf("%d functions are open while a call is under way on the old one", n)
	}
	close(release)
	if err := <-end; err != nil {
		t.Errorf("the call that was under way failed: %v", err)
	}
	answers(t, f, "second")
}

func TestARemovedFunctionIsGone(t *testing.T) {
	w, s := newWorld(t)
	f := resolve(t, s, "gate")
	w.specs["gate"] = nil
	s.Invalidate(arn.Default, "gate")
	s.Invalidate(arn.Default, "never opened")
	if n := w.live(); n != 0 {
		t.Errorf("%d functions are open", n)
	}
	if _, err := f.Invoke(t.Context(), nil); !fault.Is(err, fault.Missing) {
		t.Errorf("got %v, want that it does not exist", err)
	}
}

func TestASpecThatChangesWhileItIsReadIsReadAgain(t *testing.T) {
	w, s := newWorld(t)
	w.inLookup = func() {
		w.put("gate", "second")
		s.Invalidate(arn.Default, "gate")
	}
	answers(t, resolve(t, s, "gate"), "second")
	if w.lookups != 2 || w.live() != 1 {
		t.Errorf("%d lookups, %d open", w.lookups, w.live())
	}
}

func TestCloseEndsCallsAlsoOfOldFunctions(t *testing.T) {
	w, s := newWorld(t)
	f := resolve(t, s, "gate")
	_, old := hold(t, w, f)
	s.Invalidate(arn.Default, "gate")
	_, live := hold(t, w, f)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, end := range []<-chan error{old, live} {
		if err := <-end; functions.ReasonOf(err) != functions.Closed {
			t.Errorf("got %v, want that the function was closed", err)
		}
	}
	if _, err := f.Invoke(t.Context(), nil); functions.ReasonOf(err) != functions.Closed {
		t.Errorf("after Close: %v", err)
	}
	if _, err := s.Resolve(t.Context(), arn.Default, "gate"); err == nil || !strings.Contains(err.Error(), "stopping") {
		t.Errorf("after Close: %v", err)
	}
}

func TestManyCallersMeetOneFunction(t *testing.T) {
	w, s := newWorld(t)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			f, err := s.Resolve(t.Context(), arn.Default, "gate")
			if err != nil {
				t.Error(err)
				return
			}
			if i%10 == 0 {
				s.Invalidate(arn.Default, "gate")
			}
			answers(t, f, "first")
		})
	}
	wg.Wait()
	if n := w.live(); n > 1 {
		t.Errorf("%d functions are open", n)
	}
}
