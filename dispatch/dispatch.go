// Package dispatch runs topic rules: it hears every message that was accepted,
// keeps what a rule made of it, and carries out the rule's actions.
//
// What was kept is carried out at least once, a kill of the process included:
// the work of a message is on disk before its sender learns that the message
// was taken, and leaves the store when its actions are done or given up
// (hooks-and-events.md, section 7).
package dispatch

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/attempts"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/functions"
	"github.com/slipway-iot/slipway/internal/metrics"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/rules"
	"github.com/slipway-iot/slipway/rules/sql"
	"github.com/slipway-iot/slipway/store"
)

// A Message is what rules hear.
type Message struct {
	Tenant    arn.Tenant
	Topic     string
	Payload   []byte
	ClientID  string // empty: the server itself published
	Principal string // of the client: a certificate id, an access key id, an authorizer's principal
	Hops      int    // how often rules published it anew
}

// Config is what a Dispatcher needs. All fields but Metrics are required.
type Config struct {
	DB        store.DB
	Functions interface {
		Resolve(ctx context.Context, t arn.Tenant, arnOrName string) (functions.Function, error)
	}
	// Publish hands on what a rule republishes.
	Publish func(m Message, qos byte)
	// Post calls an HTTP endpoint under the guard that http functions have.
	Post    func(ctx context.Context, t arn.Tenant, url string, header http.Header, body []byte) error
	Tenants func() []arn.Tenant
	Journal interface{ Record(*attempts.Attempt) }
	Now     func() time.Time
	Rand    io.Reader
	Log     *slog.Logger
	Metrics *metrics.Metrics

	// First is how long after a failure an action is tried again; each further
	// time takes twice as long. Zero: one second.
	First time.Duration
}

// Bounds of what waits.
const (
	queueLimit = 10_000 // works in memory; more messages are not taken
	workers    = 8
	tries      = 5 // of each action
	maxHops    = 10
)

// A Dispatcher runs the rules of all tenants of a node.
type Dispatcher struct {
	Config
	rules book

	mu    sync.Mutex
	held  map[string]bool // ids of works in memory
	queue chan *work
}

// New makes a Dispatcher. Run starts it.
func New(c Config) *Dispatcher {
	if c.First == 0 {
		c.First = time.Second
	}
	return &Dispatcher{Config: c, held: map[string]bool{}, queue: make(chan *work, queueLimit)}
}

const basicIngest = "$aws/rules/"

// Hear runs the statements of the tenant's rules over a message. It returns
// when what they made of it is on disk; what cannot be kept is dropped and
// counted, since the message itself is not to blame.
func (d *Dispatcher) Hear(ctx context.Context, m Message) {
	book, err := d.rules.of(ctx, d.DB, m.Tenant)
	if err != nil {
		d.lost(ctx, m, "rules not read", err)
		return
	}
	if len(book) == 0 {
		return
	}
	only := ""
	if rest, ok := strings.CutPrefix(m.Topic, basicIngest); ok {
		only, m.Topic, _ = strings.Cut(rest, "/")
	}
	var made []*work
	for _, r := range book {
		if only == "" && !mqtt.Matches(r.Statement.Filter, m.Topic) || only != "" && only != r.Name {
			continue
		}
		if w := d.apply(r, m); w != nil {
			made = append(made, w)
		}
	}
	if len(made) > 0 {
		d.take(ctx, m, made)
	}
}

// Wants says whether a rule hears messages on the topic, so that an event of
// which nobody wants to know need not be made. It is true while the rules
// cannot be read.
func (d *Dispatcher) Wants(ctx context.Context, t arn.Tenant, topic string) bool {
	book, err := d.rules.of(ctx, d.DB, t)
	if err != nil {
		return true
	}
	for _, r := range book {
		if mqtt.Matches(r.Statement.Filter, topic) {
			return true
		}
	}
	return false
}

// apply runs one rule's statement; nil when the message does not pass.
func (d *Dispatcher) apply(r *rules.Compiled, m Message) *work {
	id, err := uuid.NewRandomFromReader(d.Rand)
	if err != nil {
		id = uuid.New()
	}
	w := &work{
		ID: id.String(), tenant: m.Tenant, Rule: r.Name, Topic: m.Topic, Payload: m.Payload, ClientID: m.ClientID,
		Principal: m.Principal, Hops: m.Hops, At: d.Now(), rule: r,
	}
	out, passes := r.Statement.Run(w.message(d))
	if !passes {
		return nil
	}
	w.Out = out
	return w
}

// message is the work's message, as SQL sees it.
func (w *work) message(d *Dispatcher) *sql.Message {
	return &sql.Message{
		Topic: w.Topic, Payload: w.Payload, ClientID: w.ClientID, Principal: w.Principal,
		Account: w.tenant.Account, TraceID: w.ID, Now: w.At, NewUUID: uuid.NewString,
	}
}

// take keeps the works and queues them.
func (d *Dispatcher) take(ctx context.Context, m Message, made []*work) {
	if m.Hops >= maxHops {
		d.lost(ctx, m, "rules in a circle", fault.New(fault.Refused, "Rule %s republished a message that rules had published %d times already.", made[0].Rule, m.Hops))
		return
	}
	if !d.room(made) {
		d.lost(ctx, m, "rule queue full", fault.New(fault.Unavailable, "%d messages wait for rules.", queueLimit))
		return
	}
	if err := d.keep(context.WithoutCancel(ctx), made); err != nil {
		d.release(made)
		d.lost(ctx, m, "rule work not kept", err)
		return
	}
	for _, w := range made {
		d.queue <- w // there is room: held counts what is in it
	}
}

// room holds places for works, if there are any.
func (d *Dispatcher) room(made []*work) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.held)+len(made) > queueLimit {
		return false
	}
	for _, w := range made {
		d.held[w.ID] = true
	}
	return true
}

func (d *Dispatcher) release(made []*work) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range made {
		delete(d.held, w.ID)
	}
}

func (d *Dispatcher) lost(ctx context.Context, m Message, what string, err error) {
	d.Metrics.Dropped(what)
	d.Log.ErrorContext(ctx, "rules", slog.String("what", what), slog.String("tenant", m.Tenant.String()),
		slog.String("topic", arn.Clip(m.Topic, 200)), slog.Any("err", err))
}

// Follow forgets the rules of a tenant that changed them.
func (d *Dispatcher) Follow(e event.Event) {
	switch e.Kind {
	case event.RuleChanged, event.TenantChanged:
		d.rules.forget(e.Tenant)
	}
}

// A book holds the compiled rules of each tenant, as far as they were read.
type book struct {
	mu      sync.RWMutex
	epoch   uint64 // counts what was forgotten: rules read before are stale
	tenants map[arn.Tenant][]*rules.Compiled
}

func (b *book) of(ctx context.Context, db store.DB, t arn.Tenant) ([]*rules.Compiled, error) {
	b.mu.RLock()
	known, ok := b.tenants[t]
	epoch := b.epoch
	b.mu.RUnlock()
	if ok {
		return known, nil
	}
	found, err := read(ctx, db, t)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.epoch == epoch {
		if b.tenants == nil {
			b.tenants = map[arn.Tenant][]*rules.Compiled{}
		}
		b.tenants[t] = found
	}
	return found, nil
}

func (b *book) forget(t arn.Tenant) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.epoch++
	delete(b.tenants, t)
}

// read gives a tenant's rules that are enabled and can run.
func read(ctx context.Context, db store.DB, t arn.Tenant) (out []*rules.Compiled, err error) {
	err = db.View(ctx, func(ctx context.Context, tx store.Tx) error {
		out = []*rules.Compiled{}
		for p := ref.All; ; {
			page, next, err := rules.List(ctx, tx, t, p)
			if err != nil {
				return err
			}
			for _, r := range page {
				if c, err := rules.Compile(r); err == nil && !r.Disabled {
					out = append(out, c)
				}
			}
			if next == "" {
				return nil
			}
			p.After = next
		}
	})
	return out, err
}
