package agent

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
)

// newKey makes the device's private key, as PKCS#8 in PEM. It comes from the
// system's generator: a key is nothing for a test to choose.
func newKey(t KeyType) (string, error) {
	var key crypto.Signer
	var err error
	if t == RSA2048 {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), nil
}

// signingRequest asks for a certificate for the key. Its subject is empty: the
// server names the certificate, and a thing is found by its fingerprint.
func signingRequest(keyPEM string) ([]byte, error) {
	block, _ := pem.Decode([]byte(keyPEM))
	if block == nil {
		return nil, errors.New("the stored key is not PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), nil
}

// pair puts a certificate and its key together. It fails if they are not for
// each other.
func pair(certPEM, keyPEM []byte) (tls.Certificate, error) {
	// X509KeyPair looks for the first block of its kind and reads PKCS#1,
	// PKCS#8 and SEC 1.
	return tls.X509KeyPair(bytes.TrimSpace(certPEM), bytes.TrimSpace(keyPEM))
}
