package access

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"slices"

	"github.com/slipway-iot/slipway/fault"
)

// minKeyBits is the least that a token's signing key must have
// (device-gateway.md, section 7).
const minKeyBits = 2048

// ParseSigningKey reads the PEM of a public key that verifies the signatures of
// tokens. They are RSA with SHA-256, so no other key would do.
func ParseSigningKey(text string) (*rsa.PublicKey, error) {
	block, rest := pem.Decode([]byte(text))
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fault.New(fault.InvalidRequest, "expected one PEM block, BEGIN PUBLIC KEY")
	}
	key, err := parseBlock(block)
	if err != nil {
		return nil, err
	}
	if bits := key.N.BitLen(); bits < minKeyBits {
		return nil, fault.New(fault.InvalidRequest, "the key has %d bits; expected at least %d", bits, minKeyBits)
	}
	return key, nil
}

func parseBlock(block *pem.Block) (*rsa.PublicKey, error) {
	switch block.Type {
	case "PUBLIC KEY":
		public, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fault.Wrap(fault.InvalidRequest, err, "the PEM block holds no public key")
		}
		key, ok := public.(*rsa.PublicKey)
		if !ok {
			return nil, fault.New(fault.InvalidRequest, "the key is not an RSA key, and signatures of tokens are RSA with SHA-256")
		}
		return key, nil
	case "RSA PUBLIC KEY":
		key, err := x509.ParsePKCS1PublicKey(block.Bytes)
		if err != nil {
			return nil, fault.Wrap(fault.InvalidRequest, err, "the PEM block holds no RSA public key")
		}
		return key, nil
	}
	return nil, fault.New(fault.InvalidRequest, "the PEM block is of another type; expected PUBLIC KEY")
}

// checkSigning says what is wrong with the keys of an authorizer. One that
// wants signatures needs a key to verify them with and the name under which the
// token travels.
func checkSigning(a *Authorizer) error {
	for _, name := range slices.Sorted(maps.Keys(a.Keys)) {
		if _, err := ParseSigningKey(a.Keys[name]); err != nil {
			_, text := fault.Show(err)
			return fault.Wrap(fault.InvalidRequest, err, "Token signing public key %s: %s.", name, text)
		}
	}
	if a.SigningDisabled {
		return nil
	}
	if len(a.Keys) == 0 {
		return fault.New(fault.InvalidRequest, "tokenSigningPublicKeys must hold a key unless signing is disabled.")
	}
	if a.TokenKeyName == "" {
		return fault.New(fault.InvalidRequest, "tokenKeyName must be given unless signing is disabled.")
	}
	return nil
}
