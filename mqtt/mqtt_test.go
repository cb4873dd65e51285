package mqtt_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/slipway-iot/slipway/mqtt"
)

func TestAWrittenPacketIsReadBackEqual(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		want := &mqtt.Publish{Topic: "a/b", QoS: 1, PacketID: 7, Payload: bytes.Repeat([]byte("x"), 3000)}
		b, err := mqtt.Append(nil, want, v)
		if err != nil {
			t.Fatal(err)
		}
		got, err := mqtt.NewReader(bytes.NewReader(b), 4096).Next(v)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(mqtt.Packet(want), got); diff != "" {
			t.Error(diff)
		}
	}
}
