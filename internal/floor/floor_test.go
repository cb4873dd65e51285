package floor

import (
	"crypto/tls"
	"testing"
)

func TestTheFloorIsMeasured(t *testing.T) {
	f, err := Measure([]tls.CurveID{tls.X25519}, 1, 3)
	if err != nil {
		t.Fatal(err)
	}
	if f.Handshake <= f.Chain || f.Chain <= 0 || f.CSR <= 0 || f.Sign <= 0 || f.Device() != 2*f.Handshake+f.CSR+f.Sign {
		t.Errorf("got %+v", f)
	}
}
