package templates

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func ofSubject(value any, oid ...int) pkix.AttributeTypeAndValue {
	return pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier(oid), Value: value}
}

func TestASubjectGivesWhatATemplateMayLearn(t *testing.T) {
	got := Subject(pkix.Name{Names: []pkix.AttributeTypeAndValue{
		ofSubject("DE", 2, 5, 4, 6), ofSubject("Hesse", 2, 5, 4, 8), ofSubject("Kassel", 2, 5, 4, 7), ofSubject("Example", 2, 5, 4, 10),
		ofSubject("Line 1", 2, 5, 4, 11), ofSubject("Line 2", 2, 5, 4, 11), ofSubject("Q7", 2, 5, 4, 46), ofSubject("S1", 2, 5, 4, 5),
		ofSubject("lamp", 2, 5, 4, 3), ofSubject("x@example.com", 1, 2, 840, 113549, 1, 9, 1),
	}})
	want := map[string]string{
		"AWS::IoT::Certificate::Country": "DE", "AWS::IoT::Certificate::StateName": "Hesse", "AWS::IoT::Certificate::Organization": "Example",
		"AWS::IoT::Certificate::OrganizationalUnit": "Line 1", "AWS::IoT::Certificate::DistinguishedNameQualifier": "Q7",
		"AWS::IoT::Certificate::SerialNumber": "S1", "AWS::IoT::Certificate::CommonName": "lamp",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("the first of each part that has a name, and nothing else (-want +got)\n%s", d)
	}
	odd := Subject(pkix.Name{Names: []pkix.AttributeTypeAndValue{ofSubject("\xff\xfe", 2, 5, 4, 3), ofSubject(7, 2, 5, 4, 5)}})
	if len(odd) != 0 {
		t.Errorf("what is no text became %q", odd)
	}
}
