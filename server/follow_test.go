package server

import (
	"context"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/client"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/tenants"
)

func (l *storeLever) Outbox(ctx context.Context, limit int) ([]event.Event, int64, error) {
	if err := l.pull(&l.noOutbox); err != nil {
		return nil, 0, err
	}
	return l.DB.Outbox(ctx, limit)
}

func (l *storeLever) Forget(ctx context.Context, position int64) error {
	if err := l.pull(&l.noForget); err != nil {
		return err
	}
	return l.DB.Forget(ctx, position)
}

// levered starts a server whose own look at the store can be made to fail.
func levered(t *testing.T) (*site, *storeLever) {
	t.Helper()
	log := &buffer{}
	srv, err := made(t, t.TempDir(), func(c *Config) { c.Log = slog.New(slog.NewTextHandler(log, nil)) })
	must(t, err)
	l := &storeLever{DB: srv.db}
	srv.db = l
	srv.hosts.db = l
	return run(t, srv, log), l
}

// longAgo makes the node's last beat older than the limit.
func (s *site) longAgo() {
	past := time.Now().Add(-followLimit - time.Second)
	s.pulse.last.Store(&past)
}

// A node that cannot learn what was revoked admits nobody, and somebody again
// once it has.
func TestRevocationFailsClosed(t *testing.T) {
	s, l := levered(t)
	s.furnish()
	r, conn, err := s.device("1").Provision(context.Background())
	must(t, err)
	conn.Close()
	l.set(&l.noOutbox, true)
	for !strings.Contains(s.log.String(), "msg=outbox") { // until the server itself has met the failure
		runtime.Gosched()
	}
	s.longAgo()
	_, err = client.Dial(context.Background(), s.options(r.Cert, "lamp-1"))
	if err == nil || !strings.Contains(err.Error(), "it might miss a revocation") {
		t.Errorf("CONNECT gave %v", err)
	}
	if status, body := s.get("/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "has not learned") {
		t.Errorf("readyz: %d %s", status, body)
	}
	if status, _ := s.get("/healthz"); status != http.StatusOK {
		t.Errorf("healthz: %d", status)
	}
	if lag, err := strconv.ParseFloat(s.series()["slipway_follow_lag_seconds"], 64); err != nil || lag < followLimit.Seconds() {
		t.Errorf("the metrics tell a lag of %v (%v)", lag, err)
	}
	id := arn.IDOf(r.Cert.Certificate[0])
	s.setStatus(id, certs.Revoked)
	l.set(&l.noOutbox, false)
	must(t, s.drainOnce(context.Background()))
	if _, err = client.Dial(context.Background(), s.options(r.Cert, "lamp-1")); err == nil || !strings.Contains(err.Error(), "REVOKED") {
		t.Errorf("CONNECT gave %v", err)
	}
	if status, _ := s.get("/readyz"); status != http.StatusOK {
		t.Errorf("readyz: %d", status)
	}
	_, conn, err = s.device("2").Provision(context.Background())
	must(t, err)
	conn.Close()
}

// What was told and could not be forgotten, as when the disk is full, was
// learned all the same: devices may come.
func TestWhatCannotBeForgottenWasLearned(t *testing.T) {
	s, l := levered(t)
	l.set(&l.noForget, true) // first of all: what the server has forgotten leaves nothing to tell
	s.furnish()
	s.longAgo()
	if err := s.drainOnce(context.Background()); err == nil {
		t.Error("the failure is not told")
	}
	must(t, s.fresh())
}

// A change of tenants that could not be read again is read later, and nobody
// is admitted long before it was.
func TestTenantsThatCouldNotBeRead(t *testing.T) {
	s, l := levered(t)
	l.set(&l.noViews, true)
	s.update(func(ctx context.Context, tx store.Tx) error {
		_, err := tenants.Create(ctx, tx, other, time.Now())
		return err
	})
	for s.hosts.repaired() { // until the drain has met the event
		must(t, ignoreDisk(s.drainOnce(context.Background())))
	}
	s.longAgo()
	if err := s.drainOnce(context.Background()); err == nil {
		t.Error("the failure is not told")
	}
	if s.fresh() == nil {
		t.Error("the node believes that it follows")
	}
	l.set(&l.noViews, false)
	must(t, s.drainOnce(context.Background()))
	must(t, s.fresh())
	if _, known := s.hosts.Tenant("111122223333.us-east-1.localhost"); !known {
		t.Error("the tenant was not read")
	}
}

func ignoreDisk(err error) error {
	if err == errDisk {
		return nil
	}
	return err
}

// Events of a run that died before it told them are told by the next one.
func TestEventsOfADeadRunAreToldAgain(t *testing.T) {
	data := t.TempDir()
	dead, err := made(t, data)
	must(t, err)
	must(t, dead.db.Update(context.Background(), func(ctx context.Context, tx store.Tx) error {
		_, err := tenants.Create(ctx, tx, other, time.Now())
		return err
	}))
	dead.Close() // it never ran, so it told nobody

	srv, err := made(t, data)
	must(t, err)
	var mu sync.Mutex
	var told []event.Event
	srv.bus.Subscribe(func(e event.Event) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, e)
	})
	s := run(t, srv, &buffer{})
	must(t, s.drainOnce(context.Background()))
	mu.Lock()
	defer mu.Unlock()
	if !slices.ContainsFunc(told, func(e event.Event) bool { return e.Kind == event.TenantChanged && e.Tenant == other }) {
		t.Errorf("told: %+v", told)
	}
}

// What the last moments before a stop did is told before the store closes.
func TestAStopEmptiesTheOutbox(t *testing.T) {
	data := t.TempDir()
	s := start(t, data)
	for range 50 {
		s.update(func(ctx context.Context, tx store.Tx) error {
			tx.Emit(event.Event{Kind: event.ThingChanged, Tenant: arn.Default, ID: "lamp"})
			return nil
		})
	}
	must(t, s.stop())
	again, err := made(t, data)
	must(t, err)
	defer again.Close()
	left, _, err := again.db.Outbox(context.Background(), 1000)
	must(t, err)
	if len(left) != 0 {
		t.Errorf("%d events are left", len(left))
	}
}

// An account that is switched off loses its name and its connections.
func TestATenantIsSwitchedOffWhileItRuns(t *testing.T) {
	s := start(t, t.TempDir())
	s.furnish()
	_, conn, err := s.device("1").Provision(context.Background())
	must(t, err)
	defer conn.Close()
	d := s.device("2")
	s.update(func(ctx context.Context, tx store.Tx) error {
		return tenants.SetDisabled(ctx, tx, arn.Default, true, time.Now())
	})
	must(t, s.drainOnce(context.Background()))
	_ = conn.Wait() // it is cut
	if _, _, err := d.Provision(context.Background()); err == nil {
		t.Error("a device of an account that is switched off was admitted")
	}
}
