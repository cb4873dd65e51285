package crash

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/client/api"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/store"
)

// TestRetainedMessagesAndWillsOutliveAKill kills the server while a device
// publishes retained messages, and two others with wills are connected, one of
// which may not publish its will any more. What was acknowledged is retained;
// the one will goes out, once, the other does not, and its attempt says why.
func TestRetainedMessagesAndWillsOutliveAKill(t *testing.T) {
	size, binary := sizeOfRun(), build(t)
	for _, b := range backends(t) {
		t.Run(b.name, func(t *testing.T) {
			s := newSessions(t, newNode(t, binary, b.fresh(t)))
			life := s.node.start(t)
			life.awaitReady(t)
			denied, deny := s.another(t)
			heir, _ := s.lasting(t, "heir")
			heir.subscribe(t, "gone/+")
			heir.bye()
			dying, silenced := s.leaves(t, "dying"), denied.leaves(t, "denied")
			deny()
			acknowledged := s.retains(t)
			life.killAfter(t, size.window)
			dying.hangUp() // not before: only the kill ends them
			silenced.hangUp()
			topics := acknowledged()

			last := s.node.start(t)
			last.awaitReady(t)
			if b.bury != nil { // another node may hold what is not known to be dead
				if err := b.bury(t.Context(), s.node); err != nil {
					t.Fatal(err)
				}
			}
			admin := s.node.admin(t)
			for topic := range topics {
				if err := admin.Do(t.Context(), http.MethodGet, api.Path("retainedMessage", topic), nil, nil, nil, nil); err != nil {
					t.Errorf("%s was acknowledged: %v", topic, err)
				}
			}
			t.Logf("%d retained messages were acknowledged", len(topics))
			s.follow(t, "heir").awaits(t, []string{"dying"})
			awaitNote(t, admin, "denied")
			last.stop(t)
			s.settled(t, b)
		})
	}
}

// another is a second certificate with the same policy, and what takes it away.
func (s *sessions) another(t *testing.T) (other *sessions, deny func()) {
	t.Helper()
	admin := s.node.admin(t)
	var made struct {
		ARN  string                      `json:"certificateArn"`
		PEM  string                      `json:"certificatePem"`
		Keys struct{ PrivateKey string } `json:"keyPair"`
	}
	do := func(method, path string, query url.Values, body, out any) {
		t.Helper()
		if err := admin.Do(t.Context(), method, path, query, nil, body, out); err != nil {
			t.Fatal(err)
		}
	}
	do(http.MethodPost, "/keys-and-certificate", url.Values{"setAsActive": {"true"}}, nil, &made)
	target := map[string]any{"target": made.ARN}
	do(http.MethodPut, "/target-policies/all", nil, target, nil)
	pair, err := tls.X509KeyPair([]byte(made.PEM), []byte(made.Keys.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	other = &sessions{node: s.node, host: s.host, roots: s.roots, cert: pair}
	return other, func() { do(http.MethodPost, "/target-policies/all", nil, target, nil) }
}

// leaves connects with a will on "gone/" and the client id.
func (s *sessions) leaves(t *testing.T, client string) *link {
	t.Helper()
	l, _, err := s.connect(&mqtt.Connect{Version: mqtt.V311, ClientID: client, CleanStart: true, KeepAlive: 60,
		Will: &mqtt.Will{Topic: "gone/" + client, Payload: []byte(client), QoS: 1}})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// retains publishes retained messages until the server is gone. stop gives the
// topics that were acknowledged.
func (s *sessions) retains(t *testing.T) (stop func() map[string]bool) {
	t.Helper()
	l, _ := s.lasting(t, "retainer")
	done := make(chan map[string]bool, 1)
	go func() {
		topics := map[string]bool{}
		defer func() { done <- topics }()
		for i := range 5000 {
			topic := fmt.Sprint("state/", i)
			if l.send(&mqtt.Publish{Topic: topic, Payload: []byte("x"), QoS: 1, Retain: true, PacketID: 1}) != nil {
				return
			}
			if _, err := l.r.Next(mqtt.V311); err != nil {
				return
			}
			topics[topic] = true
		}
	}()
	return func() map[string]bool { return <-done }
}

// awaitNote waits until an attempt of the client says that its will was not
// published.
func awaitNote(t *testing.T, c *api.Client, client string) {
	t.Helper()
	for until := time.Now().Add(hang); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		var found []byte
		if err := c.Do(t.Context(), http.MethodGet, "/slipway/attempts", url.Values{"what": {client}}, nil, nil, &found); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(found), "was not published. ") {
			return
		}
	}
	t.Errorf("no attempt of %s says that its will was not published", client)
}

// settled asserts that no will is left, which would go out again.
func (s *sessions) settled(t *testing.T, b backend) {
	t.Helper()
	db, err := b.open(t.Context(), s.node)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err = db.Adopt(t.Context()); err == nil {
		err = db.View(t.Context(), func(ctx context.Context, tx store.Tx) error {
			left, err := tx.LeftWills(ctx, 10)
			if len(left) > 0 {
				t.Errorf("%d wills are left", len(left))
			}
			return err
		})
	}
	if err != nil {
		t.Error(err)
	}
}
