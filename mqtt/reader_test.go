package mqtt_test

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"github.com/slipway-iot/slipway/mqtt"
)

func TestPacketsComeOffAStreamHoweverItIsCut(t *testing.T) {
	want := []mqtt.Packet{
		&mqtt.Pingreq{},
		&mqtt.Publish{Topic: "small", Payload: []byte("1")},
		&mqtt.Publish{Topic: "as large as what is held", Payload: bytes.Repeat([]byte("2"), 472-26)},
		&mqtt.Publish{Topic: "one more than what is held", Payload: bytes.Repeat([]byte("3"), 473-28)},
		&mqtt.Publish{Topic: "large", Payload: bytes.Repeat([]byte("4"), 20_000)},
		&mqtt.Puback{PacketID: 9},
		&mqtt.Disconnect{},
	}
	var stream []byte
	for _, p := range want {
		stream = append(stream, written(t, p, mqtt.V311)...)
	}
	for name, src := range map[string]io.Reader{
		"all at once":                 bytes.NewReader(stream),
		"byte by byte":                iotest.OneByteReader(bytes.NewReader(stream)),
		"half of what is asked for":   iotest.HalfReader(bytes.NewReader(stream)),
		"with the last byte, io.EOF":  iotest.DataErrReader(bytes.NewReader(stream)),
		"with empty reads in between": &stutter{src: bytes.NewReader(stream)},
	} {
		t.Run(name, func(t *testing.T) {
			r := mqtt.NewReader(src, 32_000)
			var got []mqtt.Packet
			for range want {
				p, err := r.Next(mqtt.V311)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, p) // judged at the end: each must own its memory
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if _, err := r.Next(mqtt.V311); err != io.EOF {
				t.Errorf("after the last packet: got %v, want io.EOF", err)
			}
		})
	}
}

// stutter gives nothing on every other read.
type stutter struct {
	src  io.Reader
	turn bool
}

func (s *stutter) Read(p []byte) (int, error) {
	if s.turn = !s.turn; s.turn {
		return 0, nil
	}
	return s.src.Read(p[:min(len(p), 7)])
}

func TestTheFirstPacketNamesTheVersion(t *testing.T) {
	for _, name := range []string{"311-connect-full", "5-connect-full"} {
		v, data := goldenBytes(t, name)
		p, err := mqtt.NewReader(bytes.NewReader(data), 1000).Next(0)
		if err != nil || p.(*mqtt.Connect).Version != v {
			t.Errorf("%s: got %+v, %v", name, p, err)
		}
	}
}

// A peer that does not begin with CONNECT is refused by its first byte.
func TestAStrangerIsRefusedByItsFirstByte(t *testing.T) {
	for _, first := range []string{"\x16\x03\x01", "GET / HTTP/1.1", "\x30", "\xc0"} {
		r := mqtt.NewReader(io.MultiReader(strings.NewReader(first[:1]), iotest.ErrReader(errors.New("read on"))), 1000)
		_, err := r.Next(0)
		var e *mqtt.Error
		if !errors.As(err, &e) {
			t.Errorf("%q: got %v, want an *Error", first, err)
		}
	}
}

func TestAStreamThatEndsInsideAPacketIsCutOff(t *testing.T) {
	for name := range golden {
		v, data := goldenBytes(t, name)
		for n := range data {
			_, err := mqtt.NewReader(bytes.NewReader(data[:n]), 1000).Next(v)
			want := io.ErrUnexpectedEOF
			if n == 0 {
				want = io.EOF
			}
			if err != want {
				t.Errorf("%s after %d bytes: got %v, want %v", name, n, err, want)
			}
		}
	}
	large := written(t, &mqtt.Publish{Topic: "t", Payload: make([]byte, 5000)}, mqtt.V311)
	if _, err := mqtt.NewReader(bytes.NewReader(large[:4000]), 0).Next(mqtt.V311); err != io.ErrUnexpectedEOF {
		t.Errorf("a large packet: got %v", err)
	}
}

func TestAFailureOfTheSourcePassesUnchanged(t *testing.T) {
	broken := errors.New("the network is gone")
	for _, sent := range []string{"", "\x30", "\x30\x0a", "\x30\x0a\x00", "\x30\x90\x4e\x00\x01t"} {
		src := io.MultiReader(strings.NewReader(sent), iotest.ErrReader(broken))
		if _, err := mqtt.NewReader(src, 0).Next(mqtt.V311); err != broken {
			t.Errorf("after %q: got %v", sent, err)
		}
	}
	if _, err := mqtt.NewReader(silent{}, 0).Next(mqtt.V311); err != io.ErrNoProgress {
		t.Errorf("a source that never gives anything: got %v", err)
	}
}

type silent struct{}

func (silent) Read([]byte) (int, error) { return 0, nil }

func TestThePacketSizeIsLimited(t *testing.T) {
	data := written(t, &mqtt.Publish{Topic: "t", Payload: make([]byte, 197)}, mqtt.V311)
	if len(data) != 203 {
		t.Fatalf("the test expects a packet of 203 bytes, not %d", len(data))
	}
	t.Run("a packet of the limit passes", func(t *testing.T) {
		if _, err := mqtt.NewReader(bytes.NewReader(data), 203).Next(mqtt.V311); err != nil {
			t.Error(err)
		}
	})
	t.Run("a packet above the limit is refused by its header", func(t *testing.T) {
		src := io.MultiReader(bytes.NewReader(data[:3]), iotest.ErrReader(errors.New("read on")))
		p, err := mqtt.NewReader(src, 202).Next(mqtt.V311)
		wantRefusal(t, p, err, mqtt.PacketTooLarge, "PUBLISH: the packet is 203 bytes long; at most 202")
	})
	t.Run("the limit can change between packets", func(t *testing.T) {
		r := mqtt.NewReader(bytes.NewReader(slices.Concat(data, data)), 1000)
		if _, err := r.Next(mqtt.V311); err != nil {
			t.Fatal(err)
		}
		r.SetLimit(100)
		p, err := r.Next(mqtt.V311)
		wantRefusal(t, p, err, mqtt.PacketTooLarge, "at most 100")
	})
	t.Run("no limit is that of MQTT", func(t *testing.T) {
		r := mqtt.NewReader(strings.NewReader("\x30\xff\xff\xff\x7f"), 0)
		if _, err := r.Next(mqtt.V311); err != io.ErrUnexpectedEOF {
			t.Error(err)
		}
	})
}

func TestTheRemainingLengthIsJudged(t *testing.T) {
	p, err := mqtt.NewReader(strings.NewReader("\x30\xff\xff\xff\xff\x7f"), 0).Next(mqtt.V311)
	wantRefusal(t, p, err, mqtt.MalformedPacket, "longer than 4 bytes")
	p, err = mqtt.NewReader(strings.NewReader("\xc0\x80\x00"), 0).Next(mqtt.V5)
	wantRefusal(t, p, err, mqtt.MalformedPacket, "shortest form")
	if _, err := mqtt.NewReader(strings.NewReader("\xc0\x80\x80\x00"), 0).Next(mqtt.V311); err != nil {
		t.Errorf("3.1.1 does not demand the shortest form: %v", err)
	}
}

// A peer that announces much and sends little costs little: no read offers more
// memory than has arrived before, and a first grant of 1 KiB.
func TestMemoryGrowsOnlyAsBytesArrive(t *testing.T) {
	src := &meter{t: t, src: bytes.NewReader(written(t, &mqtt.Publish{Topic: "t", Payload: make([]byte, 1<<20)}, mqtt.V5))}
	if _, err := mqtt.NewReader(src, 2<<20).Next(mqtt.V5); err != nil {
		t.Fatal(err)
	}
	if src.largest < 1<<18 {
		t.Errorf("the largest read was of %d bytes: a large packet should not be read in small pieces", src.largest)
	}
}

type meter struct {
	t                *testing.T
	src              io.Reader
	arrived, largest int
}

func (m *meter) Read(p []byte) (int, error) {
	if len(p) > m.arrived+1024 {
		m.t.Errorf("%d bytes had arrived and memory for %d more was there", m.arrived, len(p))
	}
	n, err := m.src.Read(p[:min(len(p), 4096)])
	m.arrived, m.largest = m.arrived+n, max(m.largest, len(p))
	return n, err
}

func TestAnIdleReaderIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(mqtt.Reader{}); size > 512 {
		t.Errorf("it has %d bytes", size)
	}
}

// Hostile packets are made of the smallest parts that become the largest values.
func TestMemoryIsInProportionToTheBytes(t *testing.T) {
	const size = 128 << 10
	user := strings.Repeat("\x26\x00\x00\x00\x00", size/5)
	ids := strings.Repeat("\x0b\x01", size/2)
	for name, c := range map[string]struct {
		first byte
		body  string
	}{
		"user properties":          {0x30, "\x00\x01t" + block(user)},
		"subscription identifiers": {0x30, "\x00\x01t" + block(ids)},
		"filters":                  {0x82, "\x00\x01\x00" + strings.Repeat("\x00\x00\x00", size/3)},
		"filters to unsubscribe":   {0xa2, "\x00\x01\x00" + strings.Repeat("\x00\x00", size/2)},
		"reason codes":             {0x90, "\x00\x01\x00" + strings.Repeat("\x00", size)},
	} {
		body := []byte(c.body)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		p, err := mqtt.Decode(c.first, body, mqtt.V5)
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := int(after.TotalAlloc - before.TotalAlloc); got > 64*len(body) {
			t.Errorf("%s: %d bytes became %d", name, len(body), got)
		}
		runtime.KeepAlive(p)
	}
}

// block writes properties behind their length, which takes three bytes here.
func block(properties string) string {
	n := len(properties)
	return string([]byte{byte(n)&0x7f | 0x80, byte(n>>7)&0x7f | 0x80, byte(n >> 14)}) + properties
}
