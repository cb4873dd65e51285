package dispatch

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/rules"
	"github.com/slipway-iot/slipway/store"
)

// WorkDocument is the kind under which works lie in the store.
const WorkDocument = "rule-work"

// A work is what one rule made of one message, until its actions are done.
type work struct {
	ID        string    `json:"id"`
	Rule      string    `json:"rule"`
	Topic     string    `json:"topic"`
	Payload   []byte    `json:"payload"`
	ClientID  string    `json:"clientId,omitempty"`
	Principal string    `json:"principal,omitempty"`
	Hops      int       `json:"hops,omitempty"`
	At        time.Time `json:"at"`
	Out       []byte    `json:"out"` // of SELECT

	tenant arn.Tenant
	rule   *rules.Compiled
	failed []failure // of the last round
	left   []int     // actions to do; nil: all of them
	round  int
}

// A failure is one action that came to nothing, as an error action hears of it
// (hooks-and-events.md, section 7.5).
type failure struct {
	Action   string `json:"failedAction"`
	Resource string `json:"failedResource"`
	Message  string `json:"errorMessage"`
}

func (d *Dispatcher) keep(ctx context.Context, made []*work) error {
	return d.DB.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		for _, w := range made {
			body, err := json.Marshal(w)
			if err != nil {
				return fault.Wrap(fault.Internal, err, "The work of rule %s cannot be written.", w.Rule)
			}
			if err := tx.PutDocument(ctx, w.tenant, WorkDocument, w.ID, body); err != nil {
				return err
			}
		}
		return nil
	})
}

func (d *Dispatcher) drop(ctx context.Context, w *work) {
	err := d.DB.Update(context.WithoutCancel(ctx), func(ctx context.Context, tx store.Tx) error {
		err := tx.DeleteDocument(ctx, w.tenant, WorkDocument, w.ID)
		if fault.Is(err, fault.Missing) {
			return nil
		}
		return err
	})
	if err != nil { // it stays, and is done once more
		d.Log.ErrorContext(ctx, "rules", slog.String("what", "done work not dropped"), slog.Any("err", err))
	}
}

// lookEvery is how often works are looked for that a dead node left, and
// lease how old they are then.
const (
	lookEvery = 30 * time.Second
	lease     = 5 * time.Minute
)

// Run carries works out until ctx ends. What a process on this store left when
// it was killed is taken up at once if alone is true, since no other lives
// then; else when it is older than any living node would let it grow.
func (d *Dispatcher) Run(ctx context.Context, alone bool) {
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() { d.serve(ctx) })
	}
	defer wg.Wait()
	age := lease
	if alone {
		age = 0
	}
	d.adopt(ctx, age)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			d.adopt(ctx, lease)
		}
	}
}

// adopt takes up works that lie in the store and in nobody's memory.
func (d *Dispatcher) adopt(ctx context.Context, age time.Duration) {
	for _, t := range d.Tenants() {
		if err := d.adoptOf(ctx, t, d.Now().Add(-age)); err != nil && ctx.Err() == nil {
			d.Log.ErrorContext(ctx, "rules", slog.String("what", "left works not read"), slog.Any("err", err))
		}
	}
}

func (d *Dispatcher) adoptOf(ctx context.Context, t arn.Tenant, before time.Time) error {
	var found []*work
	err := d.DB.View(ctx, func(ctx context.Context, tx store.Tx) error {
		found = nil
		_, bodies, _, err := tx.ListDocuments(ctx, t, WorkDocument, ref.Page{Limit: queueLimit})
		for _, b := range bodies {
			w := &work{tenant: t}
			if json.Unmarshal(b, w) == nil && w.At.Before(before) {
				found = append(found, w)
			}
		}
		return err
	})
	if err != nil || len(found) == 0 {
		return err
	}
	book, err := d.rules.of(ctx, d.DB, t)
	if err != nil {
		return err
	}
	for _, w := range found {
		for _, r := range book {
			if r.Name == w.Rule {
				w.rule = r
			}
		}
		switch {
		case d.has(w.ID):
		case w.rule == nil: // the rule went, or was switched off
			d.drop(ctx, w)
		case d.room([]*work{w}):
			if there, err := d.left(ctx, w); err != nil || !there {
				d.release([]*work{w})
				if err != nil {
					return err
				}
				continue
			}
			d.queue <- w
		}
	}
	return nil
}

// left says whether a work that this process now holds still lies in the
// store. A worker may have done and dropped it since it was listed.
func (d *Dispatcher) left(ctx context.Context, w *work) (there bool, err error) {
	err = d.DB.View(ctx, func(ctx context.Context, tx store.Tx) error {
		_, err := tx.Document(ctx, w.tenant, WorkDocument, w.ID)
		there = err == nil
		if fault.Is(err, fault.Missing) {
			return nil
		}
		return err
	})
	return there, err
}

func (d *Dispatcher) has(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.held[id]
}

func (d *Dispatcher) serve(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case w := <-d.queue:
			d.carry(ctx, w)
		}
	}
}

// carry does what is left of a work, and sees to it that the rest is tried
// again later, or is given up.
func (d *Dispatcher) carry(ctx context.Context, w *work) {
	w.round++
	w.failed = w.failed[:0]
	var left []int
	for _, i := range w.todo() {
		if f := d.act(ctx, w, &w.rule.Actions[i], w.Out); f != nil {
			w.failed, left = append(w.failed, *f), append(left, i)
		}
	}
	if ctx.Err() != nil { // the work stays in the store
		return
	}
	w.left = left
	switch {
	case len(left) == 0:
		d.done(ctx, w)
	case w.round < tries:
		wait := d.First << (w.round - 1)
		time.AfterFunc(wait, func() {
			select {
			case d.queue <- w:
			case <-ctx.Done():
			}
		})
	default:
		d.giveUp(ctx, w)
		d.done(ctx, w)
	}
}

func (w *work) todo() []int {
	if w.round > 1 {
		return w.left
	}
	all := make([]int, len(w.rule.Actions))
	for i := range all {
		all[i] = i
	}
	return all
}

func (d *Dispatcher) done(ctx context.Context, w *work) {
	d.drop(ctx, w)
	d.release([]*work{w})
}
