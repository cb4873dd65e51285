package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"time"
)

// A factory is a CA of the demo's own, as a maker of devices has one.
type factory struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newFactory(name string) (*factory, error) {
	form := certificateForm(pkix.Name{CommonName: name})
	form.IsCA, form.BasicConstraintsValid, form.KeyUsage = true, true, x509.KeyUsageCertSign
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &factory{cert, key}, err
}

func certificateForm(subject pkix.Name) *x509.Certificate {
	return &x509.Certificate{Subject: subject, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().AddDate(1, 0, 0)}
}

func (f *factory) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.cert.Raw}))
}

// device makes a key with a certificate.
func (f *factory) device(subject pkix.Name) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	form := certificateForm(subject)
	if form.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return tls.Certificate{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, form, f.cert, key.Public(), f.key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
