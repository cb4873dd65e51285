package templates

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"unicode/utf8"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
)

// subjectNames are the parts of a subject that a JITP template can learn, by
// their OIDs (templates.md, section 6).
var subjectNames = map[string]string{
	"2.5.4.3":  "CommonName",
	"2.5.4.5":  "SerialNumber",
	"2.5.4.6":  "Country",
	"2.5.4.8":  "StateName",
	"2.5.4.10": "Organization",
	"2.5.4.11": "OrganizationalUnit",
	"2.5.4.46": "DistinguishedNameQualifier",
}

// Subject gives what the service supplies of a certificate's subject to a JITP
// template, by the names that the template uses. Of a part that occurs several
// times the first in encoded order counts; one that is no text is passed over.
func Subject(name pkix.Name) map[string]string {
	out := map[string]string{}
	for _, part := range name.Names {
		label, known := subjectNames[part.Type.String()]
		value, isText := part.Value.(string)
		if !known || !isText || !utf8.ValidString(value) {
			continue
		}
		if _, had := out[certificatePrefix+label]; !had {
			out[certificatePrefix+label] = value
		}
	}
	return out
}

// SubjectOf gives what the service would supply of a certificate, PEM. A signing
// request stands for the certificate that its CA will make of it: an id it has
// not, and gets one of zeros.
func SubjectOf(text string) (map[string]string, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, fault.New(fault.InvalidRequest, "The certificate is not PEM: expected -----BEGIN CERTIFICATE-----, or a signing request.")
	}
	switch block.Type {
	case "CERTIFICATE":
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fault.Wrap(fault.InvalidRequest, err, "The certificate cannot be read.")
		}
		out := Subject(c.Subject)
		out[CertificateID] = string(arn.IDOf(c.Raw))
		return out, nil
	case "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST":
		r, err := x509.ParseCertificateRequest(block.Bytes)
		if err != nil {
			return nil, fault.Wrap(fault.InvalidRequest, err, "The signing request cannot be read.")
		}
		out := Subject(r.Subject)
		out[CertificateID] = NoCertificate
		return out, nil
	}
	return nil, fault.New(fault.InvalidRequest, "The certificate is a PEM block of type %s: expected CERTIFICATE or CERTIFICATE REQUEST.", arn.Clip(block.Type, 40))
}

// NoCertificate stands for the certificate of a device that has none yet.
const NoCertificate = "0000000000000000000000000000000000000000000000000000000000000000"

const certificatePrefix = "AWS::IoT::Certificate::"

// isSubject says whether name is one of those parts.
func isSubject(name string) bool {
	for _, label := range subjectNames {
		if name == certificatePrefix+label {
			return true
		}
	}
	return false
}
