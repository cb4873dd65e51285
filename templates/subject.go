package templates

import (
	"crypto/x509/pkix"
	"unicode/utf8"
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
