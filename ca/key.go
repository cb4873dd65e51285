package ca

import (
	"crypto"
	"crypto/ecdsa"
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

// checkKey refuses keys that are weak, or that cannot be used at the gateway
// (provisioning-mqtt-api.md, section 6.1). The sentence begins with what; spki
// tells other kinds of keys apart and may be nil.
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
	}
	return fault.New(fault.InvalidCSR, "%s is %s, which is not supported; %s.", what, kindOf(spki), useInstead)
}

// checkRSA bounds the modulus and the exponent. An exponent below 65537 is
// refused because signatures made with it have been forged time and again.
func checkRSA(what string, k *rsa.PublicKey) error {
	bits := k.N.BitLen()
	switch {
	case bits < minRSA:
		return fault.New(fault.InvalidCSR, "%s is RSA with %d bits; %s.", what, bits, useInstead)
	case bits > maxRSA:
		return fault.New(fault.InvalidCSR, "%s is RSA with %d bits; TLS here accepts at most %d bits.", what, bits, maxRSA)
	case k.E < 65537 || k.E%2 == 0:
		return fault.New(fault.InvalidCSR, "%s has the RSA exponent %d; make the key with the exponent 65537.", what, k.E)
	case k.N.Bit(0) == 0:
		return fault.New(fault.InvalidCSR, "%s has an even RSA modulus, so it is no RSA key; %s.", what, useInstead)
	}
	return nil
}

// kindOf names a kind of key that is not supported.
func kindOf(spki []byte) string {
	switch a := keyAlgorithm(spki); a.Algorithm.String() {
	case "1.2.840.113549.1.1.10":
		return "limited to RSA-PSS"
	case "1.3.101.112":
		return "an Ed25519 key"
	case "1.3.101.113":
		return "an Ed448 key"
	case "1.2.840.10040.4.1":
		return "a DSA key"
	case "":
		return "of an unknown kind"
	default:
		return "of the kind " + a.Algorithm.String()
	}
}

// keyAlgorithm is the algorithm of a subject public key info, zero if it
// cannot be read.
func keyAlgorithm(spki []byte) pkix.AlgorithmIdentifier {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(spki, &info); err != nil {
		return pkix.AlgorithmIdentifier{}
	}
	return info.Algorithm
}

// unreadable says what is wrong with a request that x509 does not read: it is
// no request, or something follows it, or its key lies on a curve unknown to
// x509, or a part of it is malformed.
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
	if outer != nil {
		return fault.Wrap(fault.InvalidCSR, err, "The CSR cannot be read as a PKCS#10 certificate signing request.")
	}
	if len(rest) != 0 {
		return fault.Wrap(fault.InvalidCSR, err, "The CSR is followed by %d other bytes; send nothing behind it.", len(rest))
	}
	if curve, unknown := unknownCurve(req.Info.Key.FullBytes); unknown {
		return fault.Wrap(fault.InvalidCSR, err, "The CSR's key lies on %s, which is not supported; %s.", curve, useInstead)
	}
	return fault.Wrap(fault.InvalidCSR, err, "The CSR is malformed: %s.", printable(err.Error()))
}

// unknownCurve says whether a key is an EC key on a curve that is not one of
// those that x509 reads, and names that curve.
func unknownCurve(spki []byte) (string, bool) {
	a := keyAlgorithm(spki)
	if a.Algorithm.String() != "1.2.840.10045.2.1" {
		return "", false
	}
	var curve asn1.ObjectIdentifier
	if _, err := asn1.Unmarshal(a.Parameters.FullBytes, &curve); err != nil {
		return "a curve without a name", true
	}
	switch curve.String() {
	case "1.3.132.0.33", "1.2.840.10045.3.1.7", "1.3.132.0.34", "1.3.132.0.35": // P-224 to P-521
		return "", false
	}
	return "the curve " + curve.String(), true
}
