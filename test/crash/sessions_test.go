package crash

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/client/api"
	"github.com/slipway-iot/slipway/mqtt"
)

// TestTheServerIsKilledUnderPublishersAndSessions kills the server while devices
// publish to sessions that are connected, sessions that are away, and a shared
// group whose one member is away. Every message that was acknowledged arrives at
// all three, and no session or subscription is lost.
func TestTheServerIsKilledUnderPublishersAndSessions(t *testing.T) {
	size, binary := sizeOfRun(), build(t)
	for _, b := range backends(t) {
		t.Run(b.name, func(t *testing.T) {
			s := newSessions(t, newNode(t, binary, b.fresh(t)))
			first := s.node.start(t)
			first.awaitReady(t)
			for _, who := range []listener{{"away", "work/+"}, {"crew", "$share/crew/work/+"}, {"there", "work/#"}} {
				d, _ := s.lasting(t, who.client)
				d.subscribe(t, who.filter)
				d.bye()
			}
			stop := s.publishers(4)
			there := s.follow(t, "there")
			for i := range 3 * size.pointKills {
				if i > 0 {
					first = s.node.start(t)
					first.awaitReady(t)
				}
				first.killAfter(t, 100*time.Millisecond+time.Duration(rand.Int64N(int64(size.window))))
			}
			last := s.node.start(t)
			last.awaitReady(t)
			acknowledged := stop()
			t.Logf("%d messages were acknowledged", len(acknowledged))
			there.awaits(t, acknowledged)
			for _, client := range []string{"away", "crew"} {
				s.follow(t, client).awaits(t, acknowledged)
			}
			last.stop(t)
		})
	}
}

type listener struct{ client, filter string }

// sessions is a server with one certificate that may do everything.
type sessions struct {
	node  *node
	host  string
	roots *x509.CertPool
	cert  tls.Certificate
}

func newSessions(t *testing.T, n *node) *sessions {
	t.Helper()
	s := &sessions{node: n, roots: x509.NewCertPool()}
	life := n.start(t)
	life.awaitReady(t)
	s.host = n.endpoints(t).Host
	root, err := os.ReadFile(n.endpoints(t).RootCA)
	if err == nil {
		s.roots.AppendCertsFromPEM(root)
		err = s.setUp(t.Context(), n.admin(t))
	}
	if err != nil {
		t.Fatal(err)
	}
	life.kill()
	return s
}

func (s *sessions) setUp(ctx context.Context, admin *api.Client) error {
	var made struct {
		ARN  string                      `json:"certificateArn"`
		PEM  string                      `json:"certificatePem"`
		Keys struct{ PrivateKey string } `json:"keyPair"`
	}
	const all = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}`
	if err := admin.Do(ctx, http.MethodPost, "/policies/all", nil, nil, map[string]any{"policyDocument": all}, nil); err != nil {
		return err
	}
	if err := admin.Do(ctx, http.MethodPost, "/keys-and-certificate", url.Values{"setAsActive": {"true"}}, nil, nil, &made); err != nil {
		return err
	}
	if err := admin.Do(ctx, http.MethodPut, "/target-policies/all", nil, nil, map[string]any{"target": made.ARN}, nil); err != nil {
		return err
	}
	var err error
	s.cert, err = tls.X509KeyPair([]byte(made.PEM), []byte(made.Keys.PrivateKey))
	return err
}

// A link is one connection of a device that speaks MQTT 3.1.1 and keeps its
// session.
type link struct {
	conn *tls.Conn
	r    *mqtt.Reader
}

func (s *sessions) dial(client string) (l *link, present bool, err error) {
	return s.connect(&mqtt.Connect{Version: mqtt.V311, ClientID: client, KeepAlive: 60})
}

func (s *sessions) connect(p *mqtt.Connect) (l *link, present bool, err error) {
	dialer := &tls.Dialer{Config: &tls.Config{ServerName: s.host, RootCAs: s.roots, Certificates: []tls.Certificate{s.cert}}}
	conn, err := dialer.Dial("tcp", s.node.mqtt)
	if err != nil {
		return nil, false, err
	}
	l = &link{conn: conn.(*tls.Conn)}
	l.r = mqtt.NewReader(l.conn, 1<<20)
	_ = l.conn.SetDeadline(time.Now().Add(hang))
	if err := l.send(p); err != nil {
		return nil, false, err
	}
	answer, err := l.r.Next(mqtt.V311)
	if a, ok := answer.(*mqtt.Connack); ok && a.Code == mqtt.Success {
		return l, a.SessionPresent, nil
	}
	return nil, false, errors.Join(errors.New("no CONNACK that accepts"), err, l.conn.Close())
}

func (l *link) send(p mqtt.Packet) error {
	b, err := mqtt.Append(nil, p, mqtt.V311)
	if err == nil {
		_, err = l.conn.Write(b)
	}
	return err
}

func (s *sessions) lasting(t *testing.T, client string) (*link, bool) {
	t.Helper()
	l, present, err := s.dial(client)
	if err != nil {
		t.Fatal(err)
	}
	return l, present
}

func (l *link) subscribe(t *testing.T, filter string) {
	t.Helper()
	err := l.send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: filter, QoS: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := l.r.Next(mqtt.V311)
	if a, ok := p.(*mqtt.Suback); !ok || a.Codes[0].Failed() {
		t.Fatalf("SUBSCRIBE was answered %v, %v", p, err)
	}
}

func (l *link) bye() {
	_ = l.send(&mqtt.Disconnect{})
	l.hangUp()
}

// hangUp ends the connection without DISCONNECT. A link that is not used any
// more, and not hung up either, ends when the garbage collector finds it.
func (l *link) hangUp() { _ = l.conn.Close() }

// publishers publish one message after the other, each until it is
// acknowledged. stop gives those that were.
func (s *sessions) publishers(n int) (stop func() []string) {
	const each = 400 // what all publish fits into a queue
	var (
		mu   sync.Mutex
		done []string
		wg   sync.WaitGroup
	)
	over := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			var l *link
			for j := 0; j < each; {
				select {
				case <-over:
					return
				default:
				}
				if l == nil {
					if l, _, _ = s.dial(fmt.Sprint("publisher-", i)); l == nil {
						time.Sleep(10 * time.Millisecond) // the server is down
						continue
					}
				}
				payload := fmt.Sprintf("%d-%d", i, j)
				if err := l.publish(fmt.Sprint("work/", i), payload); err != nil {
					_ = l.conn.Close()
					l = nil
					continue
				}
				j++
				mu.Lock()
				done = append(done, payload)
				mu.Unlock()
			}
		})
	}
	return func() []string {
		close(over)
		wg.Wait()
		return done
	}
}

func (l *link) publish(topic, payload string) error {
	if err := l.send(&mqtt.Publish{Topic: topic, Payload: []byte(payload), QoS: 1, PacketID: 1}); err != nil {
		return err
	}
	_, err := l.r.Next(mqtt.V311) // PUBACK: nothing else comes
	return err
}

// A follower takes up a session again and again, and gathers what it gets.
type follower struct {
	mu    sync.Mutex
	seen  map[string]bool
	fault string
	news  chan struct{}
}

func (s *sessions) follow(t *testing.T, client string) *follower {
	f := &follower{seen: map[string]bool{}, news: make(chan struct{}, 1)}
	done := make(chan struct{})
	t.Cleanup(func() { <-done })
	go func() {
		defer close(done)
		for t.Context().Err() == nil {
			l, present, err := s.dial(client)
			if err != nil {
				time.Sleep(10 * time.Millisecond) // the server is down
				continue
			}
			if !present {
				f.note("", "the session of "+client+" is gone")
			}
			for {
				p, err := l.r.Next(mqtt.V311)
				if err != nil {
					break
				}
				if m, ok := p.(*mqtt.Publish); ok {
					f.note(string(m.Payload), "")
					_ = l.send(&mqtt.Puback{PacketID: m.PacketID})
				}
			}
			_ = l.conn.Close()
		}
	}()
	return f
}

func (f *follower) note(payload, fault string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen[payload] = true
	f.fault += fault
	select {
	case f.news <- struct{}{}:
	default:
	}
}

// awaits waits until every message has come.
func (f *follower) awaits(t *testing.T, want []string) {
	t.Helper()
	late := time.After(hang)
	for {
		f.mu.Lock()
		missing := slices.DeleteFunc(slices.Clone(want), func(p string) bool { return f.seen[p] })
		fault := f.fault
		f.mu.Unlock()
		if fault != "" {
			t.Fatal(fault)
		}
		if len(missing) == 0 {
			return
		}
		select {
		case <-f.news:
		case <-late:
			t.Fatalf("%d of %d acknowledged messages never came, %q among them", len(missing), len(want), missing[0])
		}
	}
}
