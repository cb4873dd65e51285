// Package tasks holds bulk registration tasks: what was asked for, and how far
// it came (methods.md, section 9). Working on them is not this package's.
package tasks

import (
	"context"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/internal/documents"
	"github.com/slipway-iot/slipway/ref"
)

// Document is the kind of a task's document in the store.
const Document = "registration-task"

// kept is how long a task that ended stays in the store.
// The lines that it made stay: they are things like any other.
const kept = 30 * 24 * time.Hour

// Uploads is the bucket of files that came with a command line, each for a task
// of its own.
const Uploads = "slipway-uploads"

// A Status is the state of a task.
type Status string

const (
	InProgress Status = "InProgress"
	Completed  Status = "Completed"  // also when lines failed
	Failed     Status = "Failed"     // the task itself, such as an unreadable file
	Cancelling Status = "Cancelling" // somebody works on it, and is to stop
	Cancelled  Status = "Cancelled"
)

// Ended says that nothing more happens to a task with the status.
func (s Status) Ended() bool { return s != InProgress && s != Cancelling }

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

	// Who works on the task, and when it was last heard to; empty until
	// somebody does. A worker that is silent for longer than Silence is dead,
	// and another may go on.
	Worker string    `json:"worker,omitempty"`
	Beat   time.Time `json:"beat,omitzero"`
	// Input is the version of the file that the task began with: line numbers
	// of another mean nothing.
	Input string `json:"input,omitempty"`
	// Keys of the report files; empty: there is none.
	Results string `json:"results,omitempty"`
	Errors  string `json:"errors,omitempty"`
	Swept   bool   `json:"swept,omitempty"` // what was remembered of its lines is forgotten
}

// Silence is for how long the worker of a task may not be heard of.
const Silence = 30 * time.Second

// maxWaiting bounds the tasks of an account that wait for their turn.
const maxWaiting = 100

// Store is what this package asks of a database: documents by name.
type Store interface {
	Document(ctx context.Context, t arn.Tenant, kind, name string) ([]byte, error)
	PutDocument(ctx context.Context, t arn.Tenant, kind, name string, body []byte) error
	DeleteDocument(ctx context.Context, t arn.Tenant, kind, name string) error
	ListDocuments(ctx context.Context, t arn.Tenant, kind string, p ref.Page) (names []string, bodies [][]byte, next string, err error)
}

// Start stores a new task. k gives template, file, role and the moment; Start
// fills the rest. An account has one task in progress at a time; one that may
// wait is started after those before it. Those that ended long ago are
// forgotten on the way.
func Start(ctx context.Context, s Store, t arn.Tenant, k *Task, mayWait bool) error {
	before := 0
	err := each(ctx, s, t, func(old *Task) error {
		if !old.Status.Ended() {
			before++
			if !mayWait {
				return fault.New(fault.InvalidRequest, "Thing registration task %s is in progress; an account has one at a time. Stop it or wait for its end.", old.ID)
			}
			k.Message = "It waits until task " + old.ID + " has ended."
		}
		if !old.Stale(k.Created) || old.files() { // those who keep the files forget both
			return nil
		}
		return s.DeleteDocument(ctx, t, Document, old.ID)
	})
	if err != nil {
		return err
	}
	if before >= maxWaiting {
		return fault.New(fault.InvalidRequest, "%d thing registration tasks wait already; no more do.", before)
	}
	k.ID = ref.ID(t.String(), Document, k.Bucket+"/"+k.Key, k.Created)
	k.Status, k.Modified = InProgress, k.Created
	return documents.Put(ctx, s, t, Document, k.ID, k)
}

// Take gives the task that is next to be worked on, which is then the
// worker's, and nil if there is none: the oldest that has not ended, unless
// another worker is at it.
func Take(ctx context.Context, s Store, t arn.Tenant, worker string, now time.Time) (*Task, error) {
	var next *Task
	err := each(ctx, s, t, func(k *Task) error {
		if !k.Status.Ended() && (next == nil || k.Created.Before(next.Created)) {
			next = k
		}
		return nil
	})
	if err != nil || next == nil {
		return nil, err
	}
	if next.Worker != "" && next.Worker != worker && now.Sub(next.Beat) < Silence {
		return nil, nil
	}
	next.Worker, next.Beat, next.Message = worker, now, ""
	return next, documents.Put(ctx, s, t, Document, next.ID, next)
}

// Work changes a task on behalf of its worker. It is fault.Conflict if the
// task is not, or no longer, the worker's.
func Work(ctx context.Context, s Store, t arn.Tenant, id, worker string, now time.Time, change func(*Task)) (*Task, error) {
	k, err := Get(ctx, s, t, id)
	if err != nil {
		return nil, err
	}
	if k.Worker != worker {
		return nil, fault.New(fault.Conflict, "Another server works on thing registration task %s.", id)
	}
	k.Beat = now
	change(k)
	return k, documents.Put(ctx, s, t, Document, k.ID, k)
}

// Stale says that a task ended so long ago that it is forgotten.
func (k *Task) Stale(now time.Time) bool { return k.Swept && now.Sub(k.Modified) >= kept }

// files says whether something in a bucket is to go with the task.
func (k *Task) files() bool { return k.Results != "" || k.Errors != "" || k.Bucket == Uploads }

// Names says whether a task of the account reads the file, other than the one
// with the id.
func Names(ctx context.Context, s Store, t arn.Tenant, bucket, key, but string) (named bool, err error) {
	err = each(ctx, s, t, func(k *Task) error {
		named = named || k.ID != but && k.Bucket == bucket && k.Key == key
		return nil
	})
	return named, err
}

// Leftovers gives the tasks that ended and whose lines are still remembered,
// or that are to be forgotten.
func Leftovers(ctx context.Context, s Store, t arn.Tenant, now time.Time) (out []*Task, err error) {
	err = each(ctx, s, t, func(k *Task) error {
		if k.Status.Ended() && (!k.Swept || k.Stale(now)) {
			out = append(out, k)
		}
		return nil
	})
	return out, err
}

// Sweep notes that a task's lines are forgotten.
func Sweep(ctx context.Context, s Store, t arn.Tenant, id string) error {
	k, err := Get(ctx, s, t, id)
	if err != nil {
		return err
	}
	k.Swept = true
	return documents.Put(ctx, s, t, Document, k.ID, k)
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

// Stop cancels a task: at once, or when its worker has heard of it. One that
// was cancelled stays so, and one that ended cannot be.
func Stop(ctx context.Context, s Store, t arn.Tenant, id string, now time.Time) error {
	k, err := Get(ctx, s, t, id)
	if err != nil || k.Status == Cancelled || k.Status == Cancelling {
		return err
	}
	if k.Status != InProgress {
		return fault.New(fault.InvalidRequest, "Thing registration task %s is %s and cannot be stopped.", id, k.Status)
	}
	k.Status, k.Modified = Cancelling, now
	if k.Worker == "" {
		k.Status, k.Message, k.Swept = Cancelled, "", true
	}
	return documents.Put(ctx, s, t, Document, k.ID, k)
}

// Get gives a task.
func Get(ctx context.Context, s Store, t arn.Tenant, id string) (*Task, error) {
	k, err := documents.Find[Task](ctx, s, t, Document, id)
	if fault.Is(err, fault.Missing) {
		err = fault.Wrap(fault.Missing, err, "Thing registration task %s does not exist.", arn.Clip(id, 40))
	}
	return k, err
}

// List gives a page of tasks by id, and the cursor of the next.
func List(ctx context.Context, s Store, t arn.Tenant, p ref.Page) ([]*Task, string, error) {
	return documents.List[Task](ctx, s, t, Document, p)
}
