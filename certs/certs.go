// Package certs holds the rules for device certificates: their states, the
// ownership tokens that trade them for a thing, the intents written before the
// issuing key is used, and the claims that begin a fleet provisioning. It holds
// those for certificates that were signed elsewhere too, and for the CA
// certificates that accounts register so that it may be told who signed.
//
// The functions compose inside a caller's transaction; the package knows no
// database and no network (certificates-lifecycle.md; provisioning-mqtt-api.md,
// sections 4 and 6).
package certs

import (
	"context"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/ref"
)

// A Status is AWS's certificate status.
type Status string

const (
	Active            Status = "ACTIVE"
	Inactive          Status = "INACTIVE"
	Revoked           Status = "REVOKED"
	PendingActivation Status = "PENDING_ACTIVATION"
)

// An Origin is how a certificate came to be.
type Origin string

const (
	FromKeys   Origin = "keys"     // key and certificate made here
	FromCSR    Origin = "csr"      // the device's own key
	FromClaim  Origin = "claim"    // made by `slipway claim new`
	FromUser   Origin = "trusted"  // temporary claim of CreateProvisioningClaim
	Registered Origin = "register" // brought along, signed elsewhere
	Arrived    Origin = "arrive"   // signed elsewhere, registered when it connected
)

// A Certificate is one registered device certificate.
type Certificate struct {
	Tenant     arn.Tenant
	ID         arn.CertID
	PEM        string
	Status     Status
	Mode       string // DefaultMode or SNIOnly
	CAID       string // id of the registered CA that signed it; empty for our own
	Serial     string // lower-case hex of the X.509 serial
	Origin     Origin
	Hidden     bool // temporary claims are neither listed nor described
	NotBefore  time.Time
	NotAfter   time.Time
	Created    time.Time
	Modified   time.Time
	Version    int    // customerVersion: 1, +1 at every change of status
	Generation string // UUID made with the record
}

// A Digest is the SHA-256 of a request or, shortened, of an ownership token. Tokens
// themselves are never stored.
type Digest [32]byte

// A TokenRecord is what the store keeps of an ownership token.
//
// Request and Answer are empty until RegisterThing spends the token; then they
// hold the digest of the request that spent it and the answer that was given,
// so that a device which lost the answer may ask again.
type TokenRecord struct {
	Tenant  arn.Tenant
	Digest  Digest
	CertID  arn.CertID
	Expires time.Time
	Spent   bool
	Request Digest
	Answer  []byte
}

// An Intent is written before the issuing key is used and removed with the
// storing of the certificate. One that stays behind says: this serial may have
// been signed, and nobody holds the certificate.
type Intent struct {
	Tenant  arn.Tenant
	Serial  string // lower-case hex
	Subject string
	KeyHash Digest // SHA-256 of the SubjectPublicKeyInfo
	Purpose string // an Origin, or a door
	Created time.Time
}

// A ClaimRecord ties a claim certificate to the template it is for.
type ClaimRecord struct {
	Tenant   arn.Tenant
	CertID   arn.CertID
	Template string // empty: any template that its policy allows
	Trusted  bool   // temporary claim: rights are implicit, five minutes
	MadeBy   string // access key id
	Expires  time.Time
	Created  time.Time
}

// Store is what this package asks of a database, and nothing more. Each Get
// answers fault.Missing when there is nothing, each Insert fault.Exists when
// there is something already.
type Store interface {
	Certificate(ctx context.Context, t arn.Tenant, id arn.CertID) (*Certificate, error)
	// InsertCertificate writes one that nothing is tied to yet.
	InsertCertificate(ctx context.Context, c *Certificate) error
	UpdateCertificate(ctx context.Context, c *Certificate) error // status, modified, version
	DeleteCertificate(ctx context.Context, t arn.Tenant, id arn.CertID) error
	// ListCertificates orders by creation and leaves hidden ones out. The
	// second result is the cursor of the next page, empty after the last.
	ListCertificates(ctx context.Context, t arn.Tenant, p ref.Page) ([]*Certificate, string, error)

	InsertToken(ctx context.Context, r *TokenRecord) error
	Token(ctx context.Context, t arn.Tenant, d Digest) (*TokenRecord, error)
	SpendToken(ctx context.Context, r *TokenRecord) error // writes Spent, Request, Answer
	// ExpiredTokens gives up to limit tokens of all tenants that expired
	// before now, oldest first.
	ExpiredTokens(ctx context.Context, now time.Time, limit int) ([]*TokenRecord, error)
	DeleteToken(ctx context.Context, t arn.Tenant, d Digest) error

	InsertIntent(ctx context.Context, i *Intent) error
	DeleteIntent(ctx context.Context, t arn.Tenant, serial string) error
	StaleIntents(ctx context.Context, before time.Time, limit int) ([]*Intent, error)

	InsertClaim(ctx context.Context, c *ClaimRecord) error
	Claim(ctx context.Context, t arn.Tenant, id arn.CertID) (*ClaimRecord, error)
	DeleteClaim(ctx context.Context, t arn.Tenant, id arn.CertID) error
	ListClaims(ctx context.Context, t arn.Tenant, p ref.Page) ([]*ClaimRecord, string, error)
	// ExpiringCertificates counts ACTIVE certificates of all tenants by
	// whether they expire before each of the given moments (ascending).
	ExpiringCertificates(ctx context.Context, before []time.Time) ([]int64, error)

	Authority(ctx context.Context, t arn.Tenant, id arn.CertID) (*Authority, error)
	InsertAuthority(ctx context.Context, a *Authority) error
	UpdateAuthority(ctx context.Context, a *Authority) error // what is not read from its certificate
	DeleteAuthority(ctx context.Context, t arn.Tenant, id arn.CertID) error
	// ListAuthorities orders by creation. A template's name leaves out the CA
	// certificates that do not name it.
	ListAuthorities(ctx context.Context, t arn.Tenant, template string, p ref.Page) ([]*Authority, string, error)
	// AuthoritiesNamed gives those with the subject; ref.CAsPerSubject bounds
	// them.
	AuthoritiesNamed(ctx context.Context, t arn.Tenant, subject Digest) ([]*Authority, error)
	// ListCertificatesByCA is ListCertificates of those that the CA signed.
	ListCertificatesByCA(ctx context.Context, t arn.Tenant, ca arn.CertID, p ref.Page) ([]*Certificate, string, error)
	// AuthorityHolders and CertificateHolders give all tenants that have the
	// CA certificate, or the certificate, in DEFAULT mode.
	AuthorityHolders(ctx context.Context, id arn.CertID) ([]arn.Tenant, error)
	CertificateHolders(ctx context.Context, id arn.CertID) ([]arn.Tenant, error)
	CodeStore
	Limit(ctx context.Context, t arn.Tenant, name ref.Limit) (int, error)

	// Links (ref.PolicyTarget, ref.ThingPrincipal) and events.
	PutLink(ctx context.Context, t arn.Tenant, k ref.Kind, l ref.Link) (created bool, err error)
	DropLink(ctx context.Context, t arn.Tenant, k ref.Kind, left, right string) (existed bool, err error)
	Lefts(ctx context.Context, t arn.Tenant, k ref.Kind, right string, p ref.Page) ([]ref.Link, string, error)
	Emit(event.Event)
}
