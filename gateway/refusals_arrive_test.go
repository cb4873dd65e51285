package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/internal/certtest"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/templates"
)

// arrives makes a cause of a first CONNECT under a CA that is changed before,
// with a leaf that is changed too.
func arrives(r *certs.Registration, ca func(*certs.Authority), leaf ...func(*x509.Certificate)) func(*scene, mqtt.Version) (string, string) {
	return arrivesAs("localhost", r, ca, leaf...)
}

func arrivesAs(name string, r *certs.Registration, change func(*certs.Authority), leaf ...func(*x509.Certificate)) func(*scene, mqtt.Version) (string, string) {
	return func(x *scene, v mqtt.Version) (string, string) {
		ca := certtest.CA(x.t, "maker of "+x.name())
		x.sponsor(arn.Default, ca, r, change)
		cert := ca.Sign(x.t, "lamp", leaf...)
		return connectsAs(name, func(*scene) tls.Certificate { return cert.TLS() })(x, v)
	}
}

func asIs(*certs.Authority)              {}
func inactive(a *certs.Authority)        { a.Status = certs.Inactive }
func notAutomatic(a *certs.Authority)    { a.Automatic = false }
func authorityIsOver(a *certs.Authority) { a.NotAfter = time.Now().Add(-time.Minute) }

func validFrom(from, to time.Duration) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Now().Add(from), time.Now().Add(to) }
}

// pendingUnder connects once, does something, and makes a cause of the second
// CONNECT.
func pendingUnder(then func(x *scene, a *certs.Authority) error) func(*scene, mqtt.Version) (string, string) {
	return func(x *scene, v mqtt.Version) (string, string) {
		ca := certtest.CA(x.t, "maker of "+x.name())
		a := x.sponsor(arn.Default, ca, nil)
		cert := ca.Sign(x.t, "lamp").TLS()
		connects(func(*scene) tls.Certificate { return cert }, "lamp")(x, v)
		must(x.t, then(x, a))
		return connects(func(*scene) tls.Certificate { return cert }, "lamp")(x, v)
	}
}

func (x *scene) changeAuthority(a *certs.Authority, ch certs.AuthorityChange) error {
	return x.db.Update(context.Background(), func(ctx context.Context, tx store.Tx) error {
		return certs.ChangeAuthority(ctx, tx, a.Tenant, a.ID, ch, x.now())
	})
}

func again(*scene, *certs.Authority) error { return nil }

func withoutAuthority(x *scene, a *certs.Authority) error {
	if err := x.changeAuthority(a, certs.AuthorityChange{Status: certs.Inactive}); err != nil {
		return err
	}
	return x.db.Update(context.Background(), func(ctx context.Context, tx store.Tx) error {
		return certs.DropAuthority(ctx, tx, a.Tenant, a.ID)
	})
}

// disabledTemplate makes the JITP template lamps-off, which is disabled.
func disabledTemplate(x *scene, v mqtt.Version) (string, string) {
	_ = x.db.Update(context.Background(), func(ctx context.Context, tx store.Tx) error { // there is one from the first time
		return templates.Create(ctx, tx, &templates.Record{Tenant: arn.Default, Name: "lamps-off", Type: templates.JustInTime,
			RoleARN: "arn:aws:iam::000000000000:role/r", Created: x.now()}, arrivalBody("lamp"))
	})
	return arrives(&certs.Registration{TemplateName: "lamps-off"}, asIs, serialNumber("S1"))(x, v)
}

// forged is signed by another key than that of the CA whose name it bears.
func forged(x *scene, v mqtt.Version) (string, string) {
	x.sponsor(arn.Default, certtest.CA(x.t, "maker"), nil)
	return connects(func(x *scene) tls.Certificate { return certtest.CA(x.t, "maker").Sign(x.t, "lamp").TLS() }, "lamp")(x, v)
}

// held is in DEFAULT mode in another account.
func held(x *scene, v mqtt.Version) (string, string) {
	ca := certtest.CA(x.t, "maker of "+x.name())
	leaf := ca.Sign(x.t, "lamp")
	id := x.brought(x.other, leaf)
	x.update(func(ctx context.Context, tx store.Tx) error { // as if its CA had been in DEFAULT mode
		c, err := tx.Certificate(ctx, x.other, id)
		if err != nil {
			return err
		}
		if err := tx.DeleteCertificate(ctx, x.other, id); err != nil {
			return err
		}
		c.Mode = certs.DefaultMode
		return tx.InsertCertificate(ctx, c)
	})
	x.sponsor(arn.Default, ca, nil)
	return connects(func(*scene) tls.Certificate { return leaf.TLS() }, "lamp")(x, v)
}

var arrivalCauses = []cause{
	{"registered just now, and its CA has no template", 0, arrives(nil, asIs)},
	{"it waits still", 0, pendingUnder(again)},
	{"signed by another key than its issuer's", 0, forged},
	{"its CA is INACTIVE", 0, arrives(nil, inactive)},
	{"its CA has auto-registration DISABLE", 0, arrives(nil, notAutomatic)},
	{"its CA expired", 0, arrives(nil, authorityIsOver)},
	{"it expired", 0, arrives(nil, asIs, validFrom(-2*time.Hour, -time.Hour))},
	{"it is from the future", 0, arrives(nil, asIs, validFrom(time.Hour, 2*time.Hour))},
	{"its CA was deleted while it waited", 0, pendingUnder(withoutAuthority)},
	{"its CA became INACTIVE while it waited", 0, pendingUnder(func(x *scene, a *certs.Authority) error {
		return x.changeAuthority(a, certs.AuthorityChange{Status: certs.Inactive})
	})},
	{"no server name", 0, arrivesAs("", nil, asIs)},
	{"the server name of an account that has no such CA", 0, arrivesAs("other.localhost", nil, asIs)},
	{"another account has it in DEFAULT mode", 0, held},
	{"its subject lacks what the template asks", 0, arrives(inline(arrivalBody("lamp")), asIs)},
	{"its subject would widen a policy", 0, arrives(inline(wideningBody), asIs, serialNumber("*"))},
	{"its CA's template is disabled", 0, disabledTemplate},
	{"its CA names a template that is gone", 0, arrives(&certs.Registration{TemplateName: "gone"}, asIs)},
}

const wideningBody = `{"Parameters":{"AWS::IoT::Certificate::SerialNumber":{"Type":"String"}},"Resources":{
 "certificate":{"Type":"AWS::IoT::Certificate","Properties":{"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"}}},
 "policy":{"Type":"AWS::IoT::Policy","Properties":{"PolicyDocument":{"Fn::Sub":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"iot:Connect\",\"Resource\":\"arn:aws:iot:*:*:client/${AWS::IoT::Certificate::SerialNumber}\"}]}"}}}}}`
