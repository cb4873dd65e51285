package wire

import (
	"bytes"
	"cmp"
	"strings"

	"github.com/slipway-iot/slipway/fault"
)

// MaxCSR bounds a signing request, in bytes (provisioning-mqtt-api.md,
// section 6.1).
const MaxCSR = 4096

const (
	memberCSR   = "certificateSigningRequest"
	memberToken = "certificateOwnershipToken"
	memberID    = "certificateId"
	memberPEM   = "certificatePem"
	memberKey   = "privateKey"

	memberParameters = "parameters"
	memberConfig     = "deviceConfiguration"
	memberThing      = "thingName"

	memberStatus  = "statusCode"
	memberCode    = "errorCode"
	memberMessage = "errorMessage"
)

const (
	pemStart = "-----BEGIN "
	wantsPEM = "a text with a PEM block is expected"
)

// A CreateRequest asks for a certificate: for a key of its own if it carries a
// signing request, else for one that the server makes.
type CreateRequest struct {
	CSR   []byte // as it was sent: PEM or DER
	Given bool   // CSR was sent
}

// DecodeCreate reads the payload of CreateKeysAndCertificate. AWS ignores it;
// so nothing, {} and any object or map are taken (section 2.1). A signing
// request is honoured instead of ignored, whether it is a member, the whole
// payload as PEM, or the whole payload as DER: devices in the field send it
// here, and would otherwise get a certificate for a key they do not hold.
//
// Neither start of a bare signing request is the start of an object or a map:
// '-' and 0x30 are negative integers to CBOR, and not '{' to JSON.
func DecodeCreate(f Format, payload []byte) (CreateRequest, error) {
	if len(payload) == 0 {
		return CreateRequest{}, nil
	}
	if startsPEM(payload) || startsDER(payload) {
		return sized(payload)
	}
	m, err := readObject(f, payload)
	if err != nil {
		return CreateRequest{}, err
	}
	v, ok := m.present(memberCSR)
	if !ok {
		return CreateRequest{}, nil
	}
	if v.kind == blob {
		return sized(v.bytes)
	}
	return pemRequest(v)
}

// DecodeCreateFromCSR reads the payload of CreateCertificateFromCsr. Here the
// signing request is PEM in a text member and nothing else (section 2.2).
func DecodeCreateFromCSR(f Format, payload []byte) (CreateRequest, error) {
	m, err := readObject(f, payload)
	if err != nil {
		return CreateRequest{}, err
	}
	v, ok := m[memberCSR]
	if !ok {
		return CreateRequest{}, fault.New(fault.InvalidCSR,
			"%s is missing%s.", memberCSR, cmp.Or(m.lookalike(memberCSR), "; "+wantsPEM))
	}
	return pemRequest(v)
}

func pemRequest(v value) (CreateRequest, error) {
	switch {
	case v.kind != text:
		return CreateRequest{}, fault.New(fault.InvalidCSR, "%s is %s; %s.", memberCSR, v.noun, wantsPEM)
	case v.text == "":
		return CreateRequest{}, fault.New(fault.InvalidCSR, "%s is empty; %s.", memberCSR, wantsPEM)
	case strings.HasPrefix(v.text, "MI"): // 0x30 0x8., as startsDER
		return CreateRequest{}, fault.New(fault.InvalidCSR,
			"%s looks like DER in Base64; it has to be a PEM block with its BEGIN CERTIFICATE REQUEST and END lines.", memberCSR)
	case !startsPEM([]byte(v.text)):
		return CreateRequest{}, fault.New(fault.InvalidCSR,
			"%s is not PEM: it does not start with -----BEGIN CERTIFICATE REQUEST-----.", memberCSR)
	}
	return sized([]byte(v.text))
}

func sized(csr []byte) (CreateRequest, error) {
	if len(csr) > MaxCSR {
		return CreateRequest{}, fault.New(fault.InvalidCSR,
			"The certificate signing request has %d bytes; at most %d are allowed.", len(csr), MaxCSR)
	}
	return CreateRequest{CSR: csr, Given: true}, nil
}

func startsPEM(b []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(b, " \t\r\n"), []byte(pemStart))
}

// startsDER recognises a SEQUENCE whose length needs its long form, as that of
// every signing request does (X.690, section 8.1.3).
func startsDER(b []byte) bool {
	return len(b) > 2 && b[0] == 0x30 && b[1] >= 0x81 && b[1] <= 0x84
}

// EncodeCreateFromCSR is what a device sends to CreateCertificateFromCsr.
func EncodeCreateFromCSR(f Format, csrPEM []byte) []byte {
	return encode(f, struct {
		CSR string `json:"certificateSigningRequest"`
	}{string(csrPEM)})
}

// EncodeCreate is what a device sends to CreateKeysAndCertificate: an object
// without members.
func EncodeCreate(f Format) []byte { return encode(f, struct{}{}) }
