package mqtt

import "fmt"

// An Error says why bytes are no packet, or why a packet cannot be written.
type Error struct {
	// Code is what an MQTT 5 peer should be told in DISCONNECT, or in CONNACK
	// if the packet was a CONNECT. UnsupportedProtocolVersion is used for one
	// thing only: a CONNECT (or the CONNACK of an older server) of a version
	// that is not spoken here, which a server answers with RefusedVersion.
	Code ReasonCode

	// Text is a sentence that names the packet, the field and what was
	// expected. It repeats no text of the packet.
	Text string

	// Version is the version the packet was read or written in; zero if the
	// failure came before a CONNECT had named its version.
	Version Version
}

func (e *Error) Error() string { return e.Text }

// malformed is the failure of bytes that cannot be parsed as the standard says
// (MQTT 5.0, 4.13.1).
func malformed(t Type, format string, args ...any) error {
	return &Error{Code: MalformedPacket, Text: t.String() + ": " + fmt.Sprintf(format, args...)}
}

// violation is the failure of a packet that parses, with content that the
// protocol does not allow (MQTT 5.0, 4.13.1).
func violation(t Type, format string, args ...any) error {
	return &Error{Code: ProtocolError, Text: t.String() + ": " + fmt.Sprintf(format, args...)}
}
