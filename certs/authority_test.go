package certs_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/internal/certtest"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/tenants"
)

// The accounts of the tests: two in one region, and the first one elsewhere.
var (
	mine   = arn.Default
	theirs = arn.Tenant{Account: "111122223333", Region: arn.Default.Region}
	abroad = arn.Tenant{Account: arn.Default.Account, Region: "eu-west-1"}
)

// A shelf is a store with the three accounts.
type shelf struct {
	t  *testing.T
	db store.DB
}

func newShelf(t *testing.T) shelf {
	s := shelf{t, open(t)}
	s.must(func(ctx context.Context, tx store.Tx) error {
		for _, tenant := range []arn.Tenant{mine, theirs, abroad} {
			if _, err := tenants.Ensure(ctx, tx, tenant, noon); err != nil {
				return err
			}
		}
		return nil
	})
	return s
}

func (s shelf) try(f func(context.Context, store.Tx) error) error {
	return s.db.Update(context.Background(), f)
}

func (s shelf) must(f func(context.Context, store.Tx) error) {
	s.t.Helper()
	if err := s.try(f); err != nil {
		s.t.Fatal(err)
	}
}

// code gives the registration code of the tenant, which it makes.
func (s shelf) code(t arn.Tenant) (code string) {
	s.t.Helper()
	fresh, err := certs.NewCode(rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	s.must(func(ctx context.Context, tx store.Tx) (err error) {
		code, err = certs.EnsureCode(ctx, tx, t, fresh)
		return err
	})
	return code
}

// add registers the CA certificate, ACTIVE, with the tenant's code when the
// mode asks for it.
func (s shelf) add(t arn.Tenant, ca certtest.Cert, mode string) (*certs.Authority, error) {
	s.t.Helper()
	verification := ""
	if mode == certs.DefaultMode {
		verification = ca.Sign(s.t, s.code(t)).PEM
	}
	a, code, err := certs.ReadAuthority(ca.PEM, verification, mode, time.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	a.Tenant, a.Status = t, certs.Active
	return a, s.try(func(ctx context.Context, tx store.Tx) error { return certs.AddAuthority(ctx, tx, a, code, time.Now()) })
}

func (s shelf) change(a *certs.Authority, ch certs.AuthorityChange) *certs.Authority {
	s.t.Helper()
	var got *certs.Authority
	s.must(func(ctx context.Context, tx store.Tx) (err error) {
		if err = certs.ChangeAuthority(ctx, tx, a.Tenant, a.ID, ch, noon); err == nil {
			got, err = tx.Authority(ctx, a.Tenant, a.ID)
		}
		return err
	})
	return got
}

func kindOf(t *testing.T, say string, err error, k fault.Kind, words string) {
	t.Helper()
	if _, text := fault.Show(err); !fault.Is(err, k) || !strings.Contains(text, words) {
		t.Errorf("%s: got %v\nexpected %v: …%s…", say, err, k, words)
	}
}

func TestCACertificatesThatAreNotRead(t *testing.T) {
	now := time.Now()
	ca := certtest.CA(t, "maker")
	good := ca.Sign(t, "code").PEM
	other := certtest.CA(t, "maker") // the same name, another key
	dates := func(from, to time.Duration) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(from), now.Add(to) }
	}
	for say, c := range map[string]struct {
		ca, verification, mode string
		kind                   fault.Kind
		words                  string
	}{
		"no CA":                         {ca.Sign(t, "leaf").PEM, good, certs.DefaultMode, fault.CertificateInvalid, "expected basicConstraints CA:TRUE"},
		"one that may not sign":         {certtest.CA(t, "m", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }).PEM, good, certs.DefaultMode, fault.CertificateInvalid, "expected keyUsage keyCertSign"},
		"one that expired":              {certtest.CA(t, "m", dates(-2*time.Hour, -time.Hour)).PEM, good, certs.DefaultMode, fault.CertificateInvalid, "The CA certificate expired at"},
		"one of tomorrow":               {certtest.CA(t, "m", dates(24*time.Hour, 25*time.Hour)).PEM, "", certs.SNIOnly, fault.CertificateInvalid, "lies in the future"},
		"no verification":               {ca.PEM, "", certs.DefaultMode, fault.InvalidRequest, "verificationCertificate is missing"},
		"one too many":                  {ca.PEM, good, certs.SNIOnly, fault.InvalidRequest, "in certificateMode SNI_ONLY expected none"},
		"another one's":                 {ca.PEM, certtest.CA(t, "another").Sign(t, "code").PEM, certs.DefaultMode, fault.CertificateInvalid, `its issuer is "CN=another"`},
		"one of a namesake":             {ca.PEM, other.Sign(t, "code").PEM, certs.DefaultMode, fault.CertificateInvalid, "the signature does not verify"},
		"a verification expired":        {ca.PEM, ca.Sign(t, "code", dates(-2*time.Hour, -time.Hour)).PEM, certs.DefaultMode, fault.CertificateInvalid, "The verification certificate expired at"},
		"a verification that is no PEM": {ca.PEM, "x", certs.DefaultMode, fault.CertificateInvalid, "The verification certificate is not PEM"},
	} {
		_, _, err := certs.ReadAuthority(c.ca, c.verification, c.mode, now)
		kindOf(t, say, err, c.kind, c.words)
	}
	ahead := certtest.CA(t, "m", dates(time.Minute, time.Hour))
	if _, _, err := certs.ReadAuthority(ahead.PEM, "", certs.SNIOnly, now); err != nil {
		t.Errorf("made by a clock that runs a minute ahead: %v", err)
	}
}

func TestRegistrationCodes(t *testing.T) {
	s := newShelf(t)
	code := s.code(mine)
	if len(code) != 64 || s.code(mine) != code {
		t.Errorf("the code %q is not stable", code)
	}
	if s.code(theirs) == code || s.code(abroad) == code {
		t.Error("two tenants share a code")
	}
	ca := certtest.CA(t, "maker")
	add := func(name string) error {
		a, proved, err := certs.ReadAuthority(ca.PEM, ca.Sign(t, name).PEM, certs.DefaultMode, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		a.Tenant = mine
		return s.try(func(ctx context.Context, tx store.Tx) error {
			return certs.AddAuthority(ctx, tx, a, proved, time.Now())
		})
	}
	kindOf(t, "another's code", add(s.code(theirs)), fault.RegistrationCode, "expected the registration code of account "+mine.Account)
	drop := func() error {
		return s.try(func(ctx context.Context, tx store.Tx) error { return certs.DropCode(ctx, tx, mine) })
	}
	if err := drop(); err != nil {
		t.Fatal(err)
	}
	kindOf(t, "dropped twice", drop(), fault.Missing, "has no registration code")
	kindOf(t, "a code that was dropped", add(code), fault.RegistrationCode, "GetRegistrationCode")
	if s.code(mine) == code {
		t.Error("the code came back")
	}
	if _, err := certs.NewCode(strings.NewReader("too little")); err == nil {
		t.Error("a code was made of ten bytes")
	}
	_ = s.db.View(t.Context(), func(ctx context.Context, tx store.Tx) error {
		if _, err := tx.Authority(ctx, mine, arn.IDOf(ca.Raw)); !fault.Is(err, fault.Missing) {
			t.Errorf("a refused CA certificate was stored: %v", err)
		}
		return nil
	})
}

func TestOneCACertificateInSeveralAccounts(t *testing.T) {
	s := newShelf(t)
	ca := certtest.CA(t, "maker")
	a, err := s.add(mine, ca, certs.DefaultMode)
	if err != nil {
		t.Fatal(err)
	}
	if a.Version != 1 || a.Generation == "" || a.Subject != certs.SubjectDigest(ca.RawSubject) {
		t.Errorf("got %+v", a)
	}
	_, err = s.add(mine, ca, certs.DefaultMode)
	kindOf(t, "again", err, fault.Exists, "already registered")
	var f *fault.Error
	if !errors.As(err, &f) || f.ResourceID != string(a.ID) || f.ResourceARN != "arn:aws:iot:us-east-1:000000000000:cacert/"+string(a.ID) {
		t.Errorf("got %+v", f)
	}
	_, err = s.add(mine, ca, certs.SNIOnly)
	kindOf(t, "again, in the other mode", err, fault.Exists, "already registered")
	for _, mode := range []string{certs.DefaultMode, certs.SNIOnly} {
		_, err = s.add(theirs, ca, mode)
		kindOf(t, "elsewhere in "+mode, err, fault.Exists, "another account")
		if errors.As(err, &f); strings.Contains(f.Error()+f.ResourceARN, mine.Account) {
			t.Errorf("it tells of the other account: %v", f)
		}
	}
	if _, err := s.add(abroad, ca, certs.DefaultMode); err != nil {
		t.Errorf("in another region: %v", err)
	}
	shared := certtest.CA(t, "shared")
	for _, tenant := range []arn.Tenant{theirs, mine} {
		if _, err := s.add(tenant, shared, certs.SNIOnly); err != nil {
			t.Errorf("shared: %v", err)
		}
	}
	wanted := certtest.CA(t, "wanted")
	if _, err := s.add(theirs, wanted, certs.SNIOnly); err != nil {
		t.Fatal(err)
	}
	if _, err := s.add(mine, wanted, certs.DefaultMode); err != nil {
		t.Errorf("whoever proves the key is kept out by one who proved nothing: %v", err)
	}
}

func TestTheEleventhCAWithASubjectIsRefused(t *testing.T) {
	s := newShelf(t)
	var first *certs.Authority
	for i := range 10 {
		a, err := s.add(mine, certtest.CA(t, "maker"), certs.SNIOnly)
		if err != nil {
			t.Fatal(i, err)
		}
		if first == nil {
			first = a
		}
	}
	eleventh := certtest.CA(t, "maker")
	_, err := s.add(mine, eleventh, certs.SNIOnly)
	kindOf(t, "the eleventh", err, fault.LimitExceeded, "10 CA certificates with this subject; the limit is 10")
	again := certtest.Cert{Certificate: eleventh.Certificate, Key: eleventh.Key, PEM: first.PEM}
	_, err = s.add(mine, again, certs.SNIOnly)
	kindOf(t, "the first one again", err, fault.Exists, "already registered")
	if _, err := s.add(mine, certtest.CA(t, "another"), certs.SNIOnly); err != nil {
		t.Errorf("with another subject: %v", err)
	}
	if _, err := s.add(theirs, eleventh, certs.SNIOnly); err != nil {
		t.Errorf("in another account: %v", err)
	}
	eleven := 11
	s.must(func(ctx context.Context, tx store.Tx) error {
		_, err := tenants.Set(ctx, tx, mine, tenants.Change{Limits: map[ref.Limit]*int{ref.CAsPerSubject: &eleven}}, noon)
		return err
	})
	if _, err := s.add(mine, eleventh, certs.SNIOnly); err != nil {
		t.Errorf("after the account's limit was raised: %v", err)
	}
}

func TestChangingACACertificate(t *testing.T) {
	s := newShelf(t)
	a, err := s.add(mine, certtest.CA(t, "maker"), certs.SNIOnly)
	if err != nil {
		t.Fatal(err)
	}
	named, inline := &certs.Registration{TemplateName: "a", RoleARN: "r"}, &certs.Registration{TemplateBody: "b"}
	for i, step := range []struct {
		change       certs.AuthorityChange
		version      int
		status       certs.Status
		automatic    bool
		registration *certs.Registration
	}{
		{certs.AuthorityChange{}, 1, certs.Active, false, nil},
		{certs.AuthorityChange{Status: certs.Active}, 1, certs.Active, false, nil},
		{certs.AuthorityChange{Status: certs.Inactive}, 2, certs.Inactive, false, nil},
		{certs.AuthorityChange{Automatic: new(true)}, 3, certs.Inactive, true, nil},
		{certs.AuthorityChange{Registration: named}, 4, certs.Inactive, true, named},
		{certs.AuthorityChange{Registration: &certs.Registration{TemplateName: "a", RoleARN: "r"}}, 4, certs.Inactive, true, named},
		{certs.AuthorityChange{Registration: inline}, 5, certs.Inactive, true, inline},
		{certs.AuthorityChange{Unregister: true, Status: certs.Active}, 6, certs.Active, true, nil},
	} {
		want := *a
		want.Version, want.Status, want.Automatic, want.Registration = step.version, step.status, step.automatic, step.registration
		got := s.change(a, step.change)
		same := cmpopts.IgnoreFields(certs.Authority{}, "Created", "Modified", "Tags")
		if diff := cmp.Diff(&want, got, same); diff != "" {
			t.Errorf("step %d (-want +got)\n%s", i, diff)
		}
	}
	refuse := func(ch certs.AuthorityChange) error {
		return s.try(func(ctx context.Context, tx store.Tx) error {
			return certs.ChangeAuthority(ctx, tx, mine, a.ID, ch, noon)
		})
	}
	kindOf(t, "both ways", refuse(certs.AuthorityChange{Registration: &certs.Registration{TemplateName: "a"}, Unregister: true}), fault.InvalidRequest, "expected one of them")
	kindOf(t, "both templates", refuse(certs.AuthorityChange{Registration: &certs.Registration{TemplateName: "a", TemplateBody: "b"}}), fault.InvalidRequest, "expected one of them")
}
