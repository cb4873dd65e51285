package bulk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/buckets"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/internal/crash"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/tasks"
)

// maxStumbles is how often in a row a task may break off, because its bucket or
// the store does not answer, before it is Failed. A server that starts again
// counts anew.
const maxStumbles = 10

// A job is one task while this server works on it.
type job struct {
	*Service
	t    arn.Tenant
	task *tasks.Task // as it was when the work began
	size int64       // of the file

	mu            sync.Mutex
	done, refused int   // lines
	read          int64 // bytes of those lines
	hopeful       bool  // nothing was done in vain the last time
}

// errStopped says that somebody asked the task to stop.
var errStopped = errors.New("the task is to stop")

// work does a task to its end. An error leaves it in progress.
func (s *Service) work(ctx context.Context, t arn.Tenant, k *tasks.Task) error {
	j := &job{Service: s, t: t, task: k}
	s.Log.InfoContext(ctx, "bulk: a task begins, or goes on", slog.String("tenant", t.String()), slog.String("task", k.ID))
	err := j.lines(ctx)
	switch {
	case err == nil:
		return j.end(ctx, tasks.Completed, "")
	case errors.Is(err, errStopped):
		return j.end(ctx, tasks.Cancelled, "")
	case ctx.Err() != nil || fault.Is(err, fault.Conflict) || s.stumbles(k.ID) && !final(err):
		return err
	}
	s.Log.WarnContext(ctx, "bulk: a task failed", slog.String("task", k.ID), slog.Any("err", err))
	_, text := fault.Show(err)
	return j.end(ctx, tasks.Failed, text)
}

// final says that another try would end alike: the file is not there, is not
// what it was, or is none.
func final(err error) bool { return fault.Is(err, fault.InvalidRequest) }

// stumbles counts, and says whether the task may be tried again.
func (s *Service) stumbles(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stumble[id]++
	return s.stumble[id] < maxStumbles
}

// lines works through the file. One goroutine reads, and passes on what is not
// remembered, some lines at a time; as many as there are slots register; one
// notes progress.
func (j *job) lines(ctx context.Context) error {
	if j.task.Status == tasks.Cancelling {
		return errStopped
	}
	file, err := j.openInput(ctx)
	if err != nil {
		return err
	}
	defer file.Close()
	group, ctx := errgroup.WithContext(ctx)
	over := make(chan struct{})
	group.Go(func() error { return j.watch(ctx, over) })
	group.Go(func() error {
		defer close(over)
		workers, ctx := errgroup.WithContext(ctx)
		batches := make(chan []line)
		workers.Go(func() error {
			defer close(batches)
			return j.feed(ctx, file, batches)
		})
		for range cap(j.slots) {
			workers.Go(func() error { return j.each(ctx, batches) })
		}
		return workers.Wait()
	})
	return group.Wait()
}

// openInput opens the file, and sees to it that it is the one that the task
// began with.
func (j *job) openInput(ctx context.Context) (io.ReadCloser, error) {
	file, o, err := j.open(ctx, j.t, j.task.Bucket, j.task.Key)
	if err != nil {
		return nil, err
	}
	j.size = o.Size
	now, err := j.update(ctx, func(k *tasks.Task) {
		if k.Input == "" {
			k.Input = o.Version
		}
	})
	if err == nil && now.Input != o.Version {
		err = fault.New(fault.InvalidRequest, "The file %s was written anew while the task was in progress.", j.task.Key)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// open opens a file that a task names. That it is missing is the caller's
// mistake.
func (s *Service) open(ctx context.Context, t arn.Tenant, bucket, key string) (io.ReadCloser, buckets.Object, error) {
	b, err := s.Bucket(ctx, t, bucket)
	if err != nil {
		return nil, buckets.Object{}, err
	}
	file, o, err := b.Open(ctx, key)
	if fault.Is(err, fault.Missing) {
		err = fault.Wrap(fault.InvalidRequest, err, "inputFileKey: bucket %s has no object %s.", bucket, arn.Clip(key, 256))
	}
	return file, o, err
}

// A batch is done in one transaction: so many lines, or fewer when they are
// long.
const (
	batchLines = 64
	batchBytes = 256 << 10
)

// feed reads the file, and hands on the lines that are not remembered.
func (j *job) feed(ctx context.Context, file io.Reader, batches chan<- []line) error {
	remembered := &memory{db: j.DB, tenant: j.t, task: j.task.ID}
	var batch []line
	size := 0
	hand := func() error {
		if len(batch) == 0 {
			return nil
		}
		select {
		case batches <- batch:
			batch, size = nil, 0
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	for r := newReader(file); ; {
		l, err := r.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fault.Wrap(fault.Unavailable, err, "The file %s cannot be read to its end.", j.task.Key)
		}
		a, err := remembered.find(ctx, l.number)
		if err != nil {
			return err
		}
		if a != nil { // a batch has no such line in its middle: see answers
			if err := hand(); err != nil {
				return err
			}
			j.count(l, a.Code == "")
			continue
		}
		batch, size = append(batch, l), size+len(l.text)
		if len(batch) == batchLines || size >= batchBytes {
			if err := hand(); err != nil {
				return err
			}
		}
	}
	return hand()
}

// each registers batches until there are no more. A slot is held for a batch,
// so that the tasks of many accounts together take no more than one alone.
func (j *job) each(ctx context.Context, batches <-chan []line) error {
	for batch := range batches {
		select {
		case j.slots <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		err := j.some(context.WithoutCancel(ctx), batch)
		<-j.slots
		if err != nil {
			return fmt.Errorf("lines %d to %d: %w", batch[0].number, batch[len(batch)-1].number, err)
		}
	}
	return nil
}

func (j *job) count(l line, done bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.read += int64(l.bytes)
	if done {
		j.done++
	} else {
		j.refused++
	}
}

// hope says whether the next batch may be expected to go well; learn tells it.
func (j *job) hope() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.hopeful
}

func (j *job) learn(vain bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.hopeful = !vain
}

// watch notes progress until the lines are over, and ends them when somebody
// stops the task.
func (j *job) watch(ctx context.Context, over <-chan struct{}) error {
	ticker := time.NewTicker(j.Beat)
	defer ticker.Stop()
	for {
		select {
		case <-over:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
		now, err := j.update(ctx, j.progress)
		if err != nil {
			return err
		}
		if now.Status == tasks.Cancelling {
			return errStopped
		}
	}
}

// progress writes how far the task came. After a restart the count begins anew
// with what is remembered; until it has caught up, the old figures stay.
func (j *job) progress(k *tasks.Task) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if done := j.done + j.refused; done > k.Done+k.Refused {
		k.Done, k.Refused = j.done, j.refused
		k.Modified = j.Now()
	}
	if j.size > 0 {
		k.Percent = max(k.Percent, int(min(99, j.read*100/j.size)))
	}
}

// update changes the task in the store, and gives it as it now is.
func (j *job) update(ctx context.Context, change func(*tasks.Task)) (k *tasks.Task, err error) {
	err = j.DB.Update(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		k, err = tasks.Work(ctx, tx, j.t, j.task.ID, j.Worker, j.Now(), change)
		return err
	})
	return k, err
}

// end writes the reports, and only then says that the task has ended. Its
// figures are those of the reports.
func (j *job) end(ctx context.Context, status tasks.Status, message string) error {
	r, err := j.report(ctx)
	if err != nil {
		return err
	}
	crash.Point("bulk.reported")
	_, err = j.update(ctx, func(k *tasks.Task) {
		k.Status, k.Message, k.Modified = status, message, j.Now()
		k.Done, k.Refused, k.Results, k.Errors = r.results.lines, r.errors.lines, r.results.key, r.errors.key
		if status == tasks.Completed {
			k.Percent = 100
		}
	})
	if err != nil {
		return err
	}
	crash.Point("bulk.ended")
	j.Service.mu.Lock()
	delete(j.stumble, j.task.ID)
	j.Service.mu.Unlock()
	j.Log.InfoContext(ctx, "bulk: a task ended", slog.String("tenant", j.t.String()), slog.String("task", j.task.ID),
		slog.String("status", string(status)), slog.Int("registered", r.results.lines), slog.Int("failed", r.errors.lines))
	return nil
}
