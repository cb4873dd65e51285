package wire

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/slipway-iot/slipway/fault"
)

// Bounds of RegisterThing's parameters. The first two are those of its REST
// twin, in characters (provisioning-mqtt-api.md, section 2.3); the third is
// ours: no template of 10 KB declares as many.
const (
	MaxParameterName  = 2048
	MaxParameterValue = 4096
	MaxParameters     = 256
)

// A RegisterRequest asks for the thing that the token's certificate becomes.
type RegisterRequest struct {
	Token      string            `json:"certificateOwnershipToken"`
	Parameters map[string]string `json:"parameters,omitempty"`
}

// DecodeRegister reads the payload of RegisterThing. Members it does not know
// are ignored: one vendor client repeats the template's name here.
func DecodeRegister(f Format, payload []byte) (RegisterRequest, error) {
	m, err := readObject(f, payload)
	if err != nil {
		return RegisterRequest{}, err
	}
	token, err := decodeToken(m)
	if err != nil {
		return RegisterRequest{}, err
	}
	parameters, err := decodeParameters(m)
	if err != nil {
		return RegisterRequest{}, err
	}
	return RegisterRequest{Token: token, Parameters: parameters}, nil
}

func decodeToken(m members) (string, error) {
	v, ok := m.present(memberToken)
	switch {
	case ok && v.kind != text:
		return "", fault.New(fault.BadToken, "%s is %s; a text is expected.", memberToken, v.noun)
	case v.text == "":
		// Observed from AWS, word for word (section 5.2).
		return "", fault.New(fault.BadToken, "Certificate ownership token cannot be empty%s.", m.lookalike(memberToken))
	}
	return v.text, nil
}

func decodeParameters(m members) (map[string]string, error) {
	v, ok := m.present(memberParameters)
	if !ok {
		if like := m.lookalike(memberParameters); like != "" {
			return nil, fault.New(fault.InvalidParameters, "%s is missing%s.", memberParameters, like)
		}
		return map[string]string{}, nil
	}
	if v.kind != object {
		return nil, fault.New(fault.InvalidParameters,
			"%s is %s; a map from text to text is expected.", memberParameters, v.noun)
	}
	raw, err := v.members()
	if err != nil {
		return nil, err
	}
	if len(raw) > MaxParameters {
		return nil, fault.New(fault.InvalidParameters,
			"%s has %d members; at most %d are allowed.", memberParameters, len(raw), MaxParameters)
	}
	out := make(map[string]string, len(raw))
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		if err := checkParameter(name, raw[name]); err != nil {
			return nil, err
		}
		out[name] = raw[name].text
	}
	return out, nil
}

func checkParameter(name string, v value) error {
	if n := utf8.RuneCountInString(name); n > MaxParameterName {
		return fault.New(fault.InvalidParameters,
			"The name of parameter %q has %d characters; at most %d are allowed.", clip(name), n, MaxParameterName)
	}
	if v.kind != text {
		return fault.New(fault.InvalidParameters,
			"Parameter %q is %s; a text is expected.", clip(name), v.noun)
	}
	if n := utf8.RuneCountInString(v.text); n > MaxParameterValue {
		return fault.New(fault.InvalidParameters,
			"The value of parameter %q has %d characters; at most %d are allowed.", clip(name), n, MaxParameterValue)
	}
	return nil
}

// Encode is the request as a device sends it.
func (r RegisterRequest) Encode(f Format) []byte { return encode(f, r) }

// Digest stands for the request in remembered answers: the same for JSON and
// CBOR and for every order of parameters, different for any other token,
// template, name or value. Each text is preceded by its length, so that no two
// requests run into the same bytes.
func (r RegisterRequest) Digest(template string) [32]byte {
	b := sizedText(nil, "slipway RegisterThing 1")
	b = sizedText(b, template)
	b = sizedText(b, r.Token)
	b = binary.BigEndian.AppendUint64(b, uint64(len(r.Parameters)))
	for _, name := range slices.Sorted(maps.Keys(r.Parameters)) {
		b = sizedText(b, name)
		b = sizedText(b, r.Parameters[name])
	}
	return sha256.Sum256(b)
}

func sizedText(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint64(b, uint64(len(s))), s...)
}
