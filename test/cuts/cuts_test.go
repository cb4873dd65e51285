package cuts

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/client"
	"github.com/slipway-iot/slipway/client/api"
	"github.com/slipway-iot/slipway/mqtt"
)

var reliability = flag.String("reliability", "", "the document whose table of cuts is written anew")

const (
	many   = 200
	atOnce = 16 // devices that something is done to at a time
)

// A device has an exclusive thing of its own name.
type device struct {
	id     string // of its certificate
	comes  client.Options
	conn   *client.Device
	closed chan time.Time // when it saw the end of its stream
	word   error          // what the server said before; read after closed
}

func (s *site) fleet(series string) []*device {
	s.t.Helper()
	devices := make([]*device, many)
	for i := range devices {
		devices[i] = &device{comes: client.Options{ClientID: fmt.Sprintf("%s-%03d", series, i), Version: []mqtt.Version{mqtt.V5, mqtt.V311}[i%2]}}
	}
	s.all(devices, func(ctx context.Context, d *device) error {
		cert, id, err := s.certificate("device")
		if err != nil {
			return err
		}
		d.id, d.comes = id, s.options(cert, d.comes.ClientID, d.comes.Version)
		if err := s.call(http.MethodPost, api.Path("things", d.comes.ClientID), nil, nil, map[string]any{}, nil); err != nil {
			return err
		}
		return s.attach(ctx, d)
	})
	return devices
}

func (s *site) connect(ctx context.Context, d *device) (err error) {
	if d.conn, err = client.Dial(ctx, d.comes); err != nil {
		return err
	}
	d.closed = make(chan time.Time, 1)
	go func() {
		var said *client.Refused
		if d.word = d.conn.Wait(); errors.As(d.word, &said) {
			_ = d.conn.Wait() // behind DISCONNECT the stream ends
		}
		d.closed <- time.Now()
		d.conn.Abort()
	}()
	return nil
}

// cut asserts that the server ended the connection as it should, and gives how
// long after the answer that was: less than nothing if before.
func (d *device) cut(answered time.Time) (time.Duration, error) {
	var at time.Time
	select {
	case at = <-d.closed:
	case <-time.After(hang):
		return 0, fmt.Errorf("%s is still connected", d.comes.ClientID)
	}
	var said *client.Refused
	if v5 := d.comes.Version == mqtt.V5; v5 && (!errors.As(d.word, &said) || said.Code != mqtt.AdministrativeAction) ||
		!v5 && !errors.Is(d.word, client.ErrClosed) {
		return 0, fmt.Errorf("%s was cut with %v", d.comes.ClientID, d.word)
	}
	return at.Sub(answered), nil
}

// staysOut asserts that the device does not get in again.
func staysOut(ctx context.Context, d *device) error {
	conn, err := client.Dial(ctx, d.comes)
	if err == nil {
		conn.Abort()
		return fmt.Errorf("%s came back", d.comes.ClientID)
	}
	return nil
}

func (s *site) status(d *device, to string) error {
	return s.call(http.MethodPut, api.Path("certificates", d.id), url.Values{"newStatus": {to}}, nil, nil, nil)
}

func (s *site) attach(_ context.Context, d *device) error {
	return s.call(http.MethodPut, api.Path("things", d.comes.ClientID, "principals"), url.Values{"thingPrincipalType": {"EXCLUSIVE_THING"}}, principal(d), nil, nil)
}

func (s *site) detach(_ context.Context, d *device) error {
	return s.call(http.MethodDelete, api.Path("things", d.comes.ClientID, "principals"), nil, principal(d), nil, nil)
}

func principal(d *device) http.Header { return http.Header{"X-Amzn-Principal": {certARN(d.id)}} }

// switchAccount turns the devices' account off or on.
func (s *site) switchAccount(disabled bool) error {
	return s.operator.Do(s.t.Context(), http.MethodPatch, api.Path("slipway", "accounts", account, region), nil, nil, map[string]bool{"disabled": disabled}, nil)
}

// A cause takes the right to be connected from every device.
type cause struct {
	name  string
	end   func(context.Context, *device) error // of one device
	whole func() error                         // of all at once, instead
	undo  func(context.Context, *device) error // nil: it is final
}

// TestWhoMayNoLongerBeConnectedIsCut takes the right to be connected from two
// hundred devices, in every way there is, and measures on the devices' side
// when each saw the end of its stream, from the moment at which the caller had
// the API's answer.
func TestWhoMayNoLongerBeConnectedIsCut(t *testing.T) {
	s := serve(t)
	var table strings.Builder
	table.WriteString("| what happened | p50 | p99 | slowest of 200 | closed before the answer was read |\n|---|--:|--:|--:|--:|\n")
	devices := s.fleet("first")
	for _, c := range []cause{
		{name: "certificate made INACTIVE", end: func(_ context.Context, d *device) error { return s.status(d, "INACTIVE") },
			undo: func(_ context.Context, d *device) error { return s.status(d, "ACTIVE") }},
		{name: "thing detached from an exclusive certificate", end: s.detach, undo: s.attach},
		{name: "account disabled", whole: func() error { return s.switchAccount(true) }},
		{name: "certificate deleted", end: s.delete},
		{name: "certificate made REVOKED", end: func(_ context.Context, d *device) error { return s.status(d, "REVOKED") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "certificate made REVOKED" {
				devices = s.fleet("second") // the first has no certificates any more
			}
			watcher := s.watch()
			s.all(devices, s.connect)
			took := s.measure(devices, c)
			n := len(took)
			early, _ := slices.BinarySearch(took, 0)
			fmt.Fprintf(&table, "| %s | %s | %s | %s | %d |\n", c.name, millis(took[n/2]), millis(took[n*99/100]), millis(took[n-1]), early)
			s.all(devices, staysOut)
			if c.whole != nil { // the watcher was of the account
				must(0, s.switchAccount(false))(t)
			} else {
				toldOf(t, watcher, devices)
			}
			watcher.Abort()
			if c.undo != nil {
				s.all(devices, c.undo)
			}
		})
	}
	t.Log("\n" + table.String())
	if *reliability != "" {
		write(t, *reliability, table.String())
	}
}

// delete deletes a certificate: it has to be INACTIVE and detached first, each
// of which cuts too.
func (s *site) delete(ctx context.Context, d *device) error {
	if err := s.status(d, "INACTIVE"); err != nil {
		return err
	}
	if err := s.detach(ctx, d); err != nil {
		return err
	}
	return s.call(http.MethodDelete, api.Path("certificates", d.id), url.Values{"forceDelete": {"true"}}, nil, nil, nil)
}

// measure gives, in order, how long each device lived on.
func (s *site) measure(devices []*device, c cause) []time.Duration {
	s.t.Helper()
	took := make([]time.Duration, len(devices))
	place := map[*device]int{}
	for i, d := range devices {
		place[d] = i
	}
	answered := time.Time{}
	if c.whole != nil {
		must(0, c.whole())(s.t)
		answered = time.Now()
	}
	s.all(devices, func(ctx context.Context, d *device) (err error) {
		answered := answered
		if c.end != nil {
			if err := c.end(ctx, d); err != nil {
				return err
			}
			answered = time.Now()
		}
		took[place[d]], err = d.cut(answered)
		return err
	})
	slices.Sort(took)
	return took
}

// toldOf asserts that the end of every device's connection was told, with its
// reason.
func toldOf(t *testing.T, watcher *client.Device, devices []*device) {
	t.Helper()
	waiting := map[string]bool{}
	for _, d := range devices {
		waiting[d.comes.ClientID] = true
	}
	for len(waiting) > 0 {
		m := must(watcher.Receive())(t)
		var e struct {
			ClientID, DisconnectReason string
			ClientInitiatedDisconnect  bool
		}
		must(0, json.Unmarshal(m.Payload, &e))(t)
		if waiting[e.ClientID] && (e.DisconnectReason != "SERVER_INITIATED_DISCONNECT" || e.ClientInitiatedDisconnect) {
			t.Errorf("the event is %s", m.Payload)
		}
		delete(waiting, e.ClientID)
	}
}

func millis(d time.Duration) string {
	if d < 0 {
		return "before it"
	}
	return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
}

const tableBegin, tableEnd = "<!-- cuts -->", "<!-- end -->"

// write puts the table into the document.
func write(t *testing.T, path, table string) {
	t.Helper()
	head, rest, begins := strings.Cut(string(must(os.ReadFile(path))(t)), tableBegin)
	_, tail, ends := strings.Cut(rest, tableEnd)
	if !begins || !ends {
		t.Fatalf("%s: expected a section between %s and %s", path, tableBegin, tableEnd)
	}
	must(0, os.WriteFile(path, []byte(head+tableBegin+"\n"+table+tableEnd+tail), 0o644))(t)
}
