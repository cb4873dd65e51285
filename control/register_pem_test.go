package control

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
)

// A factoryCA signs devices' certificates before they meet us.
type factoryCA struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	next int64
}

func pemOf(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func newFactoryCA(t *testing.T) *factoryCA {
	t.Helper()
	f := &factoryCA{t: t, key: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t), next: 2}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "factory"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, f.key.Public(), f.key))(t)
	f.cert = must(x509.ParseCertificate(der))(t)
	return f
}

func (f *factoryCA) sign() string {
	f.t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(f.t)
	f.next++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(f.next), Subject: pkix.Name{CommonName: "lamp"}, KeyUsage: x509.KeyUsageDigitalSignature,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	return pemOf(must(x509.CreateCertificate(rand.Reader, template, f.cert, key.Public(), f.key))(f.t))
}

func TestRegisterThingWithACertificateBroughtAlong(t *testing.T) {
	s := open(t, nil)
	furnishRegister(t, s)
	factory := newFactoryCA(t)
	body := func(certificate string) string {
		return `{"Parameters":{"Name":{"Type":"String"},"PEM":{"Type":"String"},"CA":{"Type":"String","Default":""}},"Resources":{
			"thing":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":{"Ref":"Name"}}},
			"certificate":{"Type":"AWS::IoT::Certificate","Properties":` + certificate + `}}}`
	}
	plain, named := body(`{"CertificatePem":{"Ref":"PEM"}}`), body(`{"CertificatePem":{"Ref":"PEM"},"CACertificatePem":{"Ref":"CA"},"Status":"INACTIVE"}`)

	t.Run("its authority has to be registered, and nothing is stored", func(t *testing.T) {
		_, err := s.register(plain, "Name", "a", "PEM", factory.sign())
		refused(t, err, "ResourceRegistrationFailureException", "register the CA certificate first")
		s.absentThing("a")
	})
	must(s.admin().RegisterCACertificate(ctx, &iot.RegisterCACertificateInput{
		CaCertificate: aws.String(pemOf(factory.cert.Raw)), CertificateMode: types.CertificateModeSniOnly, SetAsActive: true,
	}))(t)
	t.Run("then it becomes the thing's, with the template's status", func(t *testing.T) {
		device := factory.sign()
		got := must(s.register(plain, "Name", "lamp-1", "PEM", device))(t)
		if *got.CertificatePem != device {
			t.Errorf("got %s", *got.CertificatePem)
		}
		again := must(s.register(plain, "Name", "lamp-1", "PEM", device))(t)
		if again.ResourceArns["certificate"] != got.ResourceArns["certificate"] {
			t.Errorf("again it is %v", again.ResourceArns)
		}
		held := must(s.admin().ListThingPrincipals(ctx, &iot.ListThingPrincipalsInput{ThingName: aws.String("lamp-1")}))(t).Principals
		if len(held) != 1 || held[0] != got.ResourceArns["certificate"] || s.status(held[0][len(home+"cert/"):]) != types.CertificateStatusActive {
			t.Errorf("held by %v", held)
		}
	})
	t.Run("the template may name the authority", func(t *testing.T) {
		got := must(s.register(named, "Name", "lamp-2", "PEM", factory.sign(), "CA", pemOf(factory.cert.Raw)))(t)
		if status := s.status(got.ResourceArns["certificate"][len(home+"cert/"):]); status != types.CertificateStatusInactive {
			t.Errorf("got %s", status)
		}
		_, err := s.register(named, "Name", "b", "PEM", factory.sign(), "CA", pemOf(newFactoryCA(t).cert.Raw))
		refused(t, err, "ResourceRegistrationFailureException", "not registered in this account")
		s.absentThing("b")
	})
}
