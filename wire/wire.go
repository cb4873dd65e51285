// Package wire knows the payloads and topics of the device provisioning MQTT
// API: CreateKeysAndCertificate, CreateCertificateFromCsr and RegisterThing, in
// JSON and in CBOR (provisioning-mqtt-api.md, sections 1, 2 and 5.1).
//
// It reads what strangers send and therefore trusts nothing: sizes, depth and
// duplicates are bounded before anything is believed, and what is refused is
// refused with a sentence that names the member, the line or the byte at
// fault. Both sides of the protocol are here, so that the server, the agent
// and the simulator cannot disagree about a byte.
package wire

// A Format is one of the two encodings. The topic of a request names it, and
// the answer uses the same one.
type Format uint8

const (
	JSON Format = iota
	CBOR
)

// String is the word that stands in topics: json or cbor.
func (f Format) String() string {
	if f == CBOR {
		return "cbor"
	}
	return "json"
}

// ParseFormat reads the word that stands in topics.
func ParseFormat(word string) (f Format, ok bool) {
	switch word {
	case "json":
		return JSON, true
	case "cbor":
		return CBOR, true
	}
	return JSON, false
}
