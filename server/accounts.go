package server

import (
	"context"
	"log/slog"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/control"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/tenants"
)

// manages says whether the caller may see to an account: an admin of the
// default account, which is the server's own, to every one, anybody else to
// their own. What they may do there, their role has said before.
func manages(c *control.Call, account string) error {
	if c.Key.Account == account || c.Key.Account == arn.Default.Account && c.Key.Role == tenants.Admin {
		return nil
	}
	return operatorOnly(c, "acting for account "+arn.Clip(account, 40))
}

// operates says whether the caller is who runs the server.
func operates(c *control.Call, what string) error {
	if c.Key.Account == arn.Default.Account && c.Key.Role == tenants.Admin {
		return nil
	}
	return operatorOnly(c, what)
}

func operatorOnly(c *control.Call, what string) error {
	return fault.New(fault.AccessDenied, "Access key %s of account %s is not authorized to perform: %s: %s takes an admin key of account %s.", c.Key.ID, c.Key.Account, c.Action, what, arn.Default.Account)
}

type accountItem struct {
	Account  string          `json:"accountId"`
	Region   string          `json:"region"`
	Endpoint string          `json:"endpointAddress"` // where its devices connect
	Status   string          `json:"status"`          // ENABLED or DISABLED
	Profile  tenants.Profile `json:"profile"`         // the one that holds
	Limits   tenants.Limits  `json:"limits"`          // those that hold
	Own      tenants.Limits  `json:"ownLimits"`       // those among them that are not AWS's
	Created  float64         `json:"creationDate"`
	Key      *keyAnswer      `json:"accessKey,omitempty"` // that AddAccount made
}

func (s *Server) accountItem(r *tenants.Record) accountItem {
	item := accountItem{
		Account: r.Tenant.Account, Region: r.Tenant.Region, Endpoint: s.hosts.Endpoint(r.Tenant), Status: "ENABLED",
		Profile: r.Settings.Profile.Or(s.cfg.Profile), Limits: r.Settings.Limits.All(), Own: r.Settings.Limits, Created: seconds(r.Created),
	}
	if r.Disabled {
		item.Status = "DISABLED"
	}
	if item.Own == nil {
		item.Own = tenants.Limits{}
	}
	return item
}

// addAccount: POST /slipway/accounts {accountId, region, adminKey}. With
// adminKey it makes an admin key too, in the same transaction.
func (s *Server) addAccount(ctx context.Context, c *control.Call) (any, error) {
	var in struct {
		Account  string `json:"accountId"`
		Region   string `json:"region"`
		AdminKey bool   `json:"adminKey"`
	}
	if err := decodeBody(c.Body, &in); err != nil {
		return nil, err
	}
	if err := operates(c, "adding an account"); err != nil {
		return nil, err
	}
	key := &newKey{Account: in.Account, Role: string(tenants.Admin)}
	if err := key.draw(s.cfg.Rand); err != nil {
		return nil, err
	}
	t := arn.Tenant{Account: in.Account, Region: or(in.Region, arn.Default.Region)}
	var item accountItem
	err := s.db.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		r, err := tenants.Create(ctx, tx, t, s.cfg.Now())
		if err != nil {
			return err
		}
		item = s.accountItem(r)
		if in.AdminKey {
			item.Key, err = s.storeKey(ctx, tx, key)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	s.learn(ctx)
	return item, nil
}

// listAccounts: GET /slipway/accounts, all of them for the default account,
// their own for others, on one page: a token would name another's account.
func (s *Server) listAccounts(ctx context.Context, c *control.Call) (any, error) {
	p, err := pageFrom(c.Query)
	if err != nil {
		return nil, err
	}
	var out struct {
		Accounts  []accountItem `json:"accounts"`
		NextToken string        `json:"nextToken,omitempty"`
	}
	err = s.db.View(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		var records []*tenants.Record
		if c.Key.Account == arn.Default.Account {
			records, out.NextToken, err = tx.ListTenants(ctx, p)
		} else {
			records, err = tenants.Regions(ctx, tx, c.Key.Account)
		}
		out.Accounts = []accountItem{}
		for _, r := range records {
			out.Accounts = append(out.Accounts, s.accountItem(r))
		}
		return err
	})
	return out, err
}

// describeAccount: GET /slipway/accounts/{account}/{region}.
func (s *Server) describeAccount(ctx context.Context, c *control.Call) (any, error) {
	t := arn.Tenant{Account: c.Path["account"], Region: c.Path["region"]}
	if err := manages(c, t.Account); err != nil {
		return nil, err
	}
	var r *tenants.Record
	err := s.db.View(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		r, err = tx.Tenant(ctx, t)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.accountItem(r), nil
}

// updateAccount: PATCH /slipway/accounts/{account}/{region} {disabled, profile,
// limits}; members that are absent change nothing, a limit of null is AWS's.
func (s *Server) updateAccount(ctx context.Context, c *control.Call) (any, error) {
	var in struct {
		Disabled *bool              `json:"disabled"`
		Profile  *string            `json:"profile"`
		Limits   map[ref.Limit]*int `json:"limits"`
	}
	if err := decodeBody(c.Body, &in); err != nil {
		return nil, err
	}
	if err := operates(c, "changing an account"); err != nil {
		return nil, err
	}
	t := arn.Tenant{Account: c.Path["account"], Region: c.Path["region"]}
	if t == arn.Default && in.Disabled != nil && *in.Disabled {
		return nil, fault.New(fault.InvalidRequest, "Account %s in %s is the server's own: nobody could enable it again.", t.Account, t.Region)
	}
	var r *tenants.Record
	err := s.db.Update(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		r, err = tenants.Set(ctx, tx, t, tenants.Change{Disabled: in.Disabled, Profile: in.Profile, Limits: in.Limits}, s.cfg.Now())
		return err
	})
	if err != nil {
		return nil, err
	}
	s.learn(ctx)
	return s.accountItem(r), nil
}

// learn reads the tenants again, so that a new one's name is served before the
// caller hears of it. If that fails, the change's event does it.
func (s *Server) learn(ctx context.Context) {
	if err := s.hosts.noted(ctx); err != nil {
		s.cfg.Log.WarnContext(ctx, "tenants were not read again", slog.Any("err", err))
	}
}

// or gives the text, or another one if it is empty.
func or(text, other string) string {
	if text == "" {
		return other
	}
	return text
}
