// Package qrcode draws QR codes on terminals.
package qrcode

import (
	"fmt"
	"io"
	"strings"

	"rsc.io/qr"
)

// quiet is the margin, in modules, without which scanners do not see the code
// (ISO/IEC 18004 asks for four; two do on a screen).
const quiet = 2

// A Code is a QR code that fits the text.
type Code struct{ code *qr.Code }

// New makes the code of a text, at the lowest level of error correction: a
// screen has no scratches.
func New(text string) (*Code, error) {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return nil, fmt.Errorf("%d characters do not fit into a QR code: %w", len(text), err)
	}
	return &Code{code}, nil
}

// Columns and Rows are the size on a terminal.
func (c *Code) Columns() int { return c.code.Size + 2*quiet }
func (c *Code) Rows() int    { return (c.code.Size + 2*quiet + 1) / 2 }

// WriteTo draws the code, two modules in each character, black on white
// whatever the terminal's colours are.
func (c *Code) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	for y := -quiet; y < c.code.Size+quiet; y += 2 {
		b.WriteString("\x1b[30;107m")
		for x := -quiet; x < c.code.Size+quiet; x++ {
			switch up, down := c.code.Black(x, y), c.code.Black(x, y+1); {
			case up && down:
				b.WriteRune('█')
			case up:
				b.WriteRune('▀')
			case down:
				b.WriteRune('▄')
			default:
				b.WriteByte(' ')
			}
		}
		b.WriteString("\x1b[0m\n")
	}
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}
