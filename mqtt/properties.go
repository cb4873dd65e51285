package mqtt

import "math/bits"

// Properties are the properties of an MQTT 5 packet (MQTT 5.0, 2.2.2.2), each a
// field with presence. The zero value is none. A []byte that is nil is absent,
// one that is empty is present. 3.1.1 neither writes nor reads any of them.
//
// Which packet may carry which is the table below; Append refuses a property on
// a packet that may not.
type Properties struct {
	// Of a message: PUBLISH and the will.
	PayloadFormat   Opt[byte]   // 0 bytes, 1 UTF-8 text
	MessageExpiry   Opt[uint32] // seconds
	ContentType     Opt[string]
	ResponseTopic   Opt[string]
	CorrelationData []byte
	WillDelay       Opt[uint32] // seconds; the will only
	TopicAlias      Opt[uint16] // PUBLISH only; zero is read, for the session to refuse

	// SubscriptionIDs are the identifiers of the subscriptions that match a
	// PUBLISH; a SUBSCRIBE has at most one.
	SubscriptionIDs []uint32

	// Of a connection: CONNECT, CONNACK, and partly DISCONNECT.
	SessionExpiry         Opt[uint32] // seconds
	ReceiveMaximum        Opt[uint16] // never zero
	MaximumPacketSize     Opt[uint32] // bytes, never zero
	TopicAliasMaximum     Opt[uint16]
	RequestResponseInfo   Opt[bool]
	RequestProblemInfo    Opt[bool]
	AssignedClientID      Opt[string]
	ServerKeepAlive       Opt[uint16] // seconds
	MaximumQoS            Opt[byte]   // 0 or 1
	RetainAvailable       Opt[bool]
	WildcardAvailable     Opt[bool]
	SubscriptionIDsUsable Opt[bool]
	SharedAvailable       Opt[bool]
	ResponseInfo          Opt[string]
	ServerReference       Opt[string]

	// Of CONNECT, CONNACK and AUTH.
	AuthMethod Opt[string]
	AuthData   []byte

	// Of answers.
	ReasonString Opt[string]

	// User properties may be on every packet that has properties, in order, and
	// a name may repeat.
	User []UserProperty
}

// A UserProperty is a pair of strings whose meaning the application gives.
type UserProperty struct{ Key, Value string }

// A property is a row of propertyTable.
type property struct {
	name    string
	on      packetSet // packets that may carry it
	many    packetSet // packets that may carry it more than once
	nonZero bool      // zero is a protocol error
	field   field
}

const onMessage = onPublish | onWill

// propertyTable is table 2-4 of MQTT 5.0, section 2.2.2.2, by identifier.
var propertyTable = [43]property{
	0x01: {name: "payload format indicator", on: onMessage,
		field: bitField(func(p *Properties) *Opt[byte] { return &p.PayloadFormat })},
	0x02: {name: "message expiry interval", on: onMessage,
		field: u32Field(func(p *Properties) *Opt[uint32] { return &p.MessageExpiry })},
	0x03: {name: "content type", on: onMessage,
		field: textField(func(p *Properties) *Opt[string] { return &p.ContentType })},
	0x08: {name: "response topic", on: onMessage,
		field: textField(func(p *Properties) *Opt[string] { return &p.ResponseTopic })},
	0x09: {name: "correlation data", on: onMessage,
		field: blobField(func(p *Properties) *[]byte { return &p.CorrelationData })},
	0x0B: {name: "subscription identifier", on: onPublish | onSubscribe, many: onPublish, nonZero: true,
		field: idsField{}},
	0x11: {name: "session expiry interval", on: onConnect | onConnack | onDisconnect,
		field: u32Field(func(p *Properties) *Opt[uint32] { return &p.SessionExpiry })},
	0x12: {name: "assigned client identifier", on: onConnack,
		field: textField(func(p *Properties) *Opt[string] { return &p.AssignedClientID })},
	0x13: {name: "server keep alive", on: onConnack,
		field: u16Field(func(p *Properties) *Opt[uint16] { return &p.ServerKeepAlive })},
	0x15: {name: "authentication method", on: onConnect | onConnack | onAuth,
		field: textField(func(p *Properties) *Opt[string] { return &p.AuthMethod })},
	0x16: {name: "authentication data", on: onConnect | onConnack | onAuth,
		field: blobField(func(p *Properties) *[]byte { return &p.AuthData })},
	0x17: {name: "request problem information", on: onConnect,
		field: boolField(func(p *Properties) *Opt[bool] { return &p.RequestProblemInfo })},
	0x18: {name: "will delay interval", on: onWill,
		field: u32Field(func(p *Properties) *Opt[uint32] { return &p.WillDelay })},
	0x19: {name: "request response information", on: onConnect,
		field: boolField(func(p *Properties) *Opt[bool] { return &p.RequestResponseInfo })},
	0x1A: {name: "response information", on: onConnack,
		field: textField(func(p *Properties) *Opt[string] { return &p.ResponseInfo })},
	0x1C: {name: "server reference", on: onConnack | onDisconnect,
		field: textField(func(p *Properties) *Opt[string] { return &p.ServerReference })},
	0x1F: {name: "reason string", on: onAnswer,
		field: textField(func(p *Properties) *Opt[string] { return &p.ReasonString })},
	0x21: {name: "receive maximum", on: onConnect | onConnack, nonZero: true,
		field: u16Field(func(p *Properties) *Opt[uint16] { return &p.ReceiveMaximum })},
	0x22: {name: "topic alias maximum", on: onConnect | onConnack,
		field: u16Field(func(p *Properties) *Opt[uint16] { return &p.TopicAliasMaximum })},
	0x23: {name: "topic alias", on: onPublish,
		field: u16Field(func(p *Properties) *Opt[uint16] { return &p.TopicAlias })},
	0x24: {name: "maximum QoS", on: onConnack,
		field: bitField(func(p *Properties) *Opt[byte] { return &p.MaximumQoS })},
	0x25: {name: "retain available flag", on: onConnack,
		field: boolField(func(p *Properties) *Opt[bool] { return &p.RetainAvailable })},
	0x26: {name: "user property", on: ^packetSet(0), many: ^packetSet(0),
		field: userField{}},
	0x27: {name: "maximum packet size", on: onConnect | onConnack, nonZero: true,
		field: u32Field(func(p *Properties) *Opt[uint32] { return &p.MaximumPacketSize })},
	0x28: {name: "wildcard subscription available flag", on: onConnack,
		field: boolField(func(p *Properties) *Opt[bool] { return &p.WildcardAvailable })},
	0x29: {name: "subscription identifier available flag", on: onConnack,
		field: boolField(func(p *Properties) *Opt[bool] { return &p.SubscriptionIDsUsable })},
	0x2A: {name: "shared subscription available flag", on: onConnack,
		field: boolField(func(p *Properties) *Opt[bool] { return &p.SharedAvailable })},
}

// present gives the identifiers of the properties that p has, as bits. It is on
// the way of every packet, so it asks the fields and not the table.
func (p *Properties) present() uint64 {
	return has(p.PayloadFormat.ok, 0x01) |
		has(p.MessageExpiry.ok, 0x02) |
		has(p.ContentType.ok, 0x03) |
		has(p.ResponseTopic.ok, 0x08) |
		has(p.CorrelationData != nil, 0x09) |
		has(len(p.SubscriptionIDs) > 0, 0x0B) |
		has(p.SessionExpiry.ok, 0x11) |
		has(p.AssignedClientID.ok, 0x12) |
		has(p.ServerKeepAlive.ok, 0x13) |
		has(p.AuthMethod.ok, 0x15) |
		has(p.AuthData != nil, 0x16) |
		has(p.RequestProblemInfo.ok, 0x17) |
		has(p.WillDelay.ok, 0x18) |
		has(p.RequestResponseInfo.ok, 0x19) |
		has(p.ResponseInfo.ok, 0x1A) |
		has(p.ServerReference.ok, 0x1C) |
		has(p.ReasonString.ok, 0x1F) |
		has(p.ReceiveMaximum.ok, 0x21) |
		has(p.TopicAliasMaximum.ok, 0x22) |
		has(p.TopicAlias.ok, 0x23) |
		has(p.MaximumQoS.ok, 0x24) |
		has(p.RetainAvailable.ok, 0x25) |
		has(len(p.User) > 0, 0x26) |
		has(p.MaximumPacketSize.ok, 0x27) |
		has(p.WildcardAvailable.ok, 0x28) |
		has(p.SubscriptionIDsUsable.ok, 0x29) |
		has(p.SharedAvailable.ok, 0x2A)
}

// has gives the bit of an identifier if the property is there.
func has(there bool, id uint) uint64 {
	if there {
		return 1 << id
	}
	return 0
}

// parse takes the properties of a packet of type t.
func (p *Properties) parse(c *cursor, t Type) {
	block := c.take(int(c.varint("property length")), "property block")
	in := cursor{rest: block, t: t, alias: c.alias}
	var seen uint64
	for in.more() {
		id := in.varint("property identifier")
		row := allowed(&in, id)
		if row == nil {
			break
		}
		if seen&(1<<id) != 0 && !row.many.has(t) {
			in.fail(violation(t, "the %s appears more than once.", row.name))
			break
		}
		seen |= 1 << id
		row.field.parse(&in, row.name, p)
	}
	c.fail(in.err)
}

// allowed gives the row of a property that c's packet may carry. Any other
// identifier makes the packet malformed (MQTT 5.0, 2.2.2.2).
func allowed(c *cursor, id uint32) *property {
	if c.err != nil {
		return nil
	}
	if id >= uint32(len(propertyTable)) || propertyTable[id].field == nil {
		c.fail(malformed(c.t, "there is no property 0x%02X.", id))
		return nil
	}
	row := &propertyTable[id]
	if !row.on.has(c.t) {
		c.fail(malformed(c.t, "it cannot carry the %s.", row.name))
		return nil
	}
	return row
}

// check holds what the standard says about the properties of a packet of type t.
func (p *Properties) check(t Type) error {
	for ids := p.present(); ids != 0; ids &= ids - 1 {
		row := &propertyTable[bits.TrailingZeros64(ids)]
		if !row.on.has(t) {
			return malformed(t, "it cannot carry the %s.", row.name)
		}
		if err := row.field.check(t, row, p); err != nil {
			return err
		}
	}
	return p.checkMeaning(t)
}

// checkMeaning holds the rules that belong to a single property.
func (p *Properties) checkMeaning(t Type) error {
	if t == SUBSCRIBE && len(p.SubscriptionIDs) > 1 {
		return violation(t, "the subscription identifier appears more than once.")
	}
	if topic, ok := p.ResponseTopic.Get(); ok { // MQTT 5.0, 3.3.2.3.5
		if what := topicFlaw(topic); what != "" {
			return violation(t, "the response topic %s.", what)
		}
	}
	if t == CONNECT && p.AuthData != nil && !p.AuthMethod.IsSet() { // MQTT 5.0, 3.1.2.11.10
		return violation(t, "it has authentication data and no authentication method.")
	}
	return nil
}

// append writes the property length and the properties.
func (p *Properties) append(dst []byte) []byte {
	dst, at := reserve(dst, 0)
	for ids := p.present(); ids != 0; ids &= ids - 1 {
		id := bits.TrailingZeros64(ids)
		dst = propertyTable[id].field.append(dst, byte(id), p)
	}
	return settle(dst, at, 0)
}
