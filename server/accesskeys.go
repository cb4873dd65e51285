package server

import (
	"context"
	"io"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/control"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/tenants"
)

// A newKey is what AddKey is asked for. An id and a secret that are given are
// taken over, such as those of a key on AWS.
type newKey struct {
	Account   string   `json:"accountId"`
	Role      string   `json:"role"`
	Name      string   `json:"name"`
	Templates []string `json:"templateNames"`
	ID        string   `json:"accessKeyId"`
	Secret    string   `json:"secretAccessKey"`
}

// draw makes id and secret where none were given.
func (k *newKey) draw(rand io.Reader) (err error) {
	if (k.ID == "") != (k.Secret == "") {
		return fault.New(fault.InvalidRequest, "accessKeyId and secretAccessKey belong together: give both or neither.")
	}
	if k.ID == "" {
		k.ID, k.Secret, err = tenants.Draw(rand)
	}
	return err
}

type keyItem struct {
	ID        string       `json:"accessKeyId"`
	Account   string       `json:"accountId"`
	Role      tenants.Role `json:"role"`
	Name      string       `json:"name"`
	Templates []string     `json:"templateNames"`
	Status    string       `json:"status"` // ACTIVE or REVOKED
	Created   float64      `json:"creationDate"`
}

// A keyAnswer tells the secret, this once.
type keyAnswer struct {
	keyItem
	Secret  string   `json:"secretAccessKey"`
	Regions []string `json:"regions"` // that the account is in: what a request may be signed for
}

func keyItemOf(k *tenants.AccessKey) keyItem {
	item := keyItem{ID: k.ID, Account: k.Account, Role: k.Role, Name: k.Name, Templates: k.Templates, Status: "ACTIVE", Created: seconds(k.Created)}
	if k.Disabled {
		item.Status = "REVOKED"
	}
	if item.Templates == nil {
		item.Templates = []string{}
	}
	return item
}

func (s *Server) storeKey(ctx context.Context, tx store.Tx, in *newKey) (*keyAnswer, error) {
	k := &tenants.AccessKey{
		ID: in.ID, Account: in.Account, Role: tenants.Role(in.Role), Name: in.Name, Templates: in.Templates, Created: s.cfg.Now(),
	}
	if err := tenants.AddAccessKey(ctx, tx, s.seal, k, in.Secret); err != nil {
		return nil, err
	}
	own, err := tenants.Regions(ctx, tx, in.Account)
	if err != nil {
		return nil, err
	}
	answer := &keyAnswer{keyItem: keyItemOf(k), Secret: in.Secret}
	for _, r := range own {
		answer.Regions = append(answer.Regions, r.Tenant.Region)
	}
	return answer, nil
}

// addKey: POST /slipway/keys, for the caller's account unless another is named.
func (s *Server) addKey(ctx context.Context, c *control.Call) (any, error) {
	var in newKey
	if err := decodeBody(c.Body, &in); err != nil {
		return nil, err
	}
	in.Account = or(in.Account, c.Key.Account)
	if err := manages(c, in.Account); err != nil {
		return nil, err
	}
	if err := in.draw(s.cfg.Rand); err != nil {
		return nil, err
	}
	var out *keyAnswer
	err := s.db.Update(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		out, err = s.storeKey(ctx, tx, &in)
		return err
	})
	return out, err
}

// listKeys: GET /slipway/keys?accountId=, the caller's account if none is named.
func (s *Server) listKeys(ctx context.Context, c *control.Call) (any, error) {
	p, err := pageFrom(c.Query)
	if err != nil {
		return nil, err
	}
	account := or(c.Query.Get("accountId"), c.Key.Account)
	if err := manages(c, account); err != nil {
		return nil, err
	}
	var out struct {
		Keys      []keyItem `json:"keys"`
		NextToken string    `json:"nextToken,omitempty"`
	}
	err = s.db.View(ctx, func(ctx context.Context, tx store.Tx) error {
		keys, next, err := tx.ListAccessKeys(ctx, account, p)
		out.Keys, out.NextToken = []keyItem{}, next
		for _, k := range keys {
			out.Keys = append(out.Keys, keyItemOf(k))
		}
		return err
	})
	return out, err
}

// revokeKey: DELETE /slipway/keys/{id}?force=. The next request with it fails;
// its record stays, so that what it did can be told. The last admin key of an
// account goes by force alone.
func (s *Server) revokeKey(ctx context.Context, c *control.Call) (any, error) {
	id, force := c.Path["id"], c.Query.Get("force")
	if force != "" && force != "true" && force != "false" {
		return nil, fault.New(fault.InvalidRequest, "force %q: expected true or false.", arn.Clip(force, 40))
	}
	return nil, s.db.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		k, err := tx.AccessKey(ctx, id)
		if err == nil && manages(c, k.Account) != nil {
			err = fault.New(fault.Missing, "Access key %s does not exist.", k.ID) // as if: ids of others are not told
		}
		if err != nil {
			return err
		}
		if force != "true" {
			if err := tenants.KeepsAdmin(ctx, tx, k); err != nil {
				return err
			}
		}
		return tenants.DisableAccessKey(ctx, tx, id, s.cfg.Now())
	})
}
