package dispatch_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/attempts"
	"github.com/slipway-iot/slipway/dispatch"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/functions"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/rules"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/store/sqlite"
)

// A site is a dispatcher with everything that it reaches.
type site struct {
	*dispatch.Dispatcher
	t    *testing.T
	db   *watchedDB
	said chan string // what reached a function, a topic or an endpoint

	mu    sync.Mutex
	fails int // how many calls still fail
	kept  []*attempts.Attempt
}

func open(t *testing.T) *site {
	db, err := sqlite.Open(t.Context(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return over(t, db)
}

// A watchedDB says when something was written.
type watchedDB struct {
	store.DB
	wrote chan struct{}
	read  atomic.Pointer[func()] // runs once, after the next View has read
}

func (d *watchedDB) View(ctx context.Context, f func(context.Context, store.Tx) error) error {
	err := d.DB.View(ctx, f)
	if then := d.read.Swap(nil); then != nil {
		(*then)()
	}
	return err
}

func (d *watchedDB) Update(ctx context.Context, f func(context.Context, store.Tx) error) error {
	err := d.DB.Update(ctx, f)
	select {
	case d.wrote <- struct{}{}:
	default:
	}
	return err
}

// over makes a site on a database that is there, as a process that starts does.
func over(t *testing.T, inner store.DB) *site {
	db := &watchedDB{DB: inner, wrote: make(chan struct{}, 1)}
	s := &site{t: t, db: db, said: make(chan string, 100)}
	s.Dispatcher = dispatch.New(dispatch.Config{
		DB: db, Functions: s, Tenants: func() []arn.Tenant { return []arn.Tenant{arn.Default} }, Journal: s,
		Publish: func(m dispatch.Message, qos byte) {
			s.said <- fmt.Sprintf("%s %d %s", m.Topic, qos, m.Payload)
			s.Hear(context.Background(), m)
		},
		Post: func(_ context.Context, _ arn.Tenant, url string, h http.Header, body []byte) error {
			return s.say(fmt.Sprintf("POST %s %v %s", url, h, body))
		},
		Now: time.Now, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler), First: time.Millisecond,
	})
	return s
}

func (s *site) Record(a *attempts.Attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = append(s.kept, a)
}

// say is a call that may fail.
func (s *site) say(text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails > 0 {
		s.fails--
		return errors.New("not today")
	}
	s.said <- text
	return nil
}

func (s *site) Resolve(_ context.Context, _ arn.Tenant, name string) (functions.Function, error) {
	return function{s, name}, nil
}

type function struct {
	s    *site
	name string
}

func (f function) Invoke(_ context.Context, payload []byte) ([]byte, error) {
	return nil, f.s.say(f.name + " " + string(payload))
}

func (f function) Close() error { return nil }

func (s *site) rule(name, sql, actions, onError string) {
	s.t.Helper()
	r := &rules.Rule{Name: name, SQL: sql, ErrorAction: json.RawMessage(onError)}
	if err := json.Unmarshal([]byte(actions), &r.Actions); err != nil {
		s.t.Fatal(err)
	}
	s.update(func(ctx context.Context, tx store.Tx) error { return rules.Create(ctx, tx, arn.Default, r) })
	s.Follow(event.Event{Kind: event.RuleChanged, Tenant: arn.Default, ID: name})
}

func (s *site) update(f func(context.Context, store.Tx) error) {
	s.t.Helper()
	if err := s.db.Update(context.Background(), f); err != nil {
		s.t.Fatal(err)
	}
}

// run lets the site work until the end of the test.
func (s *site) run() {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx, true) }()
	s.t.Cleanup(func() { stop(); <-done })
}

func (s *site) hear(topic, payload string) {
	s.Hear(context.Background(), dispatch.Message{Tenant: arn.Default, Topic: topic, Payload: []byte(payload), ClientID: "c1", Principal: "5b"})
}

// heard waits for what actions said. Messages are worked on side by side, so
// that what they say comes in any order.
func (s *site) heard(want ...string) {
	s.t.Helper()
	var got []string
	for range want {
		select {
		case said := <-s.said:
			got = append(got, said)
		case <-time.After(time.Minute):
			s.t.Fatalf("after %q nothing came; expected %q", got, want)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if d := cmp.Diff(want, got); d != "" {
		s.t.Error(d)
	}
}

// empty waits until no work is left in the store.
func (s *site) empty() {
	s.t.Helper()
	for s.works() > 0 {
		select {
		case <-s.db.wrote:
		case <-time.After(time.Minute):
			s.t.Fatalf("%d works are left", s.works())
		}
	}
}

func (s *site) works() (n int) {
	s.t.Helper()
	err := s.db.View(context.Background(), func(ctx context.Context, tx store.Tx) error {
		names, _, _, err := tx.ListDocuments(ctx, arn.Default, dispatch.WorkDocument, ref.All)
		n = len(names)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

const lambda = `[{"lambda":{"functionArn":"arn:aws:lambda:us-east-1:000000000000:function:f"}}]`

const called = "arn:aws:lambda:us-east-1:000000000000:function:f "

func TestARuleCallsAFunctionWithWhatItSelects(t *testing.T) {
	s := open(t)
	s.rule("r", "SELECT serial AS s, topic(2) AS site, clientid() AS c, principal() AS p FROM 'site/+/boot' WHERE ok", lambda, "")
	s.run()
	s.hear("site/7/boot", `{"serial":"A1","ok":true}`)
	s.hear("site/7/boot", `{"serial":"A2","ok":false}`)
	s.hear("site/7", `{"serial":"A3","ok":true}`)
	s.hear("site/8/boot", `{"serial":"A4","ok":true}`)
	s.heard(called+`{"c":"c1","p":"5b","s":"A1","site":"7"}`, called+`{"c":"c1","p":"5b","s":"A4","site":"8"}`)
	s.empty()
}

func TestAFailedActionIsTriedAgain(t *testing.T) {
	s := open(t)
	s.rule("r", "SELECT * FROM 'a'", lambda, "")
	s.fails = 3
	s.run()
	s.hear("a", `{}`)
	s.heard(called + `{}`)
	s.empty()
	if len(s.kept) != 0 {
		t.Errorf("an attempt was kept: %v", s.kept[0])
	}
}

func TestAnActionThatIsGivenUpIsTold(t *testing.T) {
	s := open(t)
	s.rule("r", "SELECT * FROM 'a'", `[{"lambda":{"functionArn":"f"}},{"republish":{"topic":"b/${id}","qos":1,"roleArn":"x"}}]`, `{"republish":{"topic":"errors","roleArn":"x"}}`)
	s.fails = 1000
	s.run()
	s.hear("a", `{"id":"7","certificateId":"abc"}`)
	s.heard(`b/7 1 {"id":"7","certificateId":"abc"}`)
	var got struct {
		RuleName, Topic, ClientID, Base64OriginalPayload string
		Failures                                         []struct{ FailedAction, FailedResource, ErrorMessage string }
	}
	told := <-s.said
	if err := json.Unmarshal([]byte(told[len("errors 0 "):]), &got); err != nil {
		t.Fatalf("%s: %v", told, err)
	}
	if got.RuleName != "r" || got.Topic != "a" || got.ClientID != "c1" || len(got.Failures) != 1 || got.Failures[0].FailedAction != "LambdaAction" || got.Failures[0].FailedResource != "f" {
		t.Errorf("the error action got %s", told)
	}
	s.empty()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) != 1 || s.kept[0].Door != "rule" || s.kept[0].Outcome != attempts.Failed {
		t.Fatalf("kept %v", s.kept)
	}
	for _, key := range []string{"r", "abc", "5b", "c1"} {
		found := false
		for _, k := range s.kept[0].Keys {
			found = found || k == key
		}
		if !found {
			t.Errorf("the attempt is not found by %s: %v", key, s.kept[0].Keys)
		}
	}
}

func TestWhatWasTakenOutlivesTheProcess(t *testing.T) {
	s := open(t)
	s.rule("r", "SELECT * FROM 'a'", lambda, "")
	s.hear("a", `{"n":1}`) // nobody runs it: the process is gone
	if n := s.works(); n != 1 {
		t.Fatalf("%d works are kept", n)
	}
	again := over(t, s.db.DB)
	again.run()
	again.heard(called + `{"n":1}`)
	again.empty()
}

// A start looks for works that were left while others are done already.
func TestWorkThatIsDoneWhileItIsLookedForIsDoneOnce(t *testing.T) {
	s := open(t)
	s.rule("r", "SELECT * FROM 'a'", lambda, "")
	s.hear("a", `{"n":1}`)
	listed := make(chan struct{})
	read := func() {
		s.empty()
		close(listed)
	}
	s.db.read.Store(&read)
	s.run()
	s.heard(called + `{"n":1}`)
	<-listed
	s.hear("a", `{"n":2}`)
	s.heard(called + `{"n":2}`)
	s.empty()
	if len(s.said) != 0 {
		t.Errorf("also %s", <-s.said)
	}
}

func TestARuleThatWentTakesItsWorkAlong(t *testing.T) {
	s := open(t)
	s.rule("r", "SELECT * FROM 'a'", lambda, "")
	s.hear("a", `{}`)
	s.update(func(ctx context.Context, tx store.Tx) error { return rules.Delete(ctx, tx, arn.Default, "r") })
	again := over(t, s.db.DB)
	again.run()
	again.empty()
	again.hear("a", `{}`)
	if n := again.works(); n != 0 {
		t.Errorf("%d works of a rule that is not there", n)
	}
}

func TestASwitchedOffRuleHearsNothing(t *testing.T) {
	s := open(t)
	s.rule("r", "SELECT * FROM 'a'", lambda, "")
	s.run()
	s.hear("a", `{"n":1}`)
	s.heard(called + `{"n":1}`)
	for _, on := range []bool{false, true} {
		s.update(func(ctx context.Context, tx store.Tx) error { return rules.Enable(ctx, tx, arn.Default, "r", on) })
		s.Follow(event.Event{Kind: event.RuleChanged, Tenant: arn.Default, ID: "r"})
		s.hear("a", fmt.Sprintf(`{"on":%v}`, on))
	}
	s.heard(called + `{"on":true}`)
}

func TestWhatNoRuleWantsNeedNotBeMade(t *testing.T) {
	s := open(t)
	s.rule("r", "SELECT * FROM '$aws/events/presence/+/pump' WHERE false", lambda, "")
	for topic, want := range map[string]bool{"$aws/events/presence/connected/pump": true, "$aws/events/presence/connected/lamp": false} {
		if s.Wants(t.Context(), arn.Default, topic) != want {
			t.Errorf("%s is wanted: %v", topic, !want)
		}
	}
	if s.Wants(t.Context(), arn.Tenant{Account: "111122223333", Region: "us-east-1"}, "$aws/events/presence/connected/pump") {
		t.Error("another account's is wanted")
	}
	s.update(func(ctx context.Context, tx store.Tx) error { return rules.Enable(ctx, tx, arn.Default, "r", false) })
	s.Follow(event.Event{Kind: event.RuleChanged, Tenant: arn.Default, ID: "r"})
	if s.Wants(t.Context(), arn.Default, "$aws/events/presence/connected/pump") {
		t.Error("a rule that is switched off still wants it")
	}
}

func TestRulesInACircleComeToAnEnd(t *testing.T) {
	s := open(t)
	s.rule("r", "SELECT * FROM 'a/#'", `[{"republish":{"topic":"a/b","roleArn":"x"}}]`, "")
	s.run()
	s.hear("a/b", `{}`)
	for range 10 {
		s.heard("a/b 0 {}")
	}
	s.empty()
	if len(s.said) != 0 {
		t.Errorf("it goes on: %s", <-s.said)
	}
}

func TestBasicIngestReachesOneRule(t *testing.T) {
	s := open(t)
	s.rule("one", "SELECT topic() AS t FROM 'other'", `[{"republish":{"topic":"one","roleArn":"x"}}]`, "")
	s.rule("two", "SELECT * FROM 'a/b'", `[{"republish":{"topic":"two","roleArn":"x"}}]`, "")
	s.run()
	s.hear("$aws/rules/one/a/b", `{}`)
	s.heard(`one 0 {"t":"a/b"}`)
	s.empty()
	if len(s.said) != 0 {
		t.Errorf("also %s", <-s.said)
	}
}

func TestAnEndpointIsCalledOnceItConfirmed(t *testing.T) {
	s := open(t)
	s.rule("r", "SELECT * FROM 'a'", `[{"http":{"url":"https://h.example/in?x=1","headers":[{"key":"X-Topic","value":"${topic()}"}]}}]`, "")
	var d *rules.Destination
	s.update(func(ctx context.Context, tx store.Tx) (err error) {
		d, err = rules.Endpoint(ctx, tx, arn.Default, "https://h.example/in", time.Now())
		return err
	})
	s.run()
	s.hear("a", `{}`)
	s.empty() // given up
	s.mu.Lock()
	if len(s.kept) != 1 {
		t.Fatalf("kept %d attempts", len(s.kept))
	}
	s.mu.Unlock()
	s.update(func(ctx context.Context, tx store.Tx) error {
		return rules.Confirm(ctx, tx, arn.Default, d.ID, d.Challenge, time.Now())
	})
	s.hear("a", `{"n":2}`)
	s.heard(`POST https://h.example/in?x=1 map[X-Topic:[a]] {"n":2}`)
	s.empty()
}

func TestAnActionOfAnotherKindSaysThatItCannotRun(t *testing.T) {
	s := open(t)
	s.rule("r", "SELECT * FROM 'a'", `[{"sqs":{"roleArn":"r","queueUrl":"https://q"}}]`, "")
	s.run()
	s.hear("a", `{}`)
	s.empty()
	s.mu.Lock()
	defer s.mu.Unlock()
	want := "SqsAction failed 5 times. Actions of kind sqs are stored, and cannot be carried out here; lambda, republish and http can."
	if len(s.kept) != 1 || s.kept[0].Reason != want {
		t.Errorf("kept %+v", s.kept)
	}
}
