package bulk

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/tasks"
)

// An answer is what became of a line. The certificate's PEM is in its own row
// already.
type answer struct {
	Number      int               `json:"line"`
	Offset      int64             `json:"offset"`
	Certificate arn.CertID        `json:"certificate,omitempty"`
	ARNs        map[string]string `json:"arns,omitempty"`
	Code        string            `json:"code,omitempty"` // of a line that failed
	Message     string            `json:"message,omitempty"`
}

// outcome is what the answer was made of, as far as it holds it.
func (a *answer) outcome() (made Registered, refused error) {
	if a.Code != "" {
		return Registered{}, fault.New(fault.InvalidRequest, "%s", a.Message)
	}
	return Registered{Certificate: a.Certificate, ARNs: a.ARNs}, nil
}

// answers are those of the lines that one transaction wrote, in their order,
// with no line between them that another one wrote. They are one document of the
// store, named by the first line, for as long as their task is worked on.
type answers []*answer

func answersOf(lines []*Line) (all answers) {
	for _, l := range lines {
		a := &answer{Number: l.Number, Offset: l.Offset, Certificate: l.Made.Certificate, ARNs: l.Made.ARNs}
		if l.Refused != nil {
			face, text := fault.Show(l.Refused)
			a = &answer{Number: l.Number, Offset: l.Offset, Code: face.Exception, Message: text}
		}
		all = append(all, a)
	}
	return all
}

// kindOf is the kind of the documents of a task's lines.
func kindOf(task string) string { return tasks.Document + "-line/" + task }

// lineName orders as numbers do.
func lineName(number int) string { return fmt.Sprintf("%012d", number) }

func (all answers) put(ctx context.Context, tx store.Tx, t arn.Tenant, task string) error {
	body, err := json.Marshal(all)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "What became of line %d cannot be written.", all[0].Number)
	}
	return tx.PutDocument(ctx, t, kindOf(task), lineName(all[0].Number), body)
}

func readAnswers(body []byte, task string) (all answers, err error) {
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "What became of lines of task %s is damaged.", task)
	}
	return all, nil
}

// find gives the answers that begin with a line; none if no transaction wrote
// them.
func find(ctx context.Context, tx store.Tx, t arn.Tenant, task string, first int) (answers, error) {
	body, err := tx.Document(ctx, t, kindOf(task), lineName(first))
	if fault.Is(err, fault.Missing) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return readAnswers(body, task)
}

// page is how many documents are read, or forgotten, in one transaction.
const page = 8

// A memory reads the answers of a task in the order of their lines, a page at
// a time.
type memory struct {
	db     store.DB
	tenant arn.Tenant
	task   string

	ahead answers
	after string
	ended bool
}

// next shows the next answer; nil after the last.
func (m *memory) next(ctx context.Context) (*answer, error) {
	for len(m.ahead) == 0 && !m.ended {
		if err := m.more(ctx); err != nil {
			return nil, err
		}
	}
	if len(m.ahead) == 0 {
		return nil, nil
	}
	return m.ahead[0], nil
}

func (m *memory) more(ctx context.Context) error {
	var (
		bodies [][]byte
		next   string
	)
	err := m.db.View(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		_, bodies, next, err = tx.ListDocuments(ctx, m.tenant, kindOf(m.task), ref.Page{After: m.after, Limit: page})
		return err
	})
	if err != nil {
		return err
	}
	m.after, m.ended = next, next == ""
	for _, body := range bodies {
		some, err := readAnswers(body, m.task)
		if err != nil {
			return err
		}
		m.ahead = append(m.ahead, some...)
	}
	return nil
}

// find gives what is remembered of a line, nil if it was not done. Lines are
// asked for in order. Those that were done since the first call may be missed;
// they come before any that is still asked for.
func (m *memory) find(ctx context.Context, number int) (*answer, error) {
	for {
		a, err := m.next(ctx)
		if a == nil || err != nil || a.Number > number {
			return nil, err
		}
		m.ahead = m.ahead[1:]
		if a.Number == number {
			return a, nil
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
			if err := tx.Each(ctx, len(names), func(ctx context.Context, tx store.Tx, i int) error {
				return tx.DeleteDocument(ctx, t, kindOf(k.ID), names[i])
			}); err != nil {
				return err
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

// forget deletes the reports before the task that names them, and the file if
// it was brought for this task.
func (s *Service) forget(ctx context.Context, t arn.Tenant, k *tasks.Task) error {
	for _, key := range []string{k.Results, k.Errors} {
		if key != "" {
			if err := s.remove(ctx, t, ReportBucket, key); err != nil {
				return err
			}
		}
	}
	if err := s.forgetUpload(ctx, t, k); err != nil {
		return err
	}
	return s.DB.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		return tx.DeleteDocument(ctx, t, tasks.Document, k.ID)
	})
}

func (s *Service) forgetUpload(ctx context.Context, t arn.Tenant, k *tasks.Task) error {
	if k.Bucket != tasks.Uploads {
		return nil
	}
	wanted := false
	err := s.DB.View(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		wanted, err = tasks.Names(ctx, tx, t, k.Bucket, k.Key, k.ID)
		return err
	})
	if err != nil || wanted {
		return err
	}
	return s.remove(ctx, t, k.Bucket, k.Key)
}

func (s *Service) remove(ctx context.Context, t arn.Tenant, bucket, key string) error {
	b, err := s.Bucket(ctx, t, bucket)
	if err != nil {
		return err
	}
	return b.Delete(ctx, key)
}
