package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"iter"
	"strings"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
)

// A Hash is the SHA-256 of a record and, through the one before it, of the
// whole trail up to there.
type Hash [sha256.Size]byte

func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText writes a hash in hexadecimal digits.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (h *Hash) UnmarshalText(text []byte) (err error) {
	*h, err = ParseHash(string(text))
	return err
}

// ParseHash reads what String wrote.
func ParseHash(s string) (h Hash, err error) {
	raw, err := hex.DecodeString(strings.ToLower(s))
	if err != nil || len(raw) != len(h) {
		return h, fault.New(fault.InvalidRequest, "Head %q: expected the 64 hexadecimal digits that an earlier verification printed.", arn.Clip(s, 80))
	}
	return Hash(raw), nil
}

// A Head is the end of the chain.
type Head struct {
	Sequence int64
	Hash     Hash
	// Seal vouches that a server with the right key wrote this head: whoever
	// can write the database alone cannot make one.
	Seal []byte
}

// String is what a Seal vouches for.
func (h Head) String() string { return fmt.Sprintf("%d %v", h.Sequence, h.Hash) }

// Link gives the hash of the record with the number, behind the one with the
// hash previous: SHA-256 over previous (32 bytes), the number (8 bytes, big
// end first) and the canonical bytes.
func Link(previous Hash, sequence int64, body []byte) (h Hash) {
	d := sha256.New()
	d.Write(previous[:])
	d.Write(binary.BigEndian.AppendUint64(nil, uint64(sequence)))
	d.Write(body)
	return Hash(d.Sum(h[:0]))
}

// Chain puts unsealed entries behind a head, in their order, and gives the new
// head, to which the caller adds its seal.
func Chain(from Head, entries []Entry) Head {
	to := Head{Sequence: from.Sequence, Hash: from.Hash}
	for i := range entries {
		e := &entries[i]
		e.Previous = to.Hash
		to.Sequence++
		to.Hash = Link(to.Hash, to.Sequence, e.Body)
		e.Sequence, e.Hash = to.Sequence, to.Hash
	}
	return to
}

// A Break is where a chain is not what was sealed.
type Break struct {
	Sequence int64  `json:"sequence"` // of the first record that is wrong or missing
	Text     string `json:"text"`     // one sentence
}

// A Report is how far a chain was walked and what was found. The zero Report
// is one that has not begun; one that was printed goes on from there.
type Report struct {
	Sequence int64  `json:"sequence"` // the sound part ends here
	Hash     Hash   `json:"head"`
	Kept     bool   `json:"kept"` // it holds the head that the auditor kept
	Broken   *Break `json:"broken,omitempty"`
}

// Verify walks the part of a chain that entries give and stops at the first
// record that is changed, missing, repeated, moved or filed under what it is
// not. kept is a head of earlier days, or the zero Hash.
//
// It finds each of these also where somebody changed several records at once,
// unless that somebody computed all later hashes anew; only a head that was
// kept elsewhere, or Head.Seal, tells then. That the newest records were cut
// off shows in the same way: see Report.Ends. What happened to a record before
// it was sealed cannot show.
func (r *Report) Verify(entries iter.Seq2[Entry, error], kept Hash) error {
	for e, err := range entries {
		if err != nil {
			return err
		}
		if text := r.wrong(e); text != "" {
			r.Broken = &Break{r.Sequence + 1, text}
			return nil
		}
		r.Sequence, r.Hash = e.Sequence, e.Hash
		r.Kept = r.Kept || e.Hash == kept
	}
	return nil
}

// wrong says what is wrong with the entry that should come next, if anything.
func (r *Report) wrong(e Entry) string {
	next := r.Sequence + 1
	switch {
	case e.Sequence > next:
		return fmt.Sprintf("Record %d is missing: after record %d comes record %d.", next, r.Sequence, e.Sequence)
	case e.Sequence < next:
		return fmt.Sprintf("Record %d is missing: in its place stands another record %d.", next, e.Sequence)
	case e.Hash != Link(r.Hash, next, e.Body):
		return fmt.Sprintf("Record %d is not what was sealed: it was changed, or it was put in the place of another.", next)
	case e.Previous != r.Hash:
		return fmt.Sprintf("Record %d does not continue record %d: its previous hash is another.", next, r.Sequence)
	}
	return e.misfiled()
}

// misfiled says whether the store files the entry under what it is not, so
// that a search would miss it.
func (e *Entry) misfiled() string {
	r, err := Open(e.Body)
	if err != nil {
		return fmt.Sprintf("Record %d cannot be read.", e.Sequence)
	}
	if r.Tenant() != e.Tenant || !r.At.Equal(e.At) || e.Lost {
		return fmt.Sprintf("Record %d is filed under another account, time or name than it tells of, so that a search misses it.", e.Sequence)
	}
	return ""
}

// Ends compares the end of a chain that was walked whole with the head that
// the sealer left, and with the one that the auditor kept: both tell what was
// cut off.
func (r *Report) Ends(head Head, kept Hash) {
	next := r.Sequence + 1
	switch {
	case r.Broken != nil:
	case head.Sequence > r.Sequence:
		r.Broken = &Break{next, fmt.Sprintf("Record %d is missing: the chain was sealed up to record %d and ends at record %d.", next, head.Sequence, r.Sequence)}
	case head.Sequence < r.Sequence:
		r.Broken = &Break{head.Sequence + 1, fmt.Sprintf("Record %d was never sealed: the sealer stopped at record %d.", head.Sequence+1, head.Sequence)}
	case head.Hash != r.Hash:
		r.Broken = &Break{r.Sequence, fmt.Sprintf("Record %d has another hash than the sealer left as the end of the chain.", r.Sequence)}
	case kept != Hash{} && !r.Kept:
		r.Broken = &Break{next, fmt.Sprintf("No record up to %d has the hash that was kept, %v: records were cut off since it was printed, or the chain was written anew.", r.Sequence, kept)}
	}
}
