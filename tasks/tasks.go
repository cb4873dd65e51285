// Package tasks holds bulk registration tasks: what was asked for, and how far
// it came (methods.md, section 9). Working on them is not this package's.
package tasks

import (
	"context"
	"encoding/json"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
)

// Document is the kind of a task's document in the store.
const Document = "registration-task"

// kept is how long a task that ended stays in the store.
const kept = 30 * 24 * time.Hour

// A Status is the state of a task.
type Status string

const (
	InProgress Status = "InProgress"
	Completed  Status = "Completed" // also when lines failed
	Failed     Status = "Failed"    // the task itself, such as an unreadable file
	Cancelled  Status = "Cancelled"
)

// A Task registers the things of one file, a line each.
type Task struct {
	ID       string    `json:"id"`
	Template string    `json:"template"` // its body
	Bucket   string    `json:"bucket"`
	Key      string    `json:"key"`
	Role     string    `json:"role"`
	Status   Status    `json:"status"`
	Message  string    `json:"message,omitempty"`
	Created  time.Time `json:"created"`
	Modified time.Time `json:"modified"`
	Done     int       `json:"done,omitempty"`    // lines registered
	Refused  int       `json:"refused,omitempty"` // lines that failed
	Percent  int       `json:"percent,omitempty"`
}

// Store is what this package asks of a database: documents by name.
type Store interface {
	Document(ctx context.Context, t arn.Tenant, kind, name string) ([]byte, error)
	PutDocument(ctx context.Context, t arn.Tenant, kind, name string, body []byte) error
	DeleteDocument(ctx context.Context, t arn.Tenant, kind, name string) error
	ListDocuments(ctx context.Context, t arn.Tenant, kind string, p ref.Page) (names []string, bodies [][]byte, next string, err error)
}

// Start stores a new task. k gives template, file, role and the moment; Start
// fills the rest. An account has one task in progress at a time. Those that
// ended long ago are forgotten on the way.
func Start(ctx context.Context, s Store, t arn.Tenant, k *Task) error {
	err := each(ctx, s, t, func(old *Task) error {
		if old.Status == InProgress {
			return fault.New(fault.InvalidRequest, "Thing registration task %s is in progress; an account has one at a time. Stop it or wait for its end.", old.ID)
		}
		if k.Created.Sub(old.Modified) < kept {
			return nil
		}
		return s.DeleteDocument(ctx, t, Document, old.ID)
	})
	if err != nil {
		return err
	}
	k.ID = ref.ID(t.String(), Document, k.Bucket+"/"+k.Key, k.Created)
	k.Status, k.Modified = InProgress, k.Created
	return put(ctx, s, t, k)
}

func each(ctx context.Context, s Store, t arn.Tenant, do func(*Task) error) error {
	for p := ref.All; ; {
		page, next, err := List(ctx, s, t, p)
		if err != nil {
			return err
		}
		for _, k := range page {
			if err := do(k); err != nil {
				return err
			}
		}
		if next == "" {
			return nil
		}
		p.After = next
	}
}

// Stop cancels a task; one that was cancelled stays so, and one that ended
// cannot be.
func Stop(ctx context.Context, s Store, t arn.Tenant, id string, now time.Time) error {
	k, err := Get(ctx, s, t, id)
	if err != nil || k.Status == Cancelled {
		return err
	}
	if k.Status != InProgress {
		return fault.New(fault.InvalidRequest, "Thing registration task %s is %s and cannot be stopped.", id, k.Status)
	}
	k.Status, k.Modified = Cancelled, now
	return put(ctx, s, t, k)
}

// Get gives a task.
func Get(ctx context.Context, s Store, t arn.Tenant, id string) (*Task, error) {
	body, err := s.Document(ctx, t, Document, id)
	if fault.Is(err, fault.Missing) {
		return nil, fault.Wrap(fault.Missing, err, "Thing registration task %s does not exist.", arn.Clip(id, 40))
	}
	if err != nil {
		return nil, err
	}
	return open(id, body)
}

// List gives a page of tasks by id, and the cursor of the next.
func List(ctx context.Context, s Store, t arn.Tenant, p ref.Page) ([]*Task, string, error) {
	names, bodies, next, err := s.ListDocuments(ctx, t, Document, p)
	if err != nil {
		return nil, "", err
	}
	out := make([]*Task, len(bodies))
	for i, body := range bodies {
		if out[i], err = open(names[i], body); err != nil {
			return nil, "", err
		}
	}
	return out, next, nil
}

func open(id string, body []byte) (*Task, error) {
	k := new(Task)
	if err := json.Unmarshal(body, k); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "The record of thing registration task %s is damaged.", id)
	}
	return k, nil
}

func put(ctx context.Context, s Store, t arn.Tenant, k *Task) error {
	body, err := json.Marshal(k)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "The record of thing registration task %s cannot be written.", k.ID)
	}
	return s.PutDocument(ctx, t, Document, k.ID, body)
}
