package qrcode

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestACodeIsDrawnWithItsMargin(t *testing.T) {
	c, err := New("WDJB-MJHT")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if _, err := c.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	if len(lines) != c.Rows() || c.Columns() != 21+2*quiet {
		t.Errorf("%d lines, want %d; %d columns", len(lines), c.Rows(), c.Columns())
	}
	for i, line := range lines {
		line = strings.TrimSuffix(strings.TrimPrefix(line, "\x1b[30;107m"), "\x1b[0m")
		if utf8.RuneCountInString(line) != c.Columns() {
			t.Errorf("line %d has %d columns", i, utf8.RuneCountInString(line))
		}
		if !strings.HasPrefix(line, "  ") || !strings.HasSuffix(line, "  ") {
			t.Errorf("line %d has no margin: %q", i, line)
		}
	}
	if first := lines[1]; !strings.Contains(first, "█▀▀▀▀▀█") {
		t.Errorf("there is no finder pattern in %q", first)
	}
}

func TestATextThatIsTooLongIsRefused(t *testing.T) {
	if _, err := New(strings.Repeat("x", 5000)); err == nil || !strings.Contains(err.Error(), "5000 characters") {
		t.Error(err)
	}
}
