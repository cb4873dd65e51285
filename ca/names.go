package ca

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/slipway-iot/slipway/fault"
)

const (
	maxSANs = 16
	maxName = 253 // octets of a DNS name (RFC 1035, section 2.3.4)

	// maxSubject bounds the encoded subject, because it travels back in the
	// certificate: an answer with certificate, id, token and topic must fit a
	// client's buffer of 2,048 bytes (real-clients.md, "Device side").
	maxSubject = 512
)

var oidCommonName = asn1.ObjectIdentifier{2, 5, 4, 3}

// checkNames refuses subjects and alternative names that are absurd, that hide
// something from a reader, or that name one of our hosts.
func checkNames(req *x509.CertificateRequest, rules Rules) error {
	if err := checkSubject(req); err != nil {
		return err
	}
	if err := checkSANs(req); err != nil {
		return err
	}
	for _, h := range hostsIn(req) {
		if err := checkHost(h, rules); err != nil {
			return err
		}
	}
	return nil
}

// A host is a name in a request that a TLS client might look for in a server.
type host struct{ kind, name string }

func hostsIn(req *x509.CertificateRequest) (all []host) {
	for _, a := range req.Subject.Names {
		if text, ok := a.Value.(string); ok && a.Type.Equal(oidCommonName) {
			all = append(all, host{"common name", text})
		}
	}
	for _, name := range req.DNSNames {
		all = append(all, host{"DNS name", name})
	}
	for _, ip := range req.IPAddresses {
		all = append(all, host{"IP address", ip.String()})
	}
	for _, u := range req.URIs {
		all = append(all, host{"URI host", u.Hostname()}) // empty in urn:uuid:…
	}
	return all
}

// checkHost refuses a name that a TLS client could take for one of our hosts,
// however it is written.
func checkHost(h host, rules Rules) error {
	name := strings.TrimSuffix(strings.ToLower(strings.TrimSpace(h.name)), ".")
	if name == "*" || strings.HasPrefix(name, "*.") {
		return fault.New(fault.InvalidCSR, "The CSR has the wildcard %s %s; name the device itself.", h.kind, printable(name))
	}
	if ip, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		name = ip.Unmap().WithZone("").String()
	}
	if name != "" && rules.ForbiddenNames != nil && rules.ForbiddenNames(name) {
		return fault.New(fault.InvalidCSR, "The CSR has the %s %s, which is a name of this server; name the device itself.", h.kind, printable(name))
	}
	return nil
}

// checkSubject admits what can be shown in a log line and written into a
// certificate again: text, short, without control characters.
func checkSubject(req *x509.CertificateRequest) error {
	if len(req.RawSubject) > maxSubject {
		return fault.New(fault.InvalidCSR, "The CSR's subject has %d bytes; at most %d are accepted.", len(req.RawSubject), maxSubject)
	}
	if !textOnly(req.RawSubject) {
		return fault.New(fault.InvalidCSR, "The CSR's subject has an attribute that is not text; use UTF8String or PrintableString.")
	}
	for _, a := range req.Subject.Names {
		text, ok := a.Value.(string)
		if !ok || !utf8.ValidString(text) || strings.ContainsFunc(text, hidden) {
			return fault.New(fault.InvalidCSR, "The CSR's subject has a control character or invalid text in the attribute %s; use plain UTF-8.", a.Type)
		}
	}
	return nil
}

// textOnly says whether every attribute value of an encoded subject is of a
// string type that certificates are read with; x509 reads requests more
// generously.
func textOnly(raw []byte) bool {
	var subject []relativeNameSET
	if rest, err := asn1.Unmarshal(raw, &subject); err != nil || len(rest) != 0 {
		return false
	}
	for _, set := range subject {
		for _, a := range set {
			switch a.Value.Tag {
			case asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagIA5String,
				asn1.TagNumericString, asn1.TagT61String, asn1.TagBMPString:
			default:
				return false
			}
			if a.Value.Class != asn1.ClassUniversal {
				return false
			}
		}
	}
	return true
}

// A relativeNameSET is one RDN with its values unread. encoding/asn1 tells sets
// from sequences by the end of the type's name.
type relativeNameSET []struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

// hidden says whether a reader would not see r as it is: control characters,
// and marks that reorder or vanish.
func hidden(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.In(r, unicode.Zl, unicode.Zp) || r == utf8.RuneError
}

// emptyName says whether a subject names nobody.
func emptyName(name pkix.Name) bool {
	for _, a := range name.Names {
		if text, _ := a.Value.(string); text != "" {
			return false
		}
	}
	return true
}

// checkSANs counts the alternative names, of whatever kind they are, and
// refuses DNS names that are none.
func checkSANs(req *x509.CertificateRequest) error {
	for _, e := range req.Extensions {
		if !e.Id.Equal(oidSubjectAltName) {
			continue
		}
		var names []asn1.RawValue
		if rest, err := asn1.Unmarshal(e.Value, &names); err != nil || len(rest) != 0 {
			return fault.Wrap(fault.InvalidCSR, err, "The CSR's subject alternative names cannot be read; leave them out, they are not copied.")
		}
		if len(names) > maxSANs {
			return fault.New(fault.InvalidCSR, "The CSR asks for %d subject alternative names; at most %d are accepted, and none is copied.", len(names), maxSANs)
		}
	}
	for _, name := range req.DNSNames {
		if len(name) > maxName || strings.ContainsFunc(name, hidden) {
			return fault.New(fault.InvalidCSR, "The CSR has a DNS name that no host can have: %s.", printable(name))
		}
	}
	return nil
}
