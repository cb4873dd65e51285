package policy

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/netip"
	"slices"
)

// maxValues is how many values of one attribute are kept (policies.md,
// section 2.2).
const maxValues = 5

// A certField is a part of a certificate's subject or issuer that has a name in
// the policy language: an attribute of the distinguished name, or a kind of
// alternative name.
type certField struct {
	name string
	oid  asn1.ObjectIdentifier // of an attribute, else nil
	tag  int                   // of an alternative name: RFC 5280, section 4.2.1.6
}

func (f certField) alternative() bool { return f.oid == nil }

var certFields = [...]certField{
	{name: "DistinguishedNameQualifier", oid: asn1.ObjectIdentifier{2, 5, 4, 46}},
	{name: "Country", oid: asn1.ObjectIdentifier{2, 5, 4, 6}},
	{name: "Organization", oid: asn1.ObjectIdentifier{2, 5, 4, 10}},
	{name: "OrganizationalUnit", oid: asn1.ObjectIdentifier{2, 5, 4, 11}},
	{name: "State", oid: asn1.ObjectIdentifier{2, 5, 4, 8}},
	{name: "CommonName", oid: asn1.ObjectIdentifier{2, 5, 4, 3}},
	{name: "SerialNumber", oid: asn1.ObjectIdentifier{2, 5, 4, 5}},
	{name: "Title", oid: asn1.ObjectIdentifier{2, 5, 4, 12}},
	{name: "Surname", oid: asn1.ObjectIdentifier{2, 5, 4, 4}},
	{name: "GivenName", oid: asn1.ObjectIdentifier{2, 5, 4, 42}},
	{name: "Initials", oid: asn1.ObjectIdentifier{2, 5, 4, 43}},
	{name: "Pseudonym", oid: asn1.ObjectIdentifier{2, 5, 4, 65}},
	{name: "GenerationQualifier", oid: asn1.ObjectIdentifier{2, 5, 4, 44}},
	{name: "AlternativeName.RFC822Name", tag: tagMail},
	{name: "AlternativeName.DNSName", tag: tagDNS},
	{name: "AlternativeName.DirectoryName", tag: tagDirectory},
	{name: "AlternativeName.UniformResourceIdentifier", tag: tagURI},
	{name: "AlternativeName.IPAddress", tag: tagIP},
}

// Tags of a GeneralName: RFC 5280, section 4.2.1.6.
const (
	tagMail      = 1
	tagDNS       = 2
	tagDirectory = 4
	tagURI       = 6
	tagIP        = 7
)

var (
	subjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}
	issuerAltName  = asn1.ObjectIdentifier{2, 5, 29, 18}
)

func (v *values) ofCertificate(x *variable) []string {
	cert := v.c.Certificate
	if cert == nil {
		return nil
	}
	switch x.of {
	case certSerial:
		// AWS prints the number in decimal, whatever the tools of the field do.
		if cert.SerialNumber == nil {
			return nil
		}
		return []string{cert.SerialNumber.String()}
	case certKeys:
		return v.availableKeys()
	case certName:
		name := &cert.Subject
		if x.issue {
			name = &cert.Issuer
		}
		return attribute(name, certFields[x.field].oid)
	case certAltName:
		return v.alternative(x.issue, certFields[x.field].tag)
	}
	return nil
}

func attribute(name *pkix.Name, oid asn1.ObjectIdentifier) []string {
	var out []string
	for _, a := range name.Names {
		if text, ok := a.Value.(string); ok && text != "" && a.Type.Equal(oid) && len(out) < maxValues {
			out = append(out, text)
		}
	}
	return out
}

// availableKeys lists the certificate variables that have a value.
func (v *values) availableKeys() []string {
	keys := []string{"iot:Certificate.SerialNumber"}
	for _, issue := range []bool{false, true} {
		prefix := "iot:Certificate.Subject."
		if issue {
			prefix = "iot:Certificate.Issuer."
		}
		for i, f := range certFields {
			x := variable{of: certName, field: i, issue: issue}
			if f.alternative() {
				x.of = certAltName
			}
			if len(v.ofCertificate(&x)) > 0 {
				keys = append(keys, prefix+f.name)
			}
		}
	}
	return keys
}

// altNames holds one extension's names by tag.
type altNames map[int][]string

func (v *values) alternative(issue bool, tag int) []string {
	oid, i := subjectAltName, 0
	if issue {
		oid, i = issuerAltName, 1
	}
	if v.alt[i] == nil {
		names := altNames{}
		for _, e := range v.c.Certificate.Extensions {
			if e.Id.Equal(oid) {
				names.read(e.Value)
			}
		}
		v.alt[i] = &names
	}
	return (*v.alt[i])[tag]
}

// read takes the names it knows out of the extension's value. Names it cannot
// read count as absent: they grant nothing.
func (a altNames) read(der []byte) {
	var list []asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &list); err != nil || len(rest) > 0 {
		return
	}
	for _, n := range list {
		if n.Class != asn1.ClassContextSpecific || len(a[n.Tag]) == maxValues {
			continue
		}
		if text := generalName(n); text != "" {
			a[n.Tag] = append(a[n.Tag], text)
		}
	}
}

func generalName(n asn1.RawValue) string {
	switch n.Tag {
	case tagMail, tagDNS, tagURI:
		if slices.ContainsFunc(n.Bytes, func(b byte) bool { return b >= 0x80 }) {
			return "" // these are IA5String
		}
		return string(n.Bytes)
	case tagIP:
		if ip, ok := netip.AddrFromSlice(n.Bytes); ok {
			return ip.String()
		}
	case tagDirectory:
		var seq pkix.RDNSequence
		if rest, err := asn1.Unmarshal(n.Bytes, &seq); err == nil && len(rest) == 0 {
			return seq.String()
		}
	}
	return ""
}
