package ca

import (
	"crypto"
	"crypto/dsa" //nolint:staticcheck // named only to refuse such keys by name
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509/pkix"
	"encoding/asn1"

	"github.com/slipway-iot/slipway/fault"
)

const (
	minRSA = 2048
	maxRSA = 8192 // the largest key that Go's TLS accepts from a peer

	useInstead = "use RSA with at least 2048 bits or P-256, P-384, P-521"
)

var (
	oidRSAPSS = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
	oidECKey  = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
)

// checkKey refuses keys that are weak, or that cannot be used at the gateway
// (provisioning-mqtt-api.md, section 6.1). The sentence begins with what; spki
// tells unknown kinds of keys apart and may be nil.
func checkKey(what string, pub crypto.PublicKey, spki []byte) error {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		return checkRSA(what, k)
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			return nil
		}
		return fault.New(fault.InvalidCSR, "%s lies on the curve %s; %s.", what, k.Curve.Params().Name, useInstead)
	case ed25519.PublicKey:
		return fault.New(fault.InvalidCSR, "%s is an Ed25519 key, which is not supported; %s.", what, useInstead)
	case *dsa.PublicKey:
		return fault.New(fault.InvalidCSR, "%s is a DSA key, which is not supported; %s.", what, useInstead)
	}
	if keyAlgorithm(spki).Equal(oidRSAPSS) {
		return fault.New(fault.InvalidCSR, "%s is limited to RSA-PSS, which is not supported; make it a plain RSA key (rsaEncryption).", what)
	}
	return fault.New(fault.InvalidCSR, "%s is of a kind that is not supported; %s.", what, useInstead)
}

// checkRSA bounds the modulus and the exponent. An exponent below 65537 is
// refused because signatures made with it have been forged time and again.
func checkRSA(what string, k *rsa.PublicKey) error {
	bits := k.N.BitLen()
	switch {
	case bits < minRSA:
		return fault.New(fault.InvalidCSR, "%s is RSA with %d bits; %s.", what, bits, useInstead)
	case bits > maxRSA:
		return fault.New(fault.InvalidCSR, "%s is RSA with %d bits; at most %d bits can be used for TLS here.", what, bits, maxRSA)
	case k.E < 65537 || k.E%2 == 0:
		return fault.New(fault.InvalidCSR, "%s has the RSA exponent %d; make the key with the exponent 65537.", what, k.E)
	case k.N.Bit(0) == 0:
		return fault.New(fault.InvalidCSR, "%s has an even RSA modulus, so it is no RSA key; %s.", what, useInstead)
	}
	return nil
}

// unreadable says what is wrong with a request that x509 cannot parse. The
// most likely reason is a key on a curve that x509 does not know.
func unreadable(der []byte, err error) error {
	var req struct {
		Info struct {
			Version    int
			Subject    asn1.RawValue
			Key        asn1.RawValue
			Attributes []asn1.RawValue `asn1:"tag:0,optional"`
		}
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	rest, outer := asn1.Unmarshal(der, &req)
	switch {
	case outer == nil && len(rest) != 0:
		return fault.New(fault.InvalidCSR, "The CSR is followed by %d other bytes; send nothing behind it.", len(rest))
	case outer == nil && keyAlgorithm(req.Info.Key.FullBytes).Equal(oidECKey):
		return fault.Wrap(fault.InvalidCSR, err, "The CSR cannot be read: its key may lie on an unsupported curve, or an extension is malformed; %s.", useInstead)
	}
	return fault.Wrap(fault.InvalidCSR, err, "The CSR cannot be read as a PKCS#10 certificate signing request.")
}

// keyAlgorithm is the algorithm of a subject public key info, nil if it cannot
// be read.
func keyAlgorithm(spki []byte) asn1.ObjectIdentifier {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(spki, &info); err != nil {
		return nil
	}
	return info.Algorithm.Algorithm
}
