package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/slipway-iot/slipway/agent"
	"github.com/slipway-iot/slipway/cmd/internal/qrcode"
)

// byCode shows a code, waits for an installer, and keeps the claim that comes.
func (j *join) byCode(ctx context.Context, c agent.Config, stderr io.Writer) (agent.Config, error) {
	codes := &agent.Codes{Server: j.Server, Config: c, Now: time.Now, Show: func(s agent.Shown) { show(stderr, s) }}
	claim, err := codes.Join(ctx)
	if err != nil {
		return c, err
	}
	c.Endpoint = claim.Endpoint
	if j.Endpoint != "" {
		c.Endpoint = j.Endpoint
	}
	return agent.Keep(c, claim)
}

// show prints the code and the fingerprint that the installer compares, and on
// a terminal the code as a QR code too.
func show(w io.Writer, s agent.Shown) {
	if f, ok := w.(*os.File); ok && terminal(f) {
		if code, err := qrcode.New(s.Address); err == nil {
			_, _ = code.WriteTo(w)
		}
	}
	fmt.Fprintf(w, "code: %s\nfingerprint: %s\n", s.Code, grouped(s.Fingerprint))
	fmt.Fprintf(w, "Waiting for an installer to approve it, for %s.\n", s.Expires)
}

// grouped is a fingerprint as people compare it.
func grouped(hex string) string {
	var out []string
	for len(hex) > 4 {
		out, hex = append(out, hex[:4]), hex[4:]
	}
	return strings.Join(append(out, hex), " ")
}

func terminal(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}
