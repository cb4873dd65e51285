package control

import (
	"context"

	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/store"
)

type policyName struct {
	PolicyName string `json:"policyName"`
}

type policySummary struct {
	Name string `json:"policyName"`
	ARN  string `json:"policyArn"`
}

func (c *Call) policies(names []string) []policySummary {
	list := make([]policySummary, len(names))
	for i, name := range names {
		list[i] = policySummary{name, c.Tenant.Policy(name)}
	}
	return list
}

func (s *Server) createPolicy(ctx context.Context, c *Call, in *struct {
	policyName
	Document string  `json:"policyDocument"`
	Tags     tagList `json:"tags"`
}) (any, error) {
	tags, err := in.Tags.byKey()
	if err != nil {
		return nil, err
	}
	var r *policy.Record
	err = s.cfg.DB.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		r, err = policy.Create(ctx, tx, c.Tenant, in.PolicyName, in.Document, tags, s.cfg.Now())
		return err
	})
	if err != nil {
		return nil, err
	}
	return struct {
		policySummary
		Document  string `json:"policyDocument"`
		VersionID string `json:"policyVersionId"`
	}{policySummary{r.Name, c.Tenant.Policy(r.Name)}, in.Document, r.Default}, nil
}

func (s *Server) policy(ctx context.Context, c *Call, name string) (r *policy.Record, err error) {
	err = s.view(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		r, err = tx.Policy(ctx, c.Tenant, name)
		return absent(err, "Policy %s does not exist.", name)
	})
	return r, err
}

func (s *Server) getPolicy(ctx context.Context, c *Call, in *policyName) (any, error) {
	r, err := s.policy(ctx, c, in.PolicyName)
	if err != nil {
		return nil, err
	}
	return struct {
		policySummary
		Document   string  `json:"policyDocument"`
		Default    string  `json:"defaultVersionId"`
		Created    seconds `json:"creationDate"`
		Modified   seconds `json:"lastModifiedDate"`
		Generation string  `json:"generationId"`
	}{
		policySummary{r.Name, c.Tenant.Policy(r.Name)}, r.Version(r.Default).Document, r.Default,
		seconds{r.Created}, seconds{r.Modified}, r.Generation,
	}, nil
}

func (s *Server) listPolicies(ctx context.Context, c *Call, in *byMarker) (any, error) {
	p, err := s.markerPage(c, *in)
	if err != nil {
		return nil, err
	}
	p.Descending = in.AscendingOrder != nil && !*in.AscendingOrder
	var found []string
	var next string
	err = s.view(ctx, func(ctx context.Context, tx store.Tx) error {
		records, after, err := tx.ListPolicies(ctx, c.Tenant, p)
		found = make([]string, len(records))
		for i, r := range records {
			found[i] = r.Name
		}
		next = after
		return err
	})
	return policyList{c.policies(found), s.seal(c, next)}, err
}

type policyList struct {
	Policies   []policySummary `json:"policies"`
	NextMarker string          `json:"nextMarker,omitempty"`
}

func (s *Server) deletePolicy(ctx context.Context, c *Call, in *policyName) (any, error) {
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		return policy.Delete(ctx, tx, c.Tenant, in.PolicyName, s.cfg.Now())
	})
}

func (s *Server) createPolicyVersion(ctx context.Context, c *Call, in *struct {
	policyName
	Document   string `json:"policyDocument"`
	SetDefault bool   `json:"setAsDefault"`
}) (any, error) {
	var v *policy.VersionRecord
	err := s.cfg.DB.Update(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		_, v, err = policy.CreateVersion(ctx, tx, c.Tenant, in.PolicyName, in.Document, in.SetDefault, s.cfg.Now())
		return err
	})
	if err != nil {
		return nil, err
	}
	return struct {
		ARN       string `json:"policyArn"`
		Document  string `json:"policyDocument"`
		VersionID string `json:"policyVersionId"`
		IsDefault bool   `json:"isDefaultVersion"`
	}{c.Tenant.Policy(in.PolicyName), v.Document, v.ID, in.SetDefault}, nil
}

type policyVersion struct {
	policyName
	VersionID string `json:"policyVersionId"`
}

func (s *Server) getPolicyVersion(ctx context.Context, c *Call, in *policyVersion) (any, error) {
	r, err := s.policy(ctx, c, in.PolicyName)
	if err != nil {
		return nil, err
	}
	v := r.Version(in.VersionID)
	if v == nil {
		return nil, fault.New(fault.Missing, "Policy %s has no version %s.", r.Name, in.VersionID)
	}
	return struct {
		policySummary
		Document   string  `json:"policyDocument"`
		VersionID  string  `json:"policyVersionId"`
		IsDefault  bool    `json:"isDefaultVersion"`
		Created    seconds `json:"creationDate"`
		Modified   seconds `json:"lastModifiedDate"`
		Generation string  `json:"generationId"`
	}{
		policySummary{r.Name, c.Tenant.Policy(r.Name)}, v.Document, v.ID, v.ID == r.Default,
		seconds{v.Created}, seconds{v.Created}, r.Generation,
	}, nil
}

func (s *Server) listPolicyVersions(ctx context.Context, c *Call, in *policyName) (any, error) {
	r, err := s.policy(ctx, c, in.PolicyName)
	if err != nil {
		return nil, err
	}
	type summary struct {
		ID        string  `json:"versionId"`
		IsDefault bool    `json:"isDefaultVersion"`
		Created   seconds `json:"createDate"`
	}
	list := []summary{}
	for _, v := range r.Versions {
		list = append(list, summary{v.ID, v.ID == r.Default, seconds{v.Created}})
	}
	return struct {
		Versions []summary `json:"policyVersions"`
	}{list}, nil
}

func (s *Server) deletePolicyVersion(ctx context.Context, c *Call, in *policyVersion) (any, error) {
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		return policy.DeleteVersion(ctx, tx, c.Tenant, in.PolicyName, in.VersionID, s.cfg.Now())
	})
}

func (s *Server) setDefaultPolicyVersion(ctx context.Context, c *Call, in *policyVersion) (any, error) {
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		return policy.SetDefault(ctx, tx, c.Tenant, in.PolicyName, in.VersionID, s.cfg.Now())
	})
}
