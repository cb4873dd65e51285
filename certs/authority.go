package certs

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"slices"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
)

// The modes of certificates and of the CA certificates that sign them
// (certificates-lifecycle.md, section 1.2).
const (
	DefaultMode = "DEFAULT"  // one account of a region has it
	SNIOnly     = "SNI_ONLY" // several may: the server name says which is meant
)

// An Authority is a CA certificate that an account brought along. We hold no
// key of it: it says which leaves the account takes for its own.
type Authority struct {
	Tenant       arn.Tenant
	ID           arn.CertID
	Subject      Digest // SHA-256 of the subject as encoded: what its leaves name as issuer
	PEM          string
	Status       Status        // Active or Inactive
	Mode         string        // and so its leaves' mode
	Automatic    bool          // a leaf that connects is registered
	Registration *Registration // nil: it is registered and no more (JITR)
	Tags         map[string]string
	NotBefore    time.Time
	NotAfter     time.Time
	Created      time.Time
	Modified     time.Time
	Version      int    // customerVersion: 1, +1 at every change
	Generation   string // UUID made with the record
}

// A Registration says what becomes of a leaf that was registered when it
// connected (JITP): a template, inline or by name. One with nothing in it is
// nil.
type Registration struct {
	TemplateBody string
	RoleARN      string
	TemplateName string
}

func (r *Registration) check() error {
	if r != nil && r.TemplateBody != "" && r.TemplateName != "" {
		return fault.New(fault.InvalidRequest, "registrationConfig has both templateBody and templateName; expected one of them.")
	}
	return nil
}

// SubjectDigest is what a CA certificate is found by: give it a CA's
// RawSubject or a leaf's RawIssuer.
func SubjectDigest(name []byte) Digest { return sha256.Sum256(name) }

// clockSkew is how far in the future a certificate may begin that was made a
// moment ago on a machine whose clock runs ahead.
const clockSkew = 5 * time.Minute

// ReadAuthority reads a CA certificate that is to be registered in a mode, and
// in DEFAULT mode the certificate that proves possession of its key. It gives
// a record that lacks a tenant, and the registration code that was proved.
func ReadAuthority(text, verification, mode string, now time.Time) (a *Authority, code string, err error) {
	ca, err := Read("The CA certificate", text)
	if err != nil {
		return nil, "", err
	}
	if err := mayAuthorize(ca.Certificate, now); err != nil {
		return nil, "", err
	}
	switch {
	case mode == SNIOnly && verification != "":
		return nil, "", fault.New(fault.InvalidRequest, "verificationCertificate is given; in certificateMode SNI_ONLY expected none.")
	case mode == DefaultMode && verification == "":
		return nil, "", fault.New(fault.InvalidRequest, "verificationCertificate is missing; certificateMode DEFAULT needs one, SNI_ONLY does not.")
	case mode == DefaultMode:
		if code, err = prove(verification, ca.Certificate, now); err != nil {
			return nil, "", err
		}
	}
	return &Authority{
		ID: ca.ID(), Subject: SubjectDigest(ca.RawSubject), PEM: text, Status: Inactive, Mode: mode,
		NotBefore: ca.NotBefore.UTC(), NotAfter: ca.NotAfter.UTC(),
	}, code, nil
}

// mayAuthorize says why a certificate is no CA's, if it is not (RFC 5280,
// sections 4.2.1.3 and 4.2.1.9).
func mayAuthorize(ca *x509.Certificate, now time.Time) error {
	if !ca.BasicConstraintsValid || !ca.IsCA {
		return fault.New(fault.CertificateInvalid, "The CA certificate is not one of a certificate authority: expected basicConstraints CA:TRUE.")
	}
	if ca.KeyUsage != 0 && ca.KeyUsage&x509.KeyUsageCertSign == 0 {
		return fault.New(fault.CertificateInvalid, "The CA certificate may not sign certificates: expected keyUsage keyCertSign.")
	}
	return checkDates("The CA certificate", ca, now)
}

func checkDates(what string, cert *x509.Certificate, now time.Time) error {
	if now.After(cert.NotAfter) {
		return fault.New(fault.CertificateInvalid, "%s expired at %s.", what, cert.NotAfter.UTC().Format(time.RFC3339))
	}
	if now.Add(clockSkew).Before(cert.NotBefore) {
		return fault.New(fault.CertificateInvalid, "%s is valid from %s, which lies in the future.", what, cert.NotBefore.UTC().Format(time.RFC3339))
	}
	return nil
}

// prove gives the common name of a certificate that ca signed.
func prove(verification string, ca *x509.Certificate, now time.Time) (string, error) {
	const what = "The verification certificate"
	v, err := Read(what, verification)
	if err != nil {
		return "", err
	}
	if why, cause := signedBy(v.Certificate, ca); why != "" {
		return "", fault.Wrap(fault.CertificateInvalid, cause, "%s is not signed by the CA certificate: %s.", what, why)
	}
	return v.Subject.CommonName, checkDates(what, v.Certificate, now)
}

// AddAuthority stores a CA certificate that ReadAuthority read; code is what
// it proved.
//
// A CA certificate in DEFAULT mode belongs to one account of a region, and no
// other may have it in any mode; one in SNI_ONLY mode proves nothing, so it
// does not keep anybody else's out.
func AddAuthority(ctx context.Context, s Store, a *Authority, code string, now time.Time) error {
	if err := a.Registration.check(); err != nil {
		return err
	}
	tags, err := ref.Retag(ctx, s, a.Tenant, nil, a.Tags, nil)
	if err != nil {
		return err
	}
	if err := checkCode(ctx, s, a, code); err != nil {
		return err
	}
	holders, err := s.AuthorityHolders(ctx, a.ID)
	if err != nil {
		return err
	}
	if heldElsewhere(holders, a.Tenant) {
		return taken(a.ID, "", "The CA certificate is registered in DEFAULT mode by another account of this region")
	}
	if err := checkCrowd(ctx, s, a); err != nil {
		return err
	}
	a.Tags, a.Created, a.Modified, a.Version = tags, now, now, 1
	a.Generation = ref.ID(a.Tenant.String(), "cacert", string(a.ID), now)
	err = s.InsertAuthority(ctx, a)
	if fault.Is(err, fault.Exists) {
		return taken(a.ID, a.Tenant.Resource("cacert", string(a.ID)), "The CA certificate is already registered")
	}
	return err
}

// checkCode compares what a verification certificate proved with the account's
// registration code.
func checkCode(ctx context.Context, s Store, a *Authority, code string) error {
	if a.Mode != DefaultMode {
		return nil
	}
	want, err := Code(ctx, s, a.Tenant)
	if fault.Is(err, fault.Missing) {
		return fault.Wrap(fault.RegistrationCode, err, "Account %s has no registration code in %s; ask for one with GetRegistrationCode and make it the common name of the verification certificate.", a.Tenant.Account, a.Tenant.Region)
	}
	if err == nil && code != want {
		return fault.New(fault.RegistrationCode, "The verification certificate's common name is %s; expected the registration code of account %s, which GetRegistrationCode gives.", name(code), a.Tenant.Account)
	}
	return err
}

// checkCrowd holds the limit of CA certificates with one subject.
func checkCrowd(ctx context.Context, s Store, a *Authority) error {
	limit, err := s.Limit(ctx, a.Tenant, ref.CAsPerSubject)
	if err != nil {
		return err
	}
	same, err := s.AuthoritiesNamed(ctx, a.Tenant, a.Subject)
	if err != nil || len(same) < limit {
		return err
	}
	if slices.ContainsFunc(same, func(b *Authority) bool { return b.ID == a.ID }) {
		return nil // inserting says that it exists
	}
	return fault.New(fault.LimitExceeded, "The account has %d CA certificates with this subject; the limit is %d.", len(same), limit)
}

// heldElsewhere says whether one of the tenants is another account of t's
// region.
func heldElsewhere(holders []arn.Tenant, t arn.Tenant) bool {
	return slices.ContainsFunc(holders, func(h arn.Tenant) bool { return h.Region == t.Region && h != t })
}

// taken refuses what is registered already. The ARN is empty where it would
// tell of another account.
func taken(id arn.CertID, name, sentence string) error {
	err := fault.New(fault.Exists, "%s", sentence)
	err.ResourceID, err.ResourceARN = string(id), name
	return err
}
