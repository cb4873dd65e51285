package mqtt_test

import (
	"bytes"
	"testing"

	"github.com/slipway-iot/slipway/mqtt"
)

// message is a publish such as a device sends for RegisterThing.
func message() *mqtt.Publish {
	return &mqtt.Publish{Topic: "$aws/provisioning-templates/fleet/provision/json", QoS: 1, PacketID: 7,
		Payload: bytes.Repeat([]byte("x"), 600)}
}

// answered is message with the properties of an MQTT 5 request.
func answered() *mqtt.Publish {
	p := message()
	p.Properties = mqtt.Properties{
		PayloadFormat:   mqtt.Some[byte](1),
		ContentType:     mqtt.Some("application/json"),
		ResponseTopic:   mqtt.Some("devices/a1/answers"),
		CorrelationData: []byte("12345678"),
		User:            []mqtt.UserProperty{{Key: "trace", Value: "4bf92f3577b34da6"}},
	}
	return p
}

var benchmarks = []struct {
	name string
	v    mqtt.Version
	p    mqtt.Packet
}{
	{"publish-311", mqtt.V311, message()},
	{"publish-5", mqtt.V5, message()},
	{"publish-5-properties", mqtt.V5, answered()},
	{"puback-5", mqtt.V5, &mqtt.Puback{PacketID: 7}},
	{"pingreq", mqtt.V311, &mqtt.Pingreq{}},
}

func BenchmarkAppend(b *testing.B) {
	for _, c := range benchmarks {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			var dst []byte
			for b.Loop() {
				dst, _ = mqtt.Append(dst[:0], c.p, c.v)
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, c := range benchmarks {
		data := written(b, c.p, c.v)
		body := data[1:]
		for body[0]&0x80 != 0 {
			body = body[1:]
		}
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := mqtt.Decode(data[0], body[1:], c.v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReader(b *testing.B) {
	for _, c := range benchmarks {
		data := written(b, c.p, c.v)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			r := mqtt.NewReader(&loop{data: data}, 0)
			for b.Loop() {
				if _, err := r.Next(c.v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// loop gives the same bytes for ever.
type loop struct {
	data []byte
	at   int
}

func (l *loop) Read(p []byte) (int, error) {
	n := copy(p, l.data[l.at:])
	l.at = (l.at + n) % len(l.data)
	return n, nil
}

func TestAppendAllocatesNothingOfItsOwn(t *testing.T) {
	dst := make([]byte, 0, 4096)
	for _, c := range benchmarks {
		got := testing.AllocsPerRun(100, func() {
			if _, err := mqtt.Append(dst, c.p, c.v); err != nil {
				t.Error(err)
			}
		})
		if got != 0 {
			t.Errorf("%s: %v allocations", c.name, got)
		}
	}
}
