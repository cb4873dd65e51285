package access

import (
	"encoding/pem"
	"strings"
	"testing"

	"github.com/slipway-iot/slipway/fault"
)

// FuzzParseSigningKey shows that no text makes it panic, and that what it takes
// is a key fit to verify with.
func FuzzParseSigningKey(f *testing.F) {
	block := func(kind string, body string) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: []byte(body)}))
	}
	for _, seed := range []string{
		"", "-----BEGIN PUBLIC KEY-----", block("PUBLIC KEY", ""), block("RSA PUBLIC KEY", "0\x06\x02\x01\x01\x02\x01\x03"),
		block("RSA PUBLIC KEY", "0\x06\x02\x01\xff\x02\x01\x03"), block("CERTIFICATE", "0"), strings.Repeat(block("PUBLIC KEY", "0"), 2),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		key, err := ParseSigningKey(text)
		if err == nil && (key.N.BitLen() < minKeyBits || key.E < 2) {
			t.Errorf("took a key of %d bits with exponent %d", key.N.BitLen(), key.E)
		}
		if err != nil && !fault.Is(err, fault.InvalidRequest) {
			t.Errorf("got %v", err)
		}
	})
}
