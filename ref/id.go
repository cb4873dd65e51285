package ref

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"time"
)

// ID derives the identifier of a record from what makes it one of a kind: its
// tenant, what it is, its name, and the moment it was made.
//
// A transaction that runs again after a conflict thus gives the same
// identifier, and a record that was deleted and made again gets another. The
// form is a UUID of version 8 (RFC 9562, section 5.8). It is no secret.
func ID(tenant, kind, name string, made time.Time) string {
	h := sha256.New()
	for _, part := range []string{tenant, kind, name, made.UTC().Format(time.RFC3339Nano)} {
		io.WriteString(h, part)
		h.Write([]byte{0})
	}
	sum := h.Sum(nil)
	sum[6] = sum[6]&0x0f | 0x80
	sum[8] = sum[8]&0x3f | 0x80
	s := hex.EncodeToString(sum[:16])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}
