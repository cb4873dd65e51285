package mqtt_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/slipway-iot/slipway/mqtt"
)

var versions = []mqtt.Version{0, mqtt.V311, mqtt.V5}

// FuzzDecode holds that no bytes make the codec panic, that every refusal is an
// *Error with a code of failure, and that Decode and a Reader judge alike.
func FuzzDecode(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, v := range versions {
			r := mqtt.NewReader(bytes.NewReader(data), 1<<16)
			for {
				p, err := r.Next(v)
				if err != nil {
					wantHonest(t, err)
					break
				}
				wantStable(t, p, v)
			}
			if len(data) > 0 {
				if _, err := mqtt.Decode(data[0], data[1:], v); err != nil {
					wantHonest(t, err)
				}
			}
		}
	})
}

// FuzzRoundTrip holds that a packet that was read is written in a form that is
// read as the same packet, and written the same again.
func FuzzRoundTrip(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 2 {
			return
		}
		for _, v := range versions {
			p, err := mqtt.Decode(data[0], bytes.Clone(data[2:]), v)
			if err == nil {
				wantStable(t, p, v)
			}
		}
	})
}

// FuzzTopics holds that the judges of topics and filters never panic and agree
// where they meet.
func FuzzTopics(f *testing.F) {
	for _, s := range []string{"a/b", "a/+/#", "$share/g/a/#", "#/a", "a+", "$share//a", "\xff", "a\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		group, rest, shared := mqtt.ParseShare(s)
		if shared && "$share/"+group+"/"+rest != s {
			t.Errorf("%q was taken apart into %q and %q", s, group, rest)
		}
		filter := mqtt.ValidFilter(s)
		if shared && filter == nil && mqtt.ValidTopic(group) != nil {
			t.Errorf("%q is accepted with the group %q", s, group)
		}
		if mqtt.ValidTopic(s) == nil && filter != nil && !strings.HasPrefix(s, "$share/") {
			t.Errorf("%q is a topic name and not a filter: %v", s, filter)
		}
	})
}

func seed(f *testing.F) {
	for name := range golden {
		_, data := goldenBytes(f, name)
		f.Add(data)
	}
	for _, c := range refused {
		f.Add(hexBytes(f, c.text))
	}
}

func wantHonest(t *testing.T, err error) {
	t.Helper()
	var e *mqtt.Error
	switch {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
	case !errors.As(err, &e):
		t.Errorf("got %v, want an *Error", err)
	case !e.Code.Failed() || e.Text == "":
		t.Errorf("got 0x%02X %q", byte(e.Code), e.Text)
	}
}

func wantStable(t *testing.T, p mqtt.Packet, v mqtt.Version) {
	t.Helper()
	first, err := mqtt.Append(nil, p, v)
	if err != nil {
		t.Fatalf("it was read and cannot be written: %v\n%+v", err, p)
	}
	again, err := mqtt.NewReader(bytes.NewReader(first), 0).Next(v)
	if err != nil {
		t.Fatalf("% x was written and cannot be read: %v", first, err)
	}
	if diff := cmp.Diff(p, again); diff != "" {
		t.Errorf("read, written, read (-first +second):\n%s", diff)
	}
	second, err := mqtt.Append(nil, again, v)
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("% x\nis written the second time as\n% x (%v)", first, second, err)
	}
}
