package mqtt_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/slipway-iot/slipway/mqtt"
	"pgregory.net/rapid"
)

func TestAnyWrittenPacketIsReadBackEqual(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		t.Run(v.String(), rapid.MakeCheck(func(t *rapid.T) {
			want := maker{T: t, v: v}.packet()
			data := written(t, want, v)
			got, err := mqtt.NewReader(bytes.NewReader(data), len(data)).Next(v)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}))
	}
}

// reasonCodes is the standard as chapter 3 says it, packet by packet; the codec
// follows the summary in chapter 2.
func TestEachPacketHasItsReasonCodes(t *testing.T) {
	for kind, codes := range reasonCodes {
		allowed := make(map[mqtt.ReasonCode]bool)
		for _, code := range codes {
			allowed[code] = true
		}
		for n := range 256 {
			code := mqtt.ReasonCode(n)
			_, err := mqtt.Append(nil, withCode(kind, code), mqtt.V5)
			if (err == nil) != allowed[code] {
				t.Errorf("%s 0x%02X: got %v, want allowed %v", kind, n, err, allowed[code])
			}
		}
	}
}

func withCode(t mqtt.Type, code mqtt.ReasonCode) mqtt.Packet {
	switch t {
	case mqtt.CONNACK:
		return &mqtt.Connack{Code: code}
	case mqtt.PUBACK:
		return &mqtt.Puback{PacketID: 1, Code: code}
	case mqtt.PUBREC:
		return &mqtt.Pubrec{PacketID: 1, Code: code}
	case mqtt.PUBREL:
		return &mqtt.Pubrel{PacketID: 1, Code: code}
	case mqtt.PUBCOMP:
		return &mqtt.Pubcomp{PacketID: 1, Code: code}
	case mqtt.SUBACK:
		return &mqtt.Suback{PacketID: 1, Codes: []mqtt.ReasonCode{code}}
	case mqtt.UNSUBACK:
		return &mqtt.Unsuback{PacketID: 1, Codes: []mqtt.ReasonCode{code}}
	case mqtt.DISCONNECT:
		return &mqtt.Disconnect{Code: code}
	}
	return &mqtt.Auth{Code: code, Properties: mqtt.Properties{AuthMethod: mqtt.Some("m")}}
}

func TestCodesAndTypesHaveTheirNames(t *testing.T) {
	for got, want := range map[string]string{
		mqtt.NotAuthorized.String():                      "Not authorized",
		mqtt.ReasonCode(0x77).String():                   "reason code 0x77",
		mqtt.ReasonCode(0xff).String():                   "reason code 0xFF",
		mqtt.Success.String():                            "Success",
		mqtt.Success.In(mqtt.DISCONNECT, mqtt.V5):        "Normal disconnection",
		mqtt.Success.In(mqtt.SUBACK, mqtt.V5):            "Granted QoS 0",
		mqtt.ReasonCode(1).In(mqtt.SUBACK, mqtt.V311):    "Granted QoS 1",
		mqtt.RefusedVersion.In(mqtt.CONNACK, mqtt.V311):  "Connection Refused, unacceptable protocol version",
		mqtt.SubscribeFailure.In(mqtt.SUBACK, mqtt.V311): "Failure",
		mqtt.SubscribeFailure.In(mqtt.SUBACK, mqtt.V5):   "Unspecified error",
		mqtt.CONNECT.String():                            "CONNECT",
		mqtt.AUTH.String():                               "AUTH",
		mqtt.Type(16).String():                           "packet type 16",
		mqtt.V311.String() + ", " + mqtt.V5.String():     "MQTT 3.1.1, MQTT 5",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func written(t interface{ Fatal(...any) }, p mqtt.Packet, v mqtt.Version) []byte {
	data, err := mqtt.Append(nil, p, v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
