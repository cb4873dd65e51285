package provision

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/ca"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/internal/crash"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/templates"
)

// IssueFromCSR answers the control plane's CreateCertificateFromCsr.
func (s *Service) IssueFromCSR(ctx context.Context, t arn.Tenant, csrPEM string, active bool) (*certs.Certificate, error) {
	linted, err := s.CA.LintCSR([]byte(csrPEM), ca.Rules{ForbiddenNames: s.Reserved})
	if err != nil {
		return nil, err
	}
	return s.issueDirect(ctx, t, linted, ca.Profile{}, certs.FromCSR, active)
}

// IssueKeys answers the control plane's CreateKeysAndCertificate. The private
// key is returned once and stored nowhere.
func (s *Service) IssueKeys(ctx context.Context, t arn.Tenant, active bool) (c *certs.Certificate, keyPEM, pubPEM string, err error) {
	key, err := s.Keys.Get(ctx)
	if err != nil {
		return nil, "", "", err
	}
	linted, err := s.CA.LintKey(key.Public())
	if err != nil {
		return nil, "", "", err
	}
	if c, err = s.issueDirect(ctx, t, linted, ca.Profile{}, certs.FromKeys, active); err != nil {
		return nil, "", "", err
	}
	pub, err := publicPEM(key.Public())
	return c, string(ca.EncodeRSAKey(key)), pub, err
}

func (s *Service) issueDirect(ctx context.Context, t arn.Tenant, l *ca.Linted, p ca.Profile, from certs.Origin, active bool) (*certs.Certificate, error) {
	return s.issue(ctx, t, l, p, from, func(ctx context.Context, tx store.Tx, c *certs.Certificate) error {
		c.Status = certs.Inactive
		if active {
			c.Status = certs.Active
		}
		return keepCertificate(ctx, tx, c)
	})
}

func keepCertificate(ctx context.Context, tx store.Tx, c *certs.Certificate) error {
	if err := tx.DeleteIntent(ctx, c.Tenant, c.Serial); err != nil {
		return err
	}
	return certs.Add(ctx, tx, c)
}

// A NewClaim asks for a claim certificate.
type NewClaim struct {
	Template string        // the only template that it may use
	ValidFor time.Duration // zero: as long as AWS's certificates; of a temporary claim, five minutes
	MadeBy   string        // access key id
	Devices  int           // of a temporary claim: how many it may register; zero: MaxPerClaim
}

// ClaimPolicyName is the policy that claims made here carry. It allows the
// whole provisioning API; which template a claim may use is in its record, so
// that a wrong one is answered with 403 and not with a closed socket.
const ClaimPolicyName = "slipway-claim"

// Claim makes a claim certificate for one template. Its P-256 key is returned
// once and stored nowhere.
func (s *Service) Claim(ctx context.Context, t arn.Tenant, n NewClaim) (c *certs.Certificate, keyPEM, pubPEM string, err error) {
	return s.claim(ctx, t, n, certs.FromClaim)
}

// TemporaryClaim answers CreateProvisioningClaim: a claim of five minutes that
// is not listed and whose rights are implicit (methods.md, section 7).
func (s *Service) TemporaryClaim(ctx context.Context, t arn.Tenant, template, madeBy string) (c *certs.Certificate, keyPEM, pubPEM string, expires time.Time, err error) {
	c, keyPEM, pubPEM, err = s.TrustedClaim(ctx, t, NewClaim{Template: template, MadeBy: madeBy})
	if err == nil {
		expires = c.NotAfter
	}
	return c, keyPEM, pubPEM, expires, err
}

// TrustedClaim is TemporaryClaim for who wants it shorter, or for fewer devices.
func (s *Service) TrustedClaim(ctx context.Context, t arn.Tenant, n NewClaim) (c *certs.Certificate, keyPEM, pubPEM string, err error) {
	if n.ValidFor == 0 {
		n.ValidFor = temporaryClaimLife
	}
	if n.Devices == 0 {
		n.Devices = MaxPerClaim
	}
	if n.ValidFor < 0 || n.ValidFor > temporaryClaimLife {
		return nil, "", "", fault.New(fault.InvalidRequest, "A temporary claim cannot be good for %v: expected at most %v.", n.ValidFor, temporaryClaimLife)
	}
	if n.Devices < 0 || n.Devices > MaxPerClaim {
		return nil, "", "", fault.New(fault.InvalidRequest, "A temporary claim cannot be for %d devices: expected 1 to %d.", n.Devices, MaxPerClaim)
	}
	return s.claim(ctx, t, n, certs.FromUser)
}

func (s *Service) claim(ctx context.Context, t arn.Tenant, n NewClaim, from certs.Origin) (c *certs.Certificate, keyPEM, pubPEM string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), s.Rand)
	if err != nil {
		return nil, "", "", err
	}
	linted, err := s.CA.LintKey(key.Public())
	if err != nil {
		return nil, "", "", err
	}
	if c, err = s.claimFor(ctx, t, n, linted, from, terms{Devices: n.Devices}, nil); err != nil {
		return nil, "", "", err
	}
	if keyPEM, err = privatePEM(key); err != nil {
		return nil, "", "", err
	}
	pubPEM, err = publicPEM(key.Public())
	return c, keyPEM, pubPEM, err
}

// claimFor makes a claim for a key. What also has to hold when it is stored,
// and joins the transaction, is in also, if not nil.
func (s *Service) claimFor(ctx context.Context, t arn.Tenant, n NewClaim, l *ca.Linted, from certs.Origin, v terms,
	also func(context.Context, store.Tx, *certs.Certificate) error) (*certs.Certificate, error) {
	if err := s.claimable(ctx, t, n.Template); err != nil {
		return nil, err
	}
	crash.Point("claim.allowed")
	return s.issue(ctx, t, l, ca.Profile{Validity: n.ValidFor}, from, func(ctx context.Context, tx store.Tx, c *certs.Certificate) error {
		if also != nil {
			if err := also(ctx, tx, c); err != nil {
				return err
			}
		}
		if err := keepClaim(ctx, tx, c, n); err != nil || !c.Hidden {
			return err
		}
		return keepTerms(ctx, tx, t, c.ID, v)
	})
}

func keepClaim(ctx context.Context, tx store.Tx, c *certs.Certificate, n NewClaim) error {
	c.Status = certs.Active
	c.Hidden = c.Origin == certs.FromUser
	if err := keepCertificate(ctx, tx, c); err != nil {
		return err
	}
	if err := tx.InsertClaim(ctx, &certs.ClaimRecord{
		Tenant: c.Tenant, CertID: c.ID, Template: n.Template, Trusted: c.Hidden,
		MadeBy: n.MadeBy, Expires: c.NotAfter, Created: c.Created,
	}); err != nil || c.Hidden {
		return err
	}
	doc := policy.ClaimPolicy(c.Tenant, "*")
	err := policy.Ensure(ctx, tx, c.Tenant, ClaimPolicyName, doc, c.Created)
	if fault.Is(err, fault.Conflict) {
		return fault.Wrap(fault.Conflict, err, "Policy %s, which every claim made here carries, was changed. Set it back to its first version, or make the claim by hand with a policy of its own.", ClaimPolicyName)
	}
	if err != nil {
		return err
	}
	return policy.Attach(ctx, tx, c.Tenant, ClaimPolicyName, c.Tenant.Cert(c.ID), c.Created)
}

// claimable checks the template that a claim is for.
func (s *Service) claimable(ctx context.Context, t arn.Tenant, name string) error {
	return s.DB.View(ctx, func(ctx context.Context, tx store.Tx) error {
		rec, err := tx.TemplateRecord(ctx, t, name)
		if err != nil {
			return err
		}
		if !rec.Enabled {
			return fault.New(fault.InvalidRequest, "Template %s is disabled; enable it before making claims for it.", name)
		}
		if rec.Type != templates.FleetProvisioning {
			return fault.New(fault.InvalidRequest, "Template %s is of type %s; claims need a template of type %s.", name, rec.Type, templates.FleetProvisioning)
		}
		return nil
	})
}

func publicPEM(pub any) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), err
}

func privatePEM(key *ecdsa.PrivateKey) (string, error) {
	der, err := x509.MarshalECPrivateKey(key)
	return string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})), err
}
