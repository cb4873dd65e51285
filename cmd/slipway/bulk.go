package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/slipway-iot/slipway/client/api"
)

// bulkCmd are the verbs about bulk registration: AWS's thing registration
// tasks.
type bulkCmd struct {
	Start  bulkStart  `cmd:"" help:"Register a thing for each line of a file."`
	Status bulkStatus `cmd:"" help:"Show how far a task is, and its reports; the newest without TASK."`
	Stop   bulkStop   `cmd:"" help:"Stop a task; what it registered stays."`
}

const tasksPath = "/thing-registration-tasks"

// A bulkTask is a task as AWS's API shows it.
type bulkTask struct {
	ID       string `json:"taskId"`
	Status   string `json:"status"`
	Message  string `json:"message,omitempty"`
	Bucket   string `json:"inputFileBucket"`
	Key      string `json:"inputFileKey"`
	Created  epoch  `json:"creationDate"`
	Modified epoch  `json:"lastModifiedDate"`
	Done     int    `json:"successCount"`
	Refused  int    `json:"failureCount"`
	Percent  int    `json:"percentageProgress"`

	Results []string `json:"results,omitempty"` // links to its reports
	Errors  []string `json:"errors,omitempty"`
}

func (k *bulkTask) ended() bool { return k.Status != "InProgress" && k.Status != "Cancelling" }

// task asks for a task, and once it has ended for its reports.
func (p *plane) task(ctx context.Context, id string) (*bulkTask, error) {
	var k bulkTask
	if err := p.get(ctx, tasksPath+api.Path(id), &k); err != nil {
		return nil, err
	}
	if !k.ended() {
		return &k, nil
	}
	for kind, links := range map[string]*[]string{"RESULTS": &k.Results, "ERRORS": &k.Errors} {
		query := byToken()
		query.Set("reportType", kind)
		var err error
		if *links, err = all[string](ctx, p, http.MethodGet, tasksPath+api.Path(id, "reports"), query, "resourceLinks"); err != nil {
			return nil, err
		}
	}
	return &k, nil
}

// newestTask is what a person means who names none.
func (p *plane) newestTask(ctx context.Context, status string) (*bulkTask, error) {
	query := byToken()
	if status != "" {
		query.Set("status", status)
	}
	ids, err := all[string](ctx, p, http.MethodGet, tasksPath, query, "taskIds")
	if err != nil {
		return nil, err
	}
	var newest *bulkTask
	for _, id := range ids {
		var k bulkTask
		if err := p.get(ctx, tasksPath+api.Path(id), &k); err != nil {
			return nil, err
		}
		if newest == nil || k.Created > newest.Created {
			newest = &k
		}
	}
	if newest == nil {
		return nil, errors.New("there is no such task: `slipway bulk start FILE --template TEMPLATE` starts one")
	}
	return newest, nil
}

// print shows a task.
func (k *bulkTask) print(s streams) {
	out := sheet{s.out, 12}
	out.line("task", k.ID)
	out.line("file", k.Bucket+"/"+k.Key)
	out.line("status", k.Status+either(!k.ended(), fmt.Sprintf(", %d %%", k.Percent)))
	out.line("message", k.Message)
	out.line("registered", fmt.Sprint(k.Done))
	out.line("failed", fmt.Sprint(k.Refused))
	out.line("results", k.Results...)
	out.line("errors", k.Errors...)
}

// follow shows progress until the task ends.
func (p *plane) follow(ctx context.Context, s streams, id string, lines int) (*bulkTask, error) {
	show := newProgress(s.err, lines)
	defer show.end()
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		k, err := p.task(ctx, id)
		if err != nil {
			return nil, err
		}
		if show.step(k.Done + k.Refused); k.ended() {
			return k, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: the task goes on; `slipway bulk status %s` shows it", ctx.Err(), id)
		case <-time.After(wait):
		}
	}
}

// verdict is the error of a task that did not do all that it was to do.
func (k *bulkTask) verdict() error {
	switch {
	case k.Status == "Failed":
		return fmt.Errorf("task %s failed: %s", k.ID, strings.TrimSuffix(k.Message, "."))
	case k.Status == "Cancelled":
		return fmt.Errorf("task %s was cancelled", k.ID)
	case k.Refused > 0:
		return fmt.Errorf("%s of task %s failed; the report of errors says why", plural(k.Refused, "line"), k.ID)
	}
	return nil
}

// bulkStatus shows a task.
type bulkStatus struct {
	target
	Task string `arg:"" optional:"" help:"Id of the task."`
	Wait bool   `help:"Wait for its end; fail if a line failed."`
	JSON bool   `name:"json" help:"Print a JSON object."`
}

// Run shows it.
func (c *bulkStatus) Run(ctx context.Context, s streams) error {
	p, err := c.connect()
	if err != nil {
		return err
	}
	if c.Task == "" {
		newest, err := p.newestTask(ctx, "")
		if err != nil {
			return err
		}
		c.Task = newest.ID
	}
	var k *bulkTask
	if c.Wait {
		k, err = p.follow(ctx, s, c.Task, 0)
	} else {
		k, err = p.task(ctx, c.Task)
	}
	if err != nil {
		return err
	}
	if err := k.show(s, c.JSON); err != nil || !c.Wait {
		return err
	}
	return k.verdict()
}

func (k *bulkTask) show(s streams, asJSON bool) error {
	if asJSON {
		return writeJSON(s.out, k)
	}
	k.print(s)
	return nil
}

// bulkStop stops a task.
type bulkStop struct {
	target
	Task string `arg:"" optional:"" help:"Id of the task; the one in progress if not given."`
	JSON bool   `name:"json" help:"Print a JSON object."`
}

// Run stops it, and waits until nothing more is registered.
func (c *bulkStop) Run(ctx context.Context, s streams) error {
	p, err := c.connect()
	if err != nil {
		return err
	}
	if c.Task == "" {
		newest, err := p.newestTask(ctx, "InProgress")
		if err != nil {
			return err
		}
		c.Task = newest.ID
	}
	if err := p.call(ctx, http.MethodPut, tasksPath+api.Path(c.Task, "cancel"), url.Values{}, nil, nil); err != nil {
		return err
	}
	k, err := p.follow(ctx, s, c.Task, 0)
	if err != nil {
		return err
	}
	return k.show(s, c.JSON)
}
