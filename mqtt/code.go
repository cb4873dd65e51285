package mqtt

import "fmt"

// A ReasonCode is a result: a reason code of MQTT 5 (MQTT 5.0, 2.4) or a return
// code of 3.1.1. Codes from 0x80 up are failures, except that in a 3.1.1
// CONNACK everything but zero is one.
type ReasonCode byte

// The reason codes of MQTT 5. Zero has a name for each packet it appears in.
const (
	Success                     ReasonCode = 0x00
	NormalDisconnection         ReasonCode = 0x00
	GrantedQoS0                 ReasonCode = 0x00
	GrantedQoS1                 ReasonCode = 0x01
	GrantedQoS2                 ReasonCode = 0x02
	DisconnectWithWill          ReasonCode = 0x04
	NoMatchingSubscribers       ReasonCode = 0x10
	NoSubscriptionExisted       ReasonCode = 0x11
	ContinueAuthentication      ReasonCode = 0x18
	Reauthenticate              ReasonCode = 0x19
	UnspecifiedError            ReasonCode = 0x80
	MalformedPacket             ReasonCode = 0x81
	ProtocolError               ReasonCode = 0x82
	ImplementationSpecificError ReasonCode = 0x83
	UnsupportedProtocolVersion  ReasonCode = 0x84
	ClientIDNotValid            ReasonCode = 0x85
	BadUserNameOrPassword       ReasonCode = 0x86
	NotAuthorized               ReasonCode = 0x87
	ServerUnavailable           ReasonCode = 0x88
	ServerBusy                  ReasonCode = 0x89
	Banned                      ReasonCode = 0x8A
	ServerShuttingDown          ReasonCode = 0x8B
	BadAuthenticationMethod     ReasonCode = 0x8C
	KeepAliveTimeout            ReasonCode = 0x8D
	SessionTakenOver            ReasonCode = 0x8E
	TopicFilterInvalid          ReasonCode = 0x8F
	TopicNameInvalid            ReasonCode = 0x90
	PacketIDInUse               ReasonCode = 0x91
	PacketIDNotFound            ReasonCode = 0x92
	ReceiveMaximumExceeded      ReasonCode = 0x93
	TopicAliasInvalid           ReasonCode = 0x94
	PacketTooLarge              ReasonCode = 0x95
	MessageRateTooHigh          ReasonCode = 0x96
	QuotaExceeded               ReasonCode = 0x97
	AdministrativeAction        ReasonCode = 0x98
	PayloadFormatInvalid        ReasonCode = 0x99
	RetainNotSupported          ReasonCode = 0x9A
	QoSNotSupported             ReasonCode = 0x9B
	UseAnotherServer            ReasonCode = 0x9C
	ServerMoved                 ReasonCode = 0x9D
	SharedNotSupported          ReasonCode = 0x9E
	ConnectionRateExceeded      ReasonCode = 0x9F
	MaximumConnectTime          ReasonCode = 0xA0
	SubscriptionIDsNotSupported ReasonCode = 0xA1
	WildcardsNotSupported       ReasonCode = 0xA2
)

// The return codes of a 3.1.1 CONNACK (MQTT 3.1.1, 3.2.2.3), and the one failure
// of a 3.1.1 SUBACK.
const (
	RefusedVersion       ReasonCode = 0x01
	RefusedClientID      ReasonCode = 0x02
	RefusedServer        ReasonCode = 0x03
	RefusedCredentials   ReasonCode = 0x04
	RefusedNotAuthorized ReasonCode = 0x05
	SubscribeFailure     ReasonCode = 0x80
)

// A packetSet has bit 1<<t for each packet type t in it.
type packetSet uint16

func (s packetSet) has(t Type) bool { return s&(1<<t) != 0 }

// The packets that stand together in the rows of the tables 2-4 and 2-6.
const (
	onWill        packetSet = 1 << will
	onConnect     packetSet = 1 << CONNECT
	onConnack     packetSet = 1 << CONNACK
	onPublish     packetSet = 1 << PUBLISH
	onPubackrec   packetSet = 1<<PUBACK | 1<<PUBREC
	onPubrelcomp  packetSet = 1<<PUBREL | 1<<PUBCOMP
	onSubscribe   packetSet = 1 << SUBSCRIBE
	onSuback      packetSet = 1 << SUBACK
	onUnsubscribe packetSet = 1 << UNSUBSCRIBE
	onUnsuback    packetSet = 1 << UNSUBACK
	onDisconnect  packetSet = 1 << DISCONNECT
	onAuth        packetSet = 1 << AUTH

	onEnd    = onConnack | onDisconnect
	onRefuse = onConnack | onPubackrec | onSuback | onUnsuback | onDisconnect
	onAnswer = onRefuse | onPubrelcomp | onAuth
)

// codes is table 2-6 of MQTT 5.0, section 2.4: the name of each code and the
// packets that may carry it.
var codes = [...]struct {
	name string
	on   packetSet
}{
	0x00: {"Success", onAnswer},
	0x01: {"Granted QoS 1", onSuback},
	0x02: {"Granted QoS 2", onSuback},
	0x04: {"Disconnect with Will Message", onDisconnect},
	0x10: {"No matching subscribers", onPubackrec},
	0x11: {"No subscription existed", onUnsuback},
	0x18: {"Continue authentication", onAuth},
	0x19: {"Re-authenticate", onAuth},
	0x80: {"Unspecified error", onRefuse},
	0x81: {"Malformed Packet", onEnd},
	0x82: {"Protocol Error", onEnd},
	0x83: {"Implementation specific error", onRefuse},
	0x84: {"Unsupported Protocol Version", onConnack},
	0x85: {"Client Identifier not valid", onConnack},
	0x86: {"Bad User Name or Password", onConnack},
	0x87: {"Not authorized", onRefuse},
	0x88: {"Server unavailable", onConnack},
	0x89: {"Server busy", onEnd},
	0x8A: {"Banned", onConnack},
	0x8B: {"Server shutting down", onDisconnect},
	0x8C: {"Bad authentication method", onEnd},
	0x8D: {"Keep Alive timeout", onDisconnect},
	0x8E: {"Session taken over", onDisconnect},
	0x8F: {"Topic Filter invalid", onSuback | onUnsuback | onDisconnect},
	0x90: {"Topic Name invalid", onEnd | onPubackrec},
	0x91: {"Packet Identifier in use", onPubackrec | onSuback | onUnsuback},
	0x92: {"Packet Identifier not found", onPubrelcomp},
	0x93: {"Receive Maximum exceeded", onDisconnect},
	0x94: {"Topic Alias invalid", onDisconnect},
	0x95: {"Packet too large", onEnd},
	0x96: {"Message rate too high", onDisconnect},
	0x97: {"Quota exceeded", onEnd | onPubackrec | onSuback},
	0x98: {"Administrative action", onDisconnect},
	0x99: {"Payload format invalid", onEnd | onPubackrec},
	0x9A: {"Retain not supported", onEnd},
	0x9B: {"QoS not supported", onEnd},
	0x9C: {"Use another server", onEnd},
	0x9D: {"Server moved", onEnd},
	0x9E: {"Shared Subscriptions not supported", onSuback | onDisconnect},
	0x9F: {"Connection rate exceeded", onEnd},
	0xA0: {"Maximum connect time", onDisconnect},
	0xA1: {"Subscription Identifiers not supported", onSuback | onDisconnect},
	0xA2: {"Wildcard Subscriptions not supported", onSuback | onDisconnect},
}

// returnCodes are the names in table 3.1 of MQTT 3.1.1, section 3.2.2.3.
var returnCodes = [...]string{
	"Connection Accepted",
	"Connection Refused, unacceptable protocol version",
	"Connection Refused, identifier rejected",
	"Connection Refused, Server unavailable",
	"Connection Refused, bad user name or password",
	"Connection Refused, not authorized",
}

// String is the standard's name of a code of MQTT 5. Zero is Success; In knows
// its other names.
func (c ReasonCode) String() string {
	if int(c) < len(codes) && codes[c].name != "" {
		return codes[c].name
	}
	return fmt.Sprintf("reason code 0x%02X", byte(c))
}

// In is the standard's name of the code in a packet of type t and version v:
// 0x01 means one thing in a SUBACK and another in a 3.1.1 CONNACK.
func (c ReasonCode) In(t Type, v Version) string {
	switch {
	case t == CONNACK && v == V311 && int(c) < len(returnCodes):
		return returnCodes[c]
	case t == SUBACK && v == V311 && c == SubscribeFailure:
		return "Failure"
	case t == SUBACK && c == GrantedQoS0:
		return "Granted QoS 0"
	case t == DISCONNECT && c == NormalDisconnection:
		return "Normal disconnection"
	}
	return c.String()
}

// Failed says whether the code means that something was refused. It does not
// hold for a 3.1.1 CONNACK, where every code but zero is a refusal.
func (c ReasonCode) Failed() bool { return c >= 0x80 }

// check says whether an MQTT 5 packet of type t may carry the code.
func (c ReasonCode) check(t Type) error {
	if int(c) < len(codes) && codes[c].on.has(t) {
		return nil
	}
	return violation(t, "0x%02X is not one of its reason codes.", byte(c))
}
