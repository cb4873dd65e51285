// Package bulk works on thing registration tasks (methods.md, section 9): it
// reads a file of one device a line from a bucket, registers each through
// package provision, and leaves two reports.
//
// Lines are done some at a time, and what became of each is remembered in the
// transaction that wrote it, under the line's number; so a server that was
// killed finds, when it goes on, every line either done and remembered or not
// begun, and does none twice. A line that fails does not undo its neighbours. At
// the end the reports are written from what is remembered, the task is marked as
// ended, and only then what is remembered is forgotten:
//
//	take     the oldest task of an account becomes this server's    one write transaction
//	lines    read, and those that are not remembered:               Register
//	           done: everything and the lines' answers              one write transaction
//	           refused: the line's answer alone                     with them, or alone
//	reports  from the remembered answers                            files in a bucket
//	end      Completed, Failed or Cancelled                         one write transaction
//	sweep    the remembered answers go                              many write transactions
//
// Each step may be repeated. Memory holds a batch of lines for each worker,
// however long the file is.
package bulk

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/attempts"
	"github.com/slipway-iot/slipway/buckets"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/internal/metrics"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/tasks"
	"github.com/slipway-iot/slipway/tenants"
)

// Door is how attempts and metrics name this way in.
const Door = "bulk"

// ReportBucket holds the reports of a tenant's tasks.
const ReportBucket = "slipway-registration-reports"

// A Registered is what became of a line.
type Registered struct {
	Thing       string     // its name; empty: the template has none
	Certificate arn.CertID // empty: the template has none
	ARNs        map[string]string
}

// A Line is what Register is to do, and what became of it.
type Line struct {
	Number  int   // in the file, from 1
	Offset  int64 // of its first byte
	Params  map[string]string
	Refused error // why nothing was made; some are refused already
	Made    Registered
	Done    bool // the outcome is on disk
}

// Register registers things as an inline template says, each by itself: package
// provision. It looks ahead unless it is hopeful, and says whether it did
// something in vain. After an error lines that are not Done may be tried again.
type Register func(ctx context.Context, t arn.Tenant, body string, hopeful bool, lines []*Line, join Join) (vain bool, err error)

// A Join writes what became of lines into the transaction that writes them.
// They come in their order. It may be called again.
type Join func(ctx context.Context, tx store.Tx, lines []*Line) error

// Config is what a Service needs.
type Config struct {
	DB       store.DB
	Register Register
	// Bucket finds a tenant's bucket by name.
	Bucket func(ctx context.Context, t arn.Tenant, name string) (buckets.Bucket, error)
	// Worker names this server among those that share the store, and stays
	// the same when it starts again.
	Worker string
	Spool  string // folder for reports while they are written

	Record  func(*attempts.Attempt) // may be nil
	Metrics *metrics.Metrics        // may be nil
	Log     *slog.Logger
	Now     func() time.Time
	Workers int           // batches of lines worked on at the same time; 0: two for each of the processor's threads
	Beat    time.Duration // between two notes of progress; 0: a second
	Pause   time.Duration // before a task that broke off is tried again; 0: two seconds
}

// Service works on tasks. Make one with New; Run does the work.
type Service struct {
	Config
	wake  chan struct{}
	slots chan struct{} // one for each batch at work, of whatever account

	mu      sync.Mutex
	at      map[arn.Tenant]bool // accounts that somebody works for
	stumble map[string]int      // how often a task broke off in a row, by id
}

// New makes a Service. While one batch waits for the disk another one is
// signed: hence two to a thread.
func New(c Config) *Service {
	if c.Workers == 0 {
		c.Workers = 2 * runtime.GOMAXPROCS(0)
	}
	if c.Beat == 0 {
		c.Beat = time.Second
	}
	if c.Pause == 0 {
		c.Pause = 2 * time.Second
	}
	return &Service{Config: c, wake: make(chan struct{}, 1), slots: make(chan struct{}, c.Workers),
		at: map[arn.Tenant]bool{}, stumble: map[string]int{}}
}

// Wake has Run look for tasks now.
func (s *Service) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// look is how often Run looks for tasks that nobody announced: those of a
// server that died, and those to be forgotten.
const look = 30 * time.Second

// Run works on tasks until ctx ends. Lines that are begun are finished then;
// what is left is done when a server runs again.
func (s *Service) Run(ctx context.Context) {
	var group sync.WaitGroup
	defer group.Wait()
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for {
		if err := s.look(ctx, &group); err != nil && ctx.Err() == nil {
			s.Log.ErrorContext(ctx, "bulk: tasks cannot be read", slog.Any("err", err))
		}
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-ticker.C:
		}
	}
}

// look starts work for every account that is not worked for.
func (s *Service) look(ctx context.Context, group *sync.WaitGroup) error {
	for p := (ref.Page{Limit: 250}); ; {
		var page []*tenants.Record
		var next string
		err := s.DB.View(ctx, func(ctx context.Context, tx store.Tx) (err error) {
			page, next, err = tx.ListTenants(ctx, p)
			return err
		})
		if err != nil {
			return err
		}
		for _, r := range page {
			if !r.Disabled && s.begin(r.Tenant) {
				group.Go(func() { s.account(ctx, r.Tenant) })
			}
		}
		if p.After = next; next == "" {
			return nil
		}
	}
}

func (s *Service) begin(t arn.Tenant) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at[t] {
		return false
	}
	s.at[t] = true
	return true
}

// account does what there is to do for an account, one task after the other.
func (s *Service) account(ctx context.Context, t arn.Tenant) {
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.at, t)
	}()
	for ctx.Err() == nil {
		err := s.clean(ctx, t)
		var k *tasks.Task
		if err == nil {
			k, err = s.take(ctx, t)
		}
		if err == nil && k == nil {
			return
		}
		if err == nil {
			err = s.work(ctx, t, k)
		}
		if err != nil && ctx.Err() == nil {
			s.Log.ErrorContext(ctx, "bulk: a task broke off", slog.String("tenant", t.String()), slog.Any("err", err))
			if fault.Is(err, fault.Conflict) { // another server has it now
				return
			}
			rest(ctx, s.Pause)
		}
	}
}

func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// take looks before it writes, so that an idle server writes nothing.
func (s *Service) take(ctx context.Context, t arn.Tenant) (k *tasks.Task, err error) {
	idle := errors.New("nothing to do")
	err = s.DB.View(ctx, func(ctx context.Context, tx store.Tx) error {
		for p := ref.All; ; {
			page, next, err := tasks.List(ctx, tx, t, p)
			if err != nil {
				return err
			}
			for _, k := range page {
				if !k.Status.Ended() {
					return nil
				}
			}
			if p.After = next; next == "" {
				return idle
			}
		}
	})
	if err == idle {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	err = s.DB.Update(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		k, err = tasks.Take(ctx, tx, t, s.Worker, s.Now())
		return err
	})
	return k, err
}

// Check refuses a file that is not there, before a task is made of it.
func (s *Service) Check(ctx context.Context, t arn.Tenant, bucket, key string) error {
	r, _, err := s.open(ctx, t, bucket, key)
	if err != nil {
		return err
	}
	return r.Close()
}
