package control

import (
	"context"

	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/tasks"
	"github.com/slipway-iot/slipway/templates"
)

// taskOperations are those of thing registration tasks.
func (s *Server) taskOperations() map[string]operation {
	return map[string]operation{
		"StartThingRegistrationTask":       op(s, s.startRegistrationTask),
		"StopThingRegistrationTask":        op(s, s.stopRegistrationTask),
		"DescribeThingRegistrationTask":    op(s, s.describeRegistrationTask),
		"ListThingRegistrationTasks":       op(s, s.listRegistrationTasks),
		"ListThingRegistrationTaskReports": op(s, s.listRegistrationTaskReports),
	}
}

type taskID struct {
	ID string `json:"taskId"`
}

// taskInput is what a task was started with.
type taskInput struct {
	TemplateBody string `json:"templateBody"`
	Bucket       string `json:"inputFileBucket"`
	Key          string `json:"inputFileKey"`
	RoleARN      string `json:"roleArn"`
}

// queueHeader lets a task wait for its turn, where AWS refuses it.
const queueHeader = "X-Slipway-Queue"

// startRegistrationTask refuses a template that no line could succeed with,
// and a file that is not there.
func (s *Server) startRegistrationTask(ctx context.Context, c *Call, in *taskInput) (any, error) {
	if _, err := templates.Parse([]byte(in.TemplateBody), templates.Inline); err != nil {
		return nil, err
	}
	if s.cfg.Bulk != nil {
		if err := s.cfg.Bulk.Check(ctx, c.Tenant, in.Bucket, in.Key); err != nil {
			return nil, err
		}
	}
	var k *tasks.Task
	err := s.cfg.DB.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		k = &tasks.Task{Template: in.TemplateBody, Bucket: in.Bucket, Key: in.Key, Role: in.RoleARN, Created: s.cfg.Now()}
		return tasks.Start(ctx, tx, c.Tenant, k, c.Header.Get(queueHeader) != "")
	})
	if err != nil {
		return nil, err
	}
	if s.cfg.Bulk != nil {
		s.cfg.Bulk.Wake()
	}
	return taskID{k.ID}, nil
}

func (s *Server) stopRegistrationTask(ctx context.Context, c *Call, in *taskID) (any, error) {
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		return tasks.Stop(ctx, tx, c.Tenant, in.ID, s.cfg.Now())
	})
}

func (s *Server) describeRegistrationTask(ctx context.Context, c *Call, in *taskID) (any, error) {
	var k *tasks.Task
	err := s.view(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		k, err = tasks.Get(ctx, tx, c.Tenant, in.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	return struct {
		taskID
		Created  seconds `json:"creationDate"`
		Modified seconds `json:"lastModifiedDate"`
		taskInput
		Status   tasks.Status `json:"status"`
		Message  string       `json:"message,omitempty"`
		Done     int          `json:"successCount"`
		Refused  int          `json:"failureCount"`
		Progress int          `json:"percentageProgress"`
	}{
		taskID{k.ID}, seconds{k.Created}, seconds{k.Modified}, taskInput{k.Template, k.Bucket, k.Key, k.Role},
		k.Status, k.Message, k.Done, k.Refused, k.Percent,
	}, nil
}

// listRegistrationTasks filters each page by itself, so that a page may be
// short.
func (s *Server) listRegistrationTasks(ctx context.Context, c *Call, in *struct {
	byToken
	Status tasks.Status `json:"status"`
}) (any, error) {
	p, err := s.tokenPage(c, in.byToken)
	if err != nil {
		return nil, err
	}
	ids := []string{}
	var next string
	err = s.view(ctx, func(ctx context.Context, tx store.Tx) error {
		found, after, err := tasks.List(ctx, tx, c.Tenant, p)
		for _, k := range found {
			if in.Status == "" || in.Status == k.Status {
				ids = append(ids, k.ID)
			}
		}
		next = after
		return err
	})
	return struct {
		IDs       []string `json:"taskIds"`
		NextToken string   `json:"nextToken,omitempty"`
	}{ids, s.seal(c, next)}, err
}

// listRegistrationTaskReports gives a link to the report, once there is one:
// when the task has ended and had such lines. Its model knows no
// ResourceNotFoundException.
func (s *Server) listRegistrationTaskReports(ctx context.Context, c *Call, in *struct {
	byToken
	taskID
	Type string `json:"reportType"`
}) (any, error) {
	if _, err := s.tokenPage(c, in.byToken); err != nil {
		return nil, err
	}
	var k *tasks.Task
	err := s.view(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		k, err = tasks.Get(ctx, tx, c.Tenant, in.ID)
		if fault.Is(err, fault.Missing) {
			_, text := fault.Show(err)
			return fault.Wrap(fault.InvalidRequest, err, "%s", text)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	key, links := k.Results, []string{}
	if in.Type == "ERRORS" {
		key = k.Errors
	}
	if key != "" && s.cfg.Bulk != nil {
		link, err := s.cfg.Bulk.Link(ctx, c.Tenant, key)
		if err != nil {
			return nil, err
		}
		links = append(links, link)
	}
	return struct {
		Links []string `json:"resourceLinks"`
		Type  string   `json:"reportType"`
	}{links, in.Type}, nil
}
