package policy

import (
	"strings"
	"testing"
)

// benchContext is an attached device with the recommended policy.
func benchContext() Context {
	c := mqtt("unit-7")
	c.Tenant = testTenant
	c.CertificateID, c.Certificate = strings.Repeat("ab", 32), richCertificate()
	c.Thing = &Thing{Name: "unit-7", Attached: true}
	return c
}

func benchSet(b *testing.B) []Named {
	d, err := Parse(strings.ReplaceAll(testFile(b, "check/device-recommended.json"), "\n", " "))
	if err != nil {
		b.Fatal(err)
	}
	return []Named{{"Device", "1", d.Compile()}}
}

func BenchmarkParseAndCompile(b *testing.B) {
	text := testFile(b, "check/device-recommended.json")
	for b.Loop() {
		d, err := Parse(text)
		if err != nil {
			b.Fatal(err)
		}
		d.Compile()
	}
}

func BenchmarkBind(b *testing.B) {
	set, c := benchSet(b), benchContext()
	b.ReportAllocs()
	for b.Loop() {
		Bind(set, c)
	}
}

func BenchmarkDecide(b *testing.B) {
	bound := Bind(benchSet(b), benchContext())
	for name, topic := range map[string]string{"allowed": "dt/unit-7/temperature", "denied": "dt/unit-8/temperature"} {
		resource := TopicARN(testTenant, topic)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bound.Decide("iot:Publish", resource)
			}
		})
	}
}
