package bulk

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/tasks"
)

// An answer is what became of a line: one document of the store, named by the
// line's number, for as long as its task is worked on. The certificate's PEM is
// in its own row already.
type answer struct {
	Offset      int64             `json:"offset"`
	Certificate arn.CertID        `json:"certificate,omitempty"`
	ARNs        map[string]string `json:"arns,omitempty"`
	Code        string            `json:"code,omitempty"` // of a line that failed
	Message     string            `json:"message,omitempty"`

	number int
}

// kindOf is the kind of the documents of a task's lines.
func kindOf(task string) string { return tasks.Document + "-line/" + task }

// lineName orders as numbers do.
func lineName(number int) string { return fmt.Sprintf("%012d", number) }

func (a answer) put(ctx context.Context, tx store.Tx, t arn.Tenant, task string, number int) error {
	body, err := json.Marshal(a)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "What became of line %d cannot be written.", number)
	}
	return tx.PutDocument(ctx, t, kindOf(task), lineName(number), body)
}

// page is how many answers are read, or forgotten, in one transaction.
const page = 500

// A memory reads the answers of a task in the order of their lines, a page at
// a time.
type memory struct {
	db     store.DB
	tenant arn.Tenant
	task   string

	ahead []*answer
	after string
	ended bool
}

// next gives the next answer; nil after the last.
func (m *memory) next(ctx context.Context) (*answer, error) {
	for len(m.ahead) == 0 && !m.ended {
		if err := m.more(ctx); err != nil {
			return nil, err
		}
	}
	if len(m.ahead) == 0 {
		return nil, nil
	}
	a := m.ahead[0]
	m.ahead = m.ahead[1:]
	return a, nil
}

func (m *memory) more(ctx context.Context) error {
	var (
		names  []string
		bodies [][]byte
		next   string
	)
	err := m.db.View(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		names, bodies, next, err = tx.ListDocuments(ctx, m.tenant, kindOf(m.task), ref.Page{After: m.after, Limit: page})
		return err
	})
	if err != nil {
		return err
	}
	m.after, m.ended = next, next == ""
	for i, body := range bodies {
		a := new(answer)
		err := json.Unmarshal(body, a)
		if err == nil {
			a.number, err = strconv.Atoi(names[i])
		}
		if err != nil {
			return fault.Wrap(fault.Internal, err, "What became of a line of task %s is damaged.", m.task)
		}
		m.ahead = append(m.ahead, a)
	}
	return nil
}

// find gives what is remembered of a line, nil if it was not done. Lines are
// asked for in order. Those that were done since the first call may be missed;
// they come before any that is still asked for.
func (m *memory) find(ctx context.Context, number int) (*answer, error) {
	for {
		a, err := m.next(ctx)
		if a == nil || err != nil {
			return nil, err
		}
		if a.number == number {
			return a, nil
		}
		if a.number > number {
			m.ahead = append([]*answer{a}, m.ahead...)
			return nil, nil
		}
	}
}

// clean forgets the lines of tasks that ended, and after their time the tasks
// with their reports.
func (s *Service) clean(ctx context.Context, t arn.Tenant) error {
	var left []*tasks.Task
	err := s.DB.View(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		left, err = tasks.Leftovers(ctx, tx, t, s.Now())
		return err
	})
	if err != nil {
		return err
	}
	for _, k := range left {
		if k.Swept {
			err = s.forget(ctx, t, k)
		} else {
			err = s.sweep(ctx, t, k)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) sweep(ctx context.Context, t arn.Tenant, k *tasks.Task) error {
	for more := true; more; {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := s.DB.Update(ctx, func(ctx context.Context, tx store.Tx) error {
			names, _, next, err := tx.ListDocuments(ctx, t, kindOf(k.ID), ref.Page{Limit: page})
			if err != nil {
				return err
			}
			for _, name := range names {
				if err := tx.DeleteDocument(ctx, t, kindOf(k.ID), name); err != nil {
					return err
				}
			}
			if more = next != ""; more {
				return nil
			}
			return tasks.Sweep(ctx, tx, t, k.ID)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// forget deletes the reports before the task that names them.
func (s *Service) forget(ctx context.Context, t arn.Tenant, k *tasks.Task) error {
	b, err := s.Bucket(ctx, t, ReportBucket)
	if err != nil {
		return err
	}
	for _, key := range []string{k.Results, k.Errors} {
		if key != "" {
			if err := b.Delete(ctx, key); err != nil {
				return err
			}
		}
	}
	return s.DB.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		return tx.DeleteDocument(ctx, t, tasks.Document, k.ID)
	})
}
