package wire

import (
	"strings"
	"testing"
)

// The requests of a claim flow, at their usual sizes. They have to cost little
// beside the half millisecond of cryptography that the flow cannot avoid.
func BenchmarkRequests(b *testing.B) {
	csr := []byte(pemCSR + strings.Repeat("A", 500))
	register := RegisterRequest{strings.Repeat("t", 300), map[string]string{"SerialNumber": "SL001234567", "Site": "lab"}}
	for _, f := range []Format{JSON, CBOR} {
		create, registration := EncodeCreateFromCSR(f, csr), register.Encode(f)
		b.Run("create from CSR in "+f.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := DecodeCreateFromCSR(f, create); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("register in "+f.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := DecodeRegister(f, registration); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
