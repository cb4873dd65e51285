package control

import (
	"context"
	"slices"
	"strings"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/store"
)

type authInfo struct {
	ActionType string   `json:"actionType"`
	Resources  []string `json:"resources"`
}

// judgedActions are the actions that TestAuthorization knows.
var judgedActions = map[string]string{
	"CONNECT": "iot:Connect", "PUBLISH": "iot:Publish", "SUBSCRIBE": "iot:Subscribe", "RECEIVE": "iot:Receive",
}

func (i authInfo) check() error {
	if i.ActionType == "" {
		return fault.New(fault.InvalidRequest, "authInfos: actionType must be given, one of CONNECT, PUBLISH, SUBSCRIBE and RECEIVE.")
	}
	for _, r := range i.Resources {
		if r != "*" && !strings.HasPrefix(r, "arn:") {
			return fault.New(fault.InvalidRequest, "authInfos: resource %q is no ARN; expected one such as arn:aws:iot:REGION:ACCOUNT:topic/NAME.", arn.Clip(r, 120))
		}
	}
	return nil
}

// The decisions of AWS, from the one that yields to all to the one that wins.
var authDecisions = []string{"ALLOWED", "IMPLICIT_DENY", "EXPLICIT_DENY"}

type authResult struct {
	Info    authInfo   `json:"authInfo"`
	Allowed policyList `json:"allowed"`
	Denied  struct {
		Implicit policyList `json:"implicitDeny"`
		Explicit policyList `json:"explicitDeny"`
	} `json:"denied"`
	Decision string   `json:"authDecision"`
	Missing  []string `json:"missingContextValues"`

	// Statements is ours: which statement decided on each resource. AWS's
	// tools pass over it.
	Statements []decidingStatement `json:"decidingStatements"`
}

type decidingStatement struct {
	Resource string `json:"resource"`
	Decision string `json:"authDecision"`
	Policy   string `json:"policyName,omitempty"`
	Version  string `json:"policyVersionId,omitempty"`
	Sid      string `json:"sid,omitempty"`
	Index    *int   `json:"statement,omitempty"` // in the document, from 0
	Sentence string `json:"sentence"`
}

// testAuthorization answers as the gateway would, if the principal connected
// with the client id. A result is about all its resources: the worst decision
// counts, and each list names the policies of which it holds for any of them.
func (s *Server) testAuthorization(ctx context.Context, c *Call, in *struct {
	principalOrPool
	Infos    []authInfo `json:"authInfos"`
	ClientID string     `json:"clientId"`
	Add      []string   `json:"policyNamesToAdd"`
	Skip     []string   `json:"policyNamesToSkip"`
}) (any, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	if in.Principal == "" {
		return nil, fault.New(fault.InvalidRequest, "principal must be given: the ARN of a certificate.")
	}
	for _, i := range in.Infos {
		if err := i.check(); err != nil {
			return nil, err
		}
	}
	var u *suspect
	err := s.view(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		if u, err = s.suspect(ctx, tx, c.Tenant, in.Principal, in.ClientID); err != nil {
			return err
		}
		return u.add(ctx, tx, in.Add)
	})
	if err != nil {
		return nil, err
	}
	u.policies = slices.DeleteFunc(u.policies, func(r *policy.Record) bool { return slices.Contains(in.Skip, r.Name) })
	bound, err := u.bind()
	if err != nil {
		return nil, err
	}
	results := make([]authResult, len(in.Infos))
	for i, info := range in.Infos {
		results[i] = judge(c, bound, info)
	}
	return struct {
		Results []authResult `json:"authResults"`
	}{results}, nil
}

func judge(c *Call, bound *policy.Bound, info authInfo) authResult {
	action := judgedActions[info.ActionType]
	worst, missing := 0, []string{}
	var allow, silent, deny []string
	out := authResult{Info: info}
	for _, resource := range info.Resources {
		d := bound.Decide(action, resource)
		rank := rankOf(d)
		worst = max(worst, rank)
		missing = append(missing, d.Missing...)
		out.Statements = append(out.Statements, deciding(d, action, resource, rank))
		for _, v := range bound.Votes(action, resource) {
			switch {
			case v.Denies:
				deny = append(deny, v.Policy)
			case v.Allows:
				allow = append(allow, v.Policy)
			default:
				silent = append(silent, v.Policy)
			}
		}
	}
	out.Decision, out.Missing = authDecisions[worst], once(missing)
	out.Allowed.Policies = c.policies(once(allow))
	out.Denied.Implicit.Policies = c.policies(once(silent))
	out.Denied.Explicit.Policies = c.policies(once(deny))
	return out
}

func rankOf(d policy.Decision) int {
	switch {
	case d.Allowed:
		return 0
	case d.Explicit:
		return 2
	}
	return 1
}

func deciding(d policy.Decision, action, resource string, rank int) decidingStatement {
	out := decidingStatement{
		Resource: resource, Decision: authDecisions[rank], Policy: d.Policy, Version: d.Version, Sid: d.Sid,
		Sentence: d.Sentence(action, resource),
	}
	if d.Statement >= 0 {
		out.Index = &d.Statement
	}
	return out
}

// once sorts names and drops repetitions.
func once(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}
