package wire

import "strings"

// An Operation is one of the three requests of the provisioning API.
type Operation uint8

const (
	CreateKeys Operation = iota + 1
	CreateFromCSR
	RegisterThing
)

var operationNames = [...]string{
	CreateKeys:    "CreateKeysAndCertificate",
	CreateFromCSR: "CreateCertificateFromCsr",
	RegisterThing: "RegisterThing",
}

// String is AWS's name of the operation.
func (o Operation) String() string {
	if int(o) >= len(operationNames) || o == 0 {
		return "no operation"
	}
	return operationNames[o]
}

const (
	createKeysPrefix = "$aws/certificates/create/"
	createCSRPrefix  = "$aws/certificates/create-from-csr/"
	templatesPrefix  = "$aws/provisioning-templates/"
	provisionLevel   = "/provision/"
)

// CreateKeysTopic is where CreateKeysAndCertificate is published.
func CreateKeysTopic(f Format) string { return createKeysPrefix + f.String() }

// CreateFromCSRTopic is where CreateCertificateFromCsr is published.
func CreateFromCSRTopic(f Format) string { return createCSRPrefix + f.String() }

// RegisterTopic is where RegisterThing is published for a template.
func RegisterTopic(template string, f Format) string {
	return templatesPrefix + template + provisionLevel + f.String()
}

// Accepted is where the answer to a request on topic arrives.
func Accepted(topic string) string { return topic + "/accepted" }

// Rejected is where the refusal of a request on topic arrives.
func Rejected(topic string) string { return topic + "/rejected" }

// ParseTopic recognises a request topic. Topics are case sensitive; a third
// format word, a missing template and reply topics are none of ours
// (provisioning-mqtt-api.md, section 1). The template's name is returned as it
// stands: whether such a template can exist is the registry's question.
func ParseTopic(topic string) (op Operation, template string, f Format, ok bool) {
	if word, found := strings.CutPrefix(topic, createKeysPrefix); found {
		f, ok = ParseFormat(word)
		return named(CreateKeys, "", f, ok)
	}
	if word, found := strings.CutPrefix(topic, createCSRPrefix); found {
		f, ok = ParseFormat(word)
		return named(CreateFromCSR, "", f, ok)
	}
	rest, found := strings.CutPrefix(topic, templatesPrefix)
	if !found {
		return 0, "", JSON, false
	}
	template, rest, _ = strings.Cut(rest, "/")
	word, found := strings.CutPrefix("/"+rest, provisionLevel)
	f, ok = ParseFormat(word)
	return named(RegisterThing, template, f, ok && found && template != "")
}

func named(op Operation, template string, f Format, ok bool) (Operation, string, Format, bool) {
	if !ok {
		return 0, "", JSON, false
	}
	return op, template, f, true
}
