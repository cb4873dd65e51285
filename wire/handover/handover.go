// Package handover is how a temporary claim gets from an installer's machine
// into a device that has no network yet: as a text that a file, a pipe, a
// serial line or a QR code carries.
//
// There are three forms of the same. All begin and end recognisably, so that
// the noise of a serial line around them does no harm.
//
//	JSON      one object on one line
//	PEM       the same object in a block, BEGIN and END SLIPWAY CLAIM
//	compact   SLIPWAY1: and base 45 (RFC 9285), as short as a QR code wants it;
//	          without the root, which a device that scans holds already
package handover

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
)

// A Claim is what a device has to be told.
type Claim struct {
	Version     int     `json:"slipwayClaim"` // 1
	Endpoint    string  `json:"endpoint"`     // HOST:PORT
	Template    string  `json:"templateName"`
	Certificate string  `json:"certificatePem"`
	PrivateKey  string  `json:"privateKey"`           // PEM
	RootCA      string  `json:"rootCa,omitempty"`     // PEM; empty: the device knows it
	Expiration  float64 `json:"expiration,omitempty"` // seconds since the epoch, for people
}

const version = 1

// JSON is the claim as one line.
func (c Claim) JSON() ([]byte, error) {
	c.Version = version
	b, err := json.Marshal(c)
	return append(b, '\n'), err
}

const blockType = "SLIPWAY CLAIM"

// PEM is the claim as one block.
func (c Claim) PEM() ([]byte, error) {
	b, err := c.JSON()
	return pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: b}), err
}

// CompactPrefix begins the compact form.
const CompactPrefix = "SLIPWAY1:"

// Compact is the claim as a QR code carries it. Its key has to be one of P-256:
// no other is as short.
func (c Claim) Compact() (string, error) {
	cert, _ := pem.Decode([]byte(c.Certificate))
	block, _ := pem.Decode([]byte(c.PrivateKey))
	if cert == nil || block == nil {
		return "", fmt.Errorf("certificate or key is not PEM")
	}
	key, err := parseKey(block.Bytes)
	if err != nil {
		return "", err
	}
	scalar, err := key.Bytes()
	if err != nil {
		return "", err
	}
	var b []byte
	for _, field := range [][]byte{[]byte(c.Endpoint), []byte(c.Template), scalar, cert.Bytes} {
		b = binary.AppendUvarint(b, uint64(len(field)))
		b = append(b, field...)
	}
	return CompactPrefix + base45(b), nil
}

func parseKey(der []byte) (*ecdsa.PrivateKey, error) {
	key, err := x509.ParseECPrivateKey(der)
	if err != nil {
		other, _ := x509.ParsePKCS8PrivateKey(der) // nil if it is none either
		key, _ = other.(*ecdsa.PrivateKey)
	}
	if key == nil || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("the key is none of P-256, which the compact form needs")
	}
	return key, nil
}

// parseCompact reads the compact form.
func parseCompact(text string) (*Claim, error) {
	b, err := unbase45(strings.TrimPrefix(text, CompactPrefix))
	if err != nil {
		return nil, err
	}
	var fields [4][]byte
	for i := range fields {
		n, used := binary.Uvarint(b)
		if used <= 0 || n > uint64(len(b)-used) {
			return nil, fmt.Errorf("it ends too early")
		}
		fields[i], b = b[used:used+int(n)], b[used+int(n):]
	}
	if len(b) > 0 {
		return nil, fmt.Errorf("%d bytes follow its end", len(b))
	}
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), fields[2])
	if err != nil {
		return nil, fmt.Errorf("its key cannot be used: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	c := &Claim{
		Version: version, Endpoint: string(fields[0]), Template: string(fields[1]),
		Certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: fields[3]})),
		PrivateKey:  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	}
	return c, c.check()
}

// check says what is missing. Whether certificate and key belong together is
// for who uses them.
func (c *Claim) check() error {
	switch {
	case c.Version != version:
		return fmt.Errorf("its version is %d; %d is expected", c.Version, version)
	case c.Endpoint == "" || c.Template == "" || c.Certificate == "" || c.PrivateKey == "":
		return fmt.Errorf("endpoint, templateName, certificatePem or privateKey is missing")
	}
	return nil
}
