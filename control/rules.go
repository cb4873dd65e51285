package control

import (
	"context"
	"encoding/json"
	"net/url"
	"unicode/utf8"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/rules"
	"github.com/slipway-iot/slipway/store"
)

type ruleName struct {
	RuleName string `json:"ruleName"`
}

// topicRule is a rule's content, in requests and answers. The actions are
// checked against AWS's model and otherwise kept as they came.
type topicRule struct {
	SQL         string            `json:"sql"`
	Description string            `json:"description,omitempty"`
	Created     seconds           `json:"createdAt,omitzero"`
	Actions     []json.RawMessage `json:"actions"`
	Disabled    bool              `json:"ruleDisabled"`
	Version     string            `json:"awsIotSqlVersion"`
	ErrorAction json.RawMessage   `json:"errorAction,omitempty"`
}

type ruleAndPayload struct {
	ruleName
	Payload topicRule `json:"topicRulePayload"`
	Tags    string    `json:"tags"`
}

func (in *ruleAndPayload) rule() *rules.Rule {
	p := in.Payload
	return &rules.Rule{
		Name: in.RuleName, SQL: p.SQL, Description: p.Description, Actions: p.Actions,
		ErrorAction: p.ErrorAction, Disabled: p.Disabled, Version: p.Version,
	}
}

func (s *Server) createTopicRule(ctx context.Context, c *Call, in *ruleAndPayload) (any, error) {
	tags, err := headerTags(in.Tags)
	if err != nil {
		return nil, err
	}
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		r := in.rule()
		r.Tags, r.Created = tags, s.cfg.Now()
		return rules.Create(ctx, tx, c.Tenant, r)
	})
}

// headerTags reads the tags that travel as k=v&k2=v2 in x-amz-tagging.
func headerTags(text string) (map[string]string, error) {
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, fault.New(fault.InvalidRequest, "tags: expected percent-encoded key=value pairs joined by &.")
	}
	tags := make(map[string]string, len(values))
	for key, v := range values {
		if n := utf8.RuneCountInString(key); n < 1 || n > 128 || utf8.RuneCountInString(v[0]) > 256 {
			return nil, fault.New(fault.InvalidRequest, "Tag %q: expected a key of 1 to 128 and a value of up to 256 characters.", arn.Clip(key, 80))
		}
		if len(v) > 1 {
			return nil, fault.New(fault.InvalidRequest, "Tag key %q stands twice.", key)
		}
		tags[key] = v[0]
	}
	return tags, nil
}

func (s *Server) replaceTopicRule(ctx context.Context, c *Call, in *ruleAndPayload) (any, error) {
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		return rules.Replace(ctx, tx, c.Tenant, in.rule())
	})
}

func (s *Server) deleteTopicRule(ctx context.Context, c *Call, in *ruleName) (any, error) {
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		return rules.Delete(ctx, tx, c.Tenant, in.RuleName)
	})
}

func (s *Server) enableTopicRule(ctx context.Context, c *Call, in *ruleName) (any, error) {
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		return rules.Enable(ctx, tx, c.Tenant, in.RuleName, true)
	})
}

func (s *Server) disableTopicRule(ctx context.Context, c *Call, in *ruleName) (any, error) {
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		return rules.Enable(ctx, tx, c.Tenant, in.RuleName, false)
	})
}

func (s *Server) getTopicRule(ctx context.Context, c *Call, in *ruleName) (any, error) {
	var r *rules.Rule
	err := s.view(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		r, err = rules.Get(ctx, tx, c.Tenant, in.RuleName)
		return err
	})
	if err != nil {
		return nil, err
	}
	type rule struct {
		ruleName
		topicRule
	}
	return struct {
		ARN  string `json:"ruleArn"`
		Rule rule   `json:"rule"`
	}{c.Tenant.Resource("rule", r.Name), rule{*in, topicRule{
		SQL: r.SQL, Description: r.Description, Created: seconds{r.Created}, Actions: r.Actions,
		Disabled: r.Disabled, Version: r.Version, ErrorAction: r.ErrorAction,
	}}}, nil
}

type ruleFilter struct {
	Topic    string `json:"topic"`
	Disabled *bool  `json:"ruleDisabled"`
}

func (f ruleFilter) accepts(r *rules.Rule, filter string) bool {
	if f.Disabled != nil && *f.Disabled != r.Disabled {
		return false
	}
	return f.Topic == "" || mqtt.Matches(filter, f.Topic)
}

type topicRuleItem struct {
	ARN      string  `json:"ruleArn"`
	Name     string  `json:"ruleName"`
	Filter   string  `json:"topicPattern,omitempty"`
	Created  seconds `json:"createdAt"`
	Disabled bool    `json:"ruleDisabled"`
}

// listTopicRules filters each page by itself, so that a page may be short.
func (s *Server) listTopicRules(ctx context.Context, c *Call, in *struct {
	byToken
	ruleFilter
}) (any, error) {
	p, err := s.tokenPage(c, in.byToken)
	if err != nil {
		return nil, err
	}
	items := []topicRuleItem{}
	var next string
	err = s.view(ctx, func(ctx context.Context, tx store.Tx) error {
		found, after, err := rules.List(ctx, tx, c.Tenant, p)
		for _, r := range found {
			if filter := r.Filter(); in.accepts(r, filter) {
				items = append(items, topicRuleItem{c.Tenant.Resource("rule", r.Name), r.Name, filter, seconds{r.Created}, r.Disabled})
			}
		}
		next = after
		return err
	})
	return struct {
		Rules     []topicRuleItem `json:"rules"`
		NextToken string          `json:"nextToken,omitempty"`
	}{items, s.seal(c, next)}, err
}

// ruleTaggables is the part of taggables that package rules keeps.
func (s *Server) ruleTaggables() map[string]taggable {
	return map[string]taggable{
		"rule": {
			func(ctx context.Context, tx store.Tx, t arn.Tenant, name string) (map[string]string, error) {
				return rules.Tags(ctx, tx, t, name)
			},
			func(ctx context.Context, tx store.Tx, t arn.Tenant, name string, set map[string]string, remove []string) error {
				return absent(rules.Tag(ctx, tx, t, name, set, remove), "Rule %s does not exist.", name)
			},
		},
	}
}
