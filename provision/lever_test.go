package provision_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/functions"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/provision"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/things"
)

var errDisk = errors.New("disk I/O error")

// A lever is a store that fails when told to: at a statement that writes, at
// the commit, or after it.
type lever struct {
	store.DB
	atWrite     int  // the write that fails, from 1; 0: none
	lostCommit  bool // the transaction fails as it commits: it was not stored
	lostAnswer  bool // the commit succeeds and its answer is lost: it was stored
	afterUpdate func()

	writes int // counted while atWrite is set
}

func (l *lever) Update(ctx context.Context, f func(context.Context, store.Tx) error) error {
	if l.atWrite > 0 {
		l.writes = 0
	}
	err := l.DB.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		if l.atWrite > 0 {
			tx = &failingTx{tx, l}
		}
		err := f(ctx, tx)
		if err == nil && l.lostCommit {
			return errDisk
		}
		return err
	})
	if l.afterUpdate != nil {
		l.afterUpdate()
	}
	if err == nil && l.lostAnswer {
		return errDisk
	}
	return err
}

// conflicting is a lever whose first try of every Update meets a conflict.
type conflicting struct{ store.DB }

func (c conflicting) Update(ctx context.Context, f func(context.Context, store.Tx) error) error {
	conflict := errors.New("conflict")
	err := c.DB.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		if err := f(ctx, tx); err != nil {
			return err
		}
		return conflict
	})
	if !errors.Is(err, conflict) {
		return err
	}
	return c.DB.Update(ctx, f)
}

// A failingTx fails at the write that its lever names.
type failingTx struct {
	store.Tx
	lever *lever
}

func (tx *failingTx) pull() error {
	if tx.lever.writes++; tx.lever.writes == tx.lever.atWrite {
		return errDisk
	}
	return nil
}

func (tx *failingTx) InsertThing(ctx context.Context, th *things.Thing) error {
	return errors.Join(tx.pull(), tx.Tx.InsertThing(ctx, th))
}

func (tx *failingTx) UpdateThing(ctx context.Context, th *things.Thing) error {
	return errors.Join(tx.pull(), tx.Tx.UpdateThing(ctx, th))
}

func (tx *failingTx) PutPolicy(ctx context.Context, p *policy.Record) error {
	return errors.Join(tx.pull(), tx.Tx.PutPolicy(ctx, p))
}

func (tx *failingTx) PutLink(ctx context.Context, t arn.Tenant, k ref.Kind, l ref.Link) (bool, error) {
	err := tx.pull()
	created, done := tx.Tx.PutLink(ctx, t, k, l)
	return created, errors.Join(err, done)
}

func (tx *failingTx) InsertCertificate(ctx context.Context, c *certs.Certificate) error {
	return errors.Join(tx.pull(), tx.Tx.InsertCertificate(ctx, c))
}

func (tx *failingTx) UpdateCertificate(ctx context.Context, c *certs.Certificate) error {
	return errors.Join(tx.pull(), tx.Tx.UpdateCertificate(ctx, c))
}

func (tx *failingTx) InsertIntent(ctx context.Context, i *certs.Intent) error {
	return errors.Join(tx.pull(), tx.Tx.InsertIntent(ctx, i))
}

func (tx *failingTx) DeleteIntent(ctx context.Context, t arn.Tenant, serial string) error {
	return errors.Join(tx.pull(), tx.Tx.DeleteIntent(ctx, t, serial))
}

func (tx *failingTx) InsertToken(ctx context.Context, r *certs.TokenRecord) error {
	return errors.Join(tx.pull(), tx.Tx.InsertToken(ctx, r))
}

func (tx *failingTx) SpendToken(ctx context.Context, r *certs.TokenRecord) error {
	return errors.Join(tx.pull(), tx.Tx.SpendToken(ctx, r))
}

func (tx *failingTx) InsertClaim(ctx context.Context, c *certs.ClaimRecord) error {
	return errors.Join(tx.pull(), tx.Tx.InsertClaim(ctx, c))
}

// A function is the operator's code, which answers what the test says.
type function struct {
	answer string
	err    error
	gone   bool
	during func()           // what happens in the world while it thinks
	hangs  *functions.Calls // if set, it never answers, and is held to these limits

	calls   atomic.Int32
	mu      sync.Mutex
	payload []byte // of the last call
}

func (f *function) Resolve(context.Context, arn.Tenant, string) (functions.Function, error) {
	if f.gone {
		return nil, fault.New(fault.Missing, "Function gate does not exist.")
	}
	return f, nil
}

func (f *function) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	if f.hangs != nil {
		ctx, end, err := f.hangs.Begin(ctx, payload)
		if err != nil {
			return nil, err
		}
		defer end()
		<-ctx.Done()
		return nil, f.hangs.Ended(ctx, "answer")
	}
	f.calls.Add(1)
	f.mu.Lock()
	f.payload = payload
	f.mu.Unlock()
	if f.during != nil {
		f.during()
	}
	if f.err != nil {
		return nil, f.err
	}
	if f.answer == "" {
		return []byte(`{"allowProvisioning":true}`), nil
	}
	return []byte(f.answer), nil
}

func (f *function) Close() error { return nil }

// steps gathers a timeline.
type steps struct {
	mu   sync.Mutex
	all  []string
	made []arn.CertID
}

func (s *steps) Step(name, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, name+": "+text)
}

func (s *steps) Made(id arn.CertID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made = append(s.made, id)
}

var _ provision.Tracer = (*steps)(nil)
