package handover

import (
	"fmt"
	"strings"
)

// alphabet is that of base 45 (RFC 9285, section 4.2), which is the one of a QR
// code's alphanumeric mode.
const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"

// base45 writes two bytes in three characters, one in two.
func base45(b []byte) string {
	var out strings.Builder
	for len(b) > 1 {
		n := int(b[0])<<8 | int(b[1])
		out.WriteByte(alphabet[n%45])
		out.WriteByte(alphabet[n/45%45])
		out.WriteByte(alphabet[n/2025])
		b = b[2:]
	}
	if len(b) == 1 {
		out.WriteByte(alphabet[b[0]%45])
		out.WriteByte(alphabet[b[0]/45])
	}
	return out.String()
}

func unbase45(text string) ([]byte, error) {
	out := make([]byte, 0, len(text)*2/3+1)
	for len(text) > 0 {
		take := min(3, len(text))
		if take == 1 {
			return nil, fmt.Errorf("a character is missing at its end")
		}
		n, weight := 0, 1
		for i := range take {
			digit := strings.IndexByte(alphabet, text[i])
			if digit < 0 {
				return nil, fmt.Errorf("character %q is none of base 45", text[i])
			}
			n += digit * weight
			weight *= 45
		}
		switch {
		case take == 3 && n < 1<<16:
			out = append(out, byte(n>>8), byte(n))
		case take == 2 && n < 1<<8:
			out = append(out, byte(n))
		default:
			return nil, fmt.Errorf("%q stands for no bytes", text[:take])
		}
		text = text[take:]
	}
	return out, nil
}
