package policy

import (
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"
)

// richFacts are the values that richCertificate holds, written down by hand.
// Six organizations are in it; the sixth is not kept.
var richFacts = map[string][]string{
	"iot:certificate.subject.commonname":                                {"cn"},
	"iot:certificate.subject.organization":                              {"Acme", "a", "Smith, Sons; Co", "w*ld", "five"},
	"iot:certificate.subject.country":                                   {"NZ"},
	"iot:certificate.subject.pseudonym":                                 {"p"},
	"iot:certificate.issuer.commonname":                                 {"Plant CA"},
	"iot:certificate.subject.alternativename.dnsname":                   {"ab", "b.example"},
	"iot:certificate.subject.alternativename.rfc822name":                {"unit@example.com"},
	"iot:certificate.subject.alternativename.uniformresourceidentifier": {"urn:unit:1"},
	"iot:certificate.subject.alternativename.ipaddress":                 {"192.0.2.7"},
	"iot:certificate.issuer.alternativename.directoryname":              {"CN=issuer,O=Plant"},
}

var richKeys = []string{
	"iot:Certificate.SerialNumber",
	"iot:Certificate.Subject.Country", "iot:Certificate.Subject.Organization", "iot:Certificate.Subject.CommonName",
	"iot:Certificate.Subject.Pseudonym", "iot:Certificate.Subject.AlternativeName.RFC822Name",
	"iot:Certificate.Subject.AlternativeName.DNSName", "iot:Certificate.Subject.AlternativeName.UniformResourceIdentifier",
	"iot:Certificate.Subject.AlternativeName.IPAddress",
	"iot:Certificate.Issuer.CommonName", "iot:Certificate.Issuer.AlternativeName.DirectoryName",
}

// richCertificate has something in most of the fields that policies can name.
var richCertificate = sync.OnceValue(func() *x509.Certificate {
	seed := make([]byte, ed25519.SeedSize)
	key := ed25519.NewKeyFromSeed(seed)
	serial, _ := new(big.Int).SetString("921285cbb7a5e086", 16)
	uri, _ := url.Parse("urn:unit:1")
	names := []pkix.AttributeTypeAndValue{attr("NZ", 2, 5, 4, 6), attr("cn", 2, 5, 4, 3), attr("p", 2, 5, 4, 65)}
	for _, o := range []string{"Acme", "a", "Smith, Sons; Co", "w*ld", "five", "six"} {
		names = append(names, attr(o, 2, 5, 4, 10))
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		NotBefore:    time.Unix(0, 0), NotAfter: time.Unix(1<<31, 0),
		Subject:        pkix.Name{ExtraNames: names},
		DNSNames:       []string{"ab", "b.example"},
		EmailAddresses: []string{"unit@example.com"},
		URIs:           []*url.URL{uri},
		IPAddresses:    []net.IP{net.IPv4(192, 0, 2, 7)},
		ExtraExtensions: []pkix.Extension{{Id: issuerAltName, Value: directoryNames(pkix.Name{
			CommonName: "issuer", Organization: []string{"Plant"}})}},
	}
	parent := &x509.Certificate{Subject: pkix.Name{CommonName: "Plant CA"}}
	der, err := x509.CreateCertificate(nil, template, parent, key.Public(), key)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return cert
})

func attr(value string, oid ...int) pkix.AttributeTypeAndValue {
	return pkix.AttributeTypeAndValue{Type: oid, Value: value}
}

// directoryNames encodes GeneralNames of the directoryName form: RFC 5280,
// section 4.2.1.6.
func directoryNames(n pkix.Name) []byte {
	inner, err := asn1.Marshal(n.ToRDNSequence())
	if err != nil {
		panic(err)
	}
	tagged := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tagDirectory, IsCompound: true, Bytes: inner}
	der, err := asn1.Marshal([]asn1.RawValue{tagged})
	if err != nil {
		panic(err)
	}
	return der
}

func TestCertificateVariables(t *testing.T) {
	v := &values{c: &Context{Certificate: richCertificate()}}
	for name, want := range richFacts {
		x, known := parseVariable(name)
		x2, _ := parseVariable(name + ".List")
		if got := v.all(&x2); !known || !slices.Equal(got, want) {
			t.Errorf("%s.List: got %q, want %q", name, got, want)
		}
		if got, ok := v.one(&x); !ok || got != want[0] {
			t.Errorf("%s: got %q, want %q", name, got, want[0])
		}
	}
	x, _ := parseVariable("iot:Certificate.AvailableKeys")
	if got := v.all(&x); !slices.Equal(got, richKeys) {
		t.Errorf("AvailableKeys: got %q, want %q", got, richKeys)
	}
}

func TestAlternativeNamesThatCannotBeRead(t *testing.T) {
	for name, der := range map[string][]byte{
		"no sequence":                  {0x01},
		"something behind the list":    {0x30, 0x00, 0x00},
		"a mail address outside ASCII": {0x30, 0x03, 0x81, 0x01, 0xe9},
		"an address of three bytes":    {0x30, 0x05, 0x87, 0x03, 1, 2, 3},
		"a name that is not one":       {0x30, 0x03, 0xa4, 0x01, 0xff},
	} {
		a := altNames{}
		if a.read(der); len(a) != 0 {
			t.Errorf("%s: got %v, want nothing", name, a)
		}
	}
}

func FuzzAlternativeNames(f *testing.F) {
	f.Add(directoryNames(pkix.Name{CommonName: "x"}))
	f.Add([]byte{0x30, 0x06, 0x87, 0x04, 192, 0, 2, 1})
	f.Fuzz(func(t *testing.T, der []byte) {
		a := altNames{}
		a.read(der)
		for tag, all := range a {
			if len(all) > maxValues {
				t.Errorf("tag %d: %d values are kept", tag, len(all))
			}
		}
	})
}
