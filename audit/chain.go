package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/slipway-iot/slipway/fault"
)

// A Hash is the SHA-256 of a record and, through the one before it, of the
// whole trail up to there.
type Hash [sha256.Size]byte

func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText writes a hash in hexadecimal digits.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// ParseHash reads what String wrote.
func ParseHash(s string) (h Hash, err error) {
	raw, err := hex.DecodeString(strings.ToLower(s))
	if err != nil || len(raw) != len(h) {
		return h, fault.New(fault.InvalidRequest, "head: expected the 64 hexadecimal digits that an earlier verification printed.")
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

// A Report is what Verify found. Sequence and Hash are where the sound part
// ends; it is the whole chain if Broken is nil.
type Report struct {
	Sequence int64
	Hash     Hash
	Kept     bool // the head that the auditor kept is part of the sound part
	Broken   *Break
}

// Verify walks a chain from its beginning and stops at the first record that
// is changed, missing, repeated, moved or filed under what it is not. kept is
// a head of earlier days, or the zero Hash.
//
// It finds each of these also where somebody changed several records at once,
// unless that somebody computed all later hashes anew; only a head that was
// kept elsewhere, or Head.Seal, tells then. That the newest records were cut
// off shows in the same way: see Report.Ends. What happened to a record before
// it was sealed cannot show.
func Verify(entries iter.Seq2[Entry, error], kept Hash) (Report, error) {
	r := Report{Kept: kept == Hash{}}
	for e, err := range entries {
		if err != nil {
			return r, err
		}
		if text := r.wrong(e); text != "" {
			r.Broken = &Break{r.Sequence + 1, text}
			return r, nil
		}
		r.Sequence, r.Hash = e.Sequence, e.Hash
		r.Kept = r.Kept || e.Hash == kept
	}
	if !r.Kept {
		r.Broken = &Break{r.Sequence + 1, fmt.Sprintf("No record has the hash %v that was kept: records were cut off after it was printed, or the chain was written anew.", kept)}
	}
	return r, nil
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
	var at struct {
		At              time.Time
		Account, Region string
	}
	if err := json.Unmarshal(e.Body, &at); err != nil {
		return fmt.Sprintf("Record %d cannot be read.", e.Sequence)
	}
	if at.Account != e.Tenant.Account || at.Region != e.Tenant.Region || !at.At.Equal(e.At) || e.Lost {
		return fmt.Sprintf("Record %d is filed under another account, time or name than it tells of, so that a search misses it.", e.Sequence)
	}
	return ""
}

// Ends compares the end that Verify reached with the head that the sealer
// left, and notes in the report what of the tail is missing.
func (r *Report) Ends(head Head) {
	switch {
	case r.Broken != nil || head.Sequence == r.Sequence && head.Hash == r.Hash:
	case head.Sequence > r.Sequence:
		r.Broken = &Break{r.Sequence + 1, fmt.Sprintf("Record %d is missing: the chain was sealed up to record %d and ends at record %d.", r.Sequence+1, head.Sequence, r.Sequence)}
	case head.Sequence < r.Sequence:
		r.Broken = &Break{head.Sequence + 1, fmt.Sprintf("Record %d was never sealed: the sealer stopped at record %d.", head.Sequence+1, head.Sequence)}
	default:
		r.Broken = &Break{head.Sequence, fmt.Sprintf("Record %d has another hash than the sealer left as the end of the chain.", head.Sequence)}
	}
}
