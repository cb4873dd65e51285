package wire

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"github.com/slipway-iot/slipway/fault"
)

// A CreateAnswer is the success of both create operations.
type CreateAnswer struct {
	Token          string `json:"certificateOwnershipToken"`
	CertificateID  string `json:"certificateId"`
	CertificatePEM string `json:"certificatePem"`
	PrivateKey     string `json:"privateKey,omitempty"` // only if the server made the key
}

// Encode is the answer as the server sends it.
func (a CreateAnswer) Encode(f Format) []byte { return encode(f, a) }

// DecodeCreateAnswer reads a CreateAnswer on the device.
func DecodeCreateAnswer(f Format, payload []byte) (CreateAnswer, error) {
	m, err := readObject(f, payload)
	if err != nil {
		return CreateAnswer{}, err
	}
	r := reader{members: m}
	a := CreateAnswer{
		Token:          r.text(memberToken, true),
		CertificateID:  r.text(memberID, true),
		CertificatePEM: r.text(memberPEM, true),
		PrivateKey:     r.text(memberKey, false),
	}
	return a, r.err
}

// A RegisterAnswer is the success of RegisterThing.
type RegisterAnswer struct {
	DeviceConfiguration map[string]string // sent as an empty map when there is none
	ThingName           string            // absent when the template declares no thing
}

// Encode is the answer as the server sends it.
func (a RegisterAnswer) Encode(f Format) []byte {
	configuration := a.DeviceConfiguration
	if configuration == nil {
		configuration = map[string]string{}
	}
	return encode(f, struct {
		DeviceConfiguration sortedMap `json:"deviceConfiguration"`
		ThingName           string    `json:"thingName,omitempty"`
	}{configuration, a.ThingName})
}

// DecodeRegisterAnswer reads a RegisterAnswer on the device.
func DecodeRegisterAnswer(f Format, payload []byte) (RegisterAnswer, error) {
	m, err := readObject(f, payload)
	if err != nil {
		return RegisterAnswer{}, err
	}
	r := reader{members: m}
	a := RegisterAnswer{
		ThingName:           r.text(memberThing, false),
		DeviceConfiguration: r.texts(memberConfig),
	}
	return a, r.err
}

// A Rejection is the failure of any of the three. All three members are always
// sent: vendor parsers need every one (section 5.1).
type Rejection struct {
	StatusCode   int    `json:"statusCode"`
	ErrorCode    string `json:"errorCode"`
	ErrorMessage string `json:"errorMessage"`
}

// Encode is the rejection as the server sends it.
func (r Rejection) Encode(f Format) []byte {
	r.ErrorMessage = strings.ToValidUTF8(r.ErrorMessage, "\ufffd")
	return encode(f, r)
}

// Reject makes the Rejection that err looks like from outside.
func Reject(err error) Rejection {
	face, sentence := fault.Show(err)
	return Rejection{StatusCode: face.MQTT, ErrorCode: face.Code, ErrorMessage: sentence}
}

// DecodeRejection reads a Rejection on the device.
func DecodeRejection(f Format, payload []byte) (Rejection, error) {
	m, err := readObject(f, payload)
	if err != nil {
		return Rejection{}, err
	}
	r := reader{members: m}
	a := Rejection{
		StatusCode:   r.status(),
		ErrorCode:    r.text(memberCode, false),
		ErrorMessage: r.text(memberMessage, false),
	}
	return a, r.err
}

// A reader takes texts out of an answer and keeps the first thing wrong.
type reader struct {
	members members
	err     error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fault.New(fault.InvalidPayload, format, args...)
	}
}

func (r *reader) text(name string, required bool) string {
	v, ok := r.members.present(name)
	switch {
	case ok && v.kind != text:
		r.fail("The answer's %s is %s; a text is expected.", name, v.noun)
	case required && v.text == "":
		r.fail("The answer has no %s.", name)
	}
	return v.text
}

func (r *reader) texts(name string) map[string]string {
	out := map[string]string{}
	v, ok := r.members.present(name)
	if !ok {
		return out
	}
	if v.kind != object {
		r.fail("The answer's %s is %s; a map is expected.", name, v.noun)
		return out
	}
	raw, err := v.members()
	if err != nil {
		r.fail("The answer's %s cannot be read.", name)
	}
	for key, each := range raw {
		if each.kind != text {
			r.fail("The answer's %s.%s is %s; a text is expected.", name, clip(key), each.noun)
		}
		out[key] = each.text
	}
	return out
}

func (r *reader) status() int {
	v := r.members[memberStatus]
	n, err := strconv.Atoi(v.number)
	if err != nil {
		r.fail("The answer's %s is not a whole number.", memberStatus)
	}
	return n
}

// A sortedMap is a map whose CBOR is the same every time.
type sortedMap map[string]string

func (m sortedMap) MarshalCBOR() ([]byte, error) { return cborSorted.Marshal(map[string]string(m)) }

var _ cbor.Marshaler = sortedMap{}

// encode writes one of the message structs above, none of which can fail. JSON
// keeps <, > and & as they are: small parsers on devices do not unescape them.
func encode(f Format, message any) []byte {
	if f == CBOR {
		return must(cborFields.Marshal(message))
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(message) // into memory, of texts and numbers: cannot fail
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
