package control

import (
	"context"
	"crypto/sha256"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/tenants"
	"github.com/slipway-iot/slipway/trail"
	"github.com/slipway-iot/slipway/wire/sigv4"
)

// getCallerIdentity is the one action that needs no tenant, only a key: tools
// ask it in whatever region they please.
const getCallerIdentity = "sts:GetCallerIdentity"

// regionless are the actions on accounts and keys, which are in no region: a
// call of them may be signed for any.
var regionless = []string{
	"slipway:AddAccount", "slipway:ListAccounts", "slipway:DescribeAccount", "slipway:UpdateAccount",
	"slipway:AddKey", "slipway:ListKeys", "slipway:RevokeKey",
}

// authenticate says who asks for which tenant, and fills c.
func (s *Server) authenticate(ctx context.Context, r *http.Request, c *Call) error {
	sig, err := sigv4.Parse(r)
	if err != nil {
		return err
	}
	p, err := s.party(ctx, r, sig, r.Header.Get("x-amz-security-token"), c.Body)
	if err != nil {
		return err
	}
	return s.enter(ctx, r, c, sig, p.Key)
}

// A Party is who signed a request.
type Party struct {
	Tenant arn.Tenant // the key's account, the region that was signed for
	Key    *tenants.AccessKey
	Stored bool      // the store knows the key: it may be revoked
	Until  time.Time // of a short-lived credential; zero: it does not expire
}

// Authenticate says who signed a request that is none of the control plane's,
// such as the one that opens a WebSocket: in its headers, or in its URL. The
// tenant is there, and not switched off.
func (s *Server) Authenticate(ctx context.Context, r *http.Request, body []byte) (*Party, error) {
	token := r.Header.Get("x-amz-security-token")
	sig, err := sigv4.Parse(r)
	if r.Header.Get("Authorization") == "" && sigv4.Presigned(r) {
		sig, token, err = sigv4.ParsePresigned(r)
	}
	if err != nil {
		return nil, err
	}
	p, err := s.party(ctx, r, sig, token, body)
	if err != nil {
		return nil, err
	}
	return p, s.admit(ctx, &Call{Tenant: p.Tenant, Key: p.Key})
}

// party verifies a signature.
func (s *Server) party(ctx context.Context, r *http.Request, sig *sigv4.Signature, token string, body []byte) (p *Party, err error) {
	if token != "" {
		p, err = s.session(r, sig, token, body)
	} else {
		p, err = s.stored(ctx, r, sig, body)
	}
	if err != nil {
		return nil, err
	}
	p.Tenant = arn.Tenant{Account: p.Key.Account, Region: sig.Region}
	return p, nil
}

// session is who holds a short-lived credential. Under --dev, where any key is
// taken, so is any token.
func (s *Server) session(r *http.Request, sig *sigv4.Signature, token string, body []byte) (*Party, error) {
	key, session, err := tenants.OpenSession(s.cfg.Keys, sig.KeyID, token, s.cfg.Now())
	if fault.Is(err, fault.UnknownKey) && s.cfg.Dev {
		return &Party{Key: devKey(sig.KeyID)}, nil
	}
	if err != nil {
		return nil, err
	}
	return &Party{Key: key, Until: session.Expires}, sig.Verify(r, sha256.Sum256(body), session.Secret, s.cfg.Now())
}

// stored is who holds an access key.
func (s *Server) stored(ctx context.Context, r *http.Request, sig *sigv4.Signature, body []byte) (*Party, error) {
	key, err := s.key(ctx, sig.KeyID)
	switch {
	case fault.Is(err, fault.Missing) && s.cfg.Dev:
		return &Party{Key: devKey(sig.KeyID)}, nil
	case fault.Is(err, fault.Missing):
		return nil, fault.Wrap(fault.UnknownKey, err, "The access key %s is not known here.", arn.Clip(sig.KeyID, 40))
	case err != nil:
		return nil, err
	}
	return &Party{Key: key, Stored: true}, s.verify(r, sig, key, body)
}

// enter fills c for whoever was authenticated.
func (s *Server) enter(ctx context.Context, r *http.Request, c *Call, sig *sigv4.Signature, key *tenants.AccessKey) error {
	c.Key, c.Tenant = key, arn.Tenant{Account: key.Account, Region: sig.Region}
	if c.Action == getCallerIdentity {
		return nil
	}
	return s.admit(trail.With(ctx, cause(r, c)), c)
}

func (s *Server) key(ctx context.Context, id string) (key *tenants.AccessKey, err error) {
	err = s.cfg.DB.View(ctx, func(ctx context.Context, tx store.Tx) error {
		key, err = tx.AccessKey(ctx, id)
		return err
	})
	return key, err
}

func (s *Server) verify(r *http.Request, sig *sigv4.Signature, key *tenants.AccessKey, body []byte) error {
	secret, err := tenants.Secret(s.cfg.Keys, key)
	if err != nil {
		return err
	}
	if err := sig.Verify(r, sha256.Sum256(body), secret, s.cfg.Now()); err != nil {
		return err
	}
	if key.Disabled {
		return fault.New(fault.UnknownKey, "The access key %s was revoked.", key.ID)
	}
	return nil
}

var accountForm = regexp.MustCompile(`^[0-9]{12}$`)

// devKey stands for any key under --dev: a 12-digit id names the account, any
// other the default one, as local emulators have it.
func devKey(id string) *tenants.AccessKey {
	k := &tenants.AccessKey{ID: arn.Clip(id, 128), Account: arn.Default.Account, Role: tenants.Admin, Name: "dev"}
	if accountForm.MatchString(id) {
		k.Account = id
	}
	return k
}

// misplaced is the refusal of a call that is signed for a region in which its
// account is not. It names those in which it is: the caller holds a key of it.
func (s *Server) misplaced(ctx context.Context, t arn.Tenant) error {
	var in []string
	err := s.cfg.DB.View(ctx, func(ctx context.Context, tx store.Tx) error {
		records, err := tenants.Regions(ctx, tx, t.Account)
		in = nil
		for _, r := range records {
			in = append(in, r.Tenant.Region)
		}
		return err
	})
	if fault.Is(err, fault.Missing) {
		return fault.Wrap(fault.AccessDenied, err, "Account %s does not exist.", t.Account)
	}
	if err != nil {
		return err
	}
	return fault.New(fault.AccessDenied, "Account %s does not exist in region %s but in %s: sign for that, such as with AWS_REGION=%s.", t.Account, arn.Clip(t.Region, 40), strings.Join(in, ", "), in[0])
}

// placed admits a call that may be signed for any region into one in which the
// account is: its trail gets the record.
func (s *Server) placed(ctx context.Context, c *Call) error {
	return s.cfg.DB.View(ctx, func(ctx context.Context, tx store.Tx) error {
		records, err := tenants.Regions(ctx, tx, c.Tenant.Account)
		if err != nil {
			return err
		}
		for _, r := range records {
			if !r.Disabled {
				c.Tenant, c.profile = r.Tenant, r.Settings.Profile.Or(s.cfg.Profile)
				return nil
			}
		}
		return fault.New(fault.AccessDenied, "Account %s is disabled in each of its regions.", c.Tenant.Account)
	})
}

// admit says whether the tenant is there and not switched off, and notes which
// profile it has; under --dev it is made when it is not there.
func (s *Server) admit(ctx context.Context, c *Call) error {
	var rec *tenants.Record
	t := c.Tenant
	err := s.cfg.DB.View(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		rec, err = tx.Tenant(ctx, t)
		return err
	})
	if fault.Is(err, fault.Missing) {
		if !s.cfg.Dev && slices.Contains(regionless, c.Action) {
			return s.placed(ctx, c)
		}
		if !s.cfg.Dev {
			return s.misplaced(ctx, t)
		}
		err = s.cfg.DB.Update(ctx, func(ctx context.Context, tx store.Tx) (err error) {
			rec, err = tenants.Ensure(ctx, tx, t, s.cfg.Now())
			return err
		})
	}
	if err != nil {
		return err
	}
	if rec.Disabled {
		return fault.New(fault.AccessDenied, "Account %s is disabled in region %s.", t.Account, t.Region)
	}
	c.profile = rec.Settings.Profile.Or(s.cfg.Profile)
	return nil
}
