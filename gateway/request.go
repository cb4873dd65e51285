package gateway

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/mqtt"
)

// ParsePublish reads a message from the request that publishes it: the data
// plane's operation Publish, whoever asks (device-gateway.md, section 6). What
// the query holds besides is not looked at.
func ParsePublish(topic string, query url.Values, header http.Header, payload []byte) (*mqtt.Publish, error) {
	p := &mqtt.Publish{Topic: topic, Payload: payload}
	if err := readParts(p, query, header, readDelivery, readTexts, readExpiry, readFormat, readCorrelation, readUser); err != nil {
		return nil, err
	}
	return p, nil
}

func readParts(p *mqtt.Publish, query url.Values, header http.Header, parts ...func(*mqtt.Publish, url.Values, http.Header) error) error {
	for _, read := range parts {
		if err := read(p, query, header); err != nil {
			return err
		}
	}
	return nil
}

func readDelivery(p *mqtt.Publish, query url.Values, _ http.Header) error {
	switch qos := query.Get("qos"); qos {
	case "", "0":
	case "1":
		p.QoS = 1
	default:
		return fault.New(fault.InvalidRequest, "qos is %s; expected 0 or 1.", quoted(qos))
	}
	switch retain := query.Get("retain"); retain {
	case "", "false":
	case "true":
		p.Retain = true
	default:
		return fault.New(fault.InvalidRequest, "retain is %s; expected true or false.", quoted(retain))
	}
	return nil
}

func readTexts(p *mqtt.Publish, query url.Values, _ http.Header) error {
	if v := query.Get("contentType"); v != "" {
		p.Properties.ContentType = mqtt.Some(v)
	}
	if v := query.Get("responseTopic"); v != "" {
		p.Properties.ResponseTopic = mqtt.Some(v)
	}
	return nil
}

func readExpiry(p *mqtt.Publish, query url.Values, _ http.Header) error {
	v := query.Get("messageExpiry")
	if v == "" {
		return nil
	}
	n, err := strconv.ParseUint(v, 10, 32)
	if err != nil {
		return fault.New(fault.InvalidRequest, "messageExpiry is %s; expected a whole number of seconds.", quoted(v))
	}
	p.Properties.MessageExpiry = mqtt.Some(uint32(n))
	return nil
}

func readFormat(p *mqtt.Publish, _ url.Values, header http.Header) error {
	const name = "x-amz-mqtt5-payload-format-indicator"
	switch v := header.Get(name); v {
	case "":
	case "UNSPECIFIED_BYTES":
		p.Properties.PayloadFormat = mqtt.Some(byte(0))
	case "UTF8_DATA":
		p.Properties.PayloadFormat = mqtt.Some(byte(1))
	default:
		return fault.New(fault.InvalidRequest, "The header %s is %s; expected UNSPECIFIED_BYTES or UTF8_DATA.", name, quoted(v))
	}
	return nil
}

func readCorrelation(p *mqtt.Publish, _ url.Values, header http.Header) error {
	const name = "x-amz-mqtt5-correlation-data"
	v := header.Get(name)
	if v == "" {
		return nil
	}
	b, err := base64.StdEncoding.DecodeString(v)
	if err != nil {
		return fault.New(fault.InvalidRequest, "The header %s is not base64.", name)
	}
	p.Properties.CorrelationData = b
	return nil
}

// readUser takes the user properties: the base64 of a JSON array of objects,
// each with one name and its value. Their order counts, and so do repetitions.
func readUser(p *mqtt.Publish, _ url.Values, header http.Header) error {
	const name = "x-amz-mqtt5-user-properties"
	v := header.Get(name)
	if v == "" {
		return nil
	}
	text, err := base64.StdEncoding.DecodeString(v)
	if err != nil {
		return fault.New(fault.InvalidRequest, "The header %s is not base64.", name)
	}
	var quotedText string // of an SDK that was given the array as a text
	if json.Unmarshal(text, &quotedText) == nil {
		text = []byte(quotedText)
	}
	var objects []json.RawMessage
	if err := json.Unmarshal(text, &objects); err != nil {
		return fault.New(fault.InvalidRequest, `The header %s is not the base64 of a JSON array such as [{"name":"value"}].`, name)
	}
	for i, o := range objects {
		pairs, ok := pairsOf(o)
		if !ok {
			return fault.New(fault.InvalidRequest, `Member %d of the header %s is no object of texts such as {"name":"value"}.`, i+1, name)
		}
		p.Properties.User = append(p.Properties.User, pairs...)
	}
	return nil
}

// pairsOf reads an object of texts in its own order.
func pairsOf(object []byte) (pairs []mqtt.UserProperty, ok bool) {
	d := json.NewDecoder(bytes.NewReader(object))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, false
	}
	for d.More() {
		key, _ := d.Token()
		value, err := d.Token()
		k, isText := key.(string)
		v, alsoText := value.(string)
		if err != nil || !isText || !alsoText {
			return nil, false
		}
		pairs = append(pairs, mqtt.UserProperty{Key: k, Value: v})
	}
	return pairs, true
}
