package records

import (
	"context"
	"math"
	"slices"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/audit"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
)

const auditColumns = "a.id, a.seq, a.tenant, a.at, a.previous, a.hash, a.body"

// An auditRow receives auditColumns.
type auditRow struct {
	id, seq, at    int64
	tenant, body   string
	previous, hash []byte
}

func (r *auditRow) dest() []any {
	return []any{&r.id, &r.seq, &r.tenant, &r.at, &r.previous, &r.hash, &r.body}
}

// entry copies the row. A hash that is none stays zero, which no chain has.
func (r *auditRow) entry() audit.Entry {
	e := audit.Entry{ID: r.id, Sequence: r.seq, Body: []byte(r.body), Tenant: tenant(r.tenant), At: moment(r.at)}
	copy(e.Previous[:], r.previous)
	copy(e.Hash[:], r.hash)
	return e
}

// AppendAudit writes a record that is not sealed.
func (tx *Tx) AppendAudit(ctx context.Context, r *audit.Record) error {
	body, err := audit.Pack(r)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, "INSERT INTO audit (seq, tenant, at, previous, hash, body) VALUES (0, $1, $2, $3, $4, $5)",
		r.Tenant().String(), micros(r.At), []byte{}, []byte{}, string(body))
	return err
}

// UnsealedAudit reads along the index of what waits, oldest first.
func (tx *Tx) UnsealedAudit(ctx context.Context, limit int) (entries []audit.Entry, err error) {
	var r auditRow
	err = tx.query(ctx, "SELECT "+auditColumns+" FROM audit a WHERE a.seq = 0 ORDER BY a.id LIMIT 0 + $1",
		[]any{int64(limit)}, r.dest(), func() error {
			e := r.entry()
			e.Keys = auditKeys(e)
			entries = append(entries, e)
			return nil
		})
	return entries, err
}

// auditKeys gives what the record is to be found by. One that cannot be read
// is found by nothing, and sealed all the same: that shows it.
func auditKeys(e audit.Entry) []string {
	r, err := audit.Open(e.Body)
	if err != nil {
		return nil
	}
	return r.Keys()
}

// CountUnsealedAudit counts along the same index.
func (tx *Tx) CountUnsealedAudit(ctx context.Context) (n int64, err error) {
	_, err = tx.get(ctx, "SELECT COUNT(*) FROM audit WHERE seq = 0", nil, &n)
	return n, err
}

// AuditHead gives the end of the chain. Where somebody removed it, that is the
// zero Head: no chain but an empty one agrees with it, and none is sealed.
func (tx *Tx) AuditHead(ctx context.Context) (h audit.Head, err error) {
	var hash []byte
	_, err = tx.get(ctx, "SELECT seq, hash, seal FROM audit_head WHERE id = 1", nil, &h.Sequence, &hash, &h.Seal)
	copy(h.Hash[:], hash)
	return h, err
}

// SealAudit moves the head, which only one of several sealers can, and then
// writes what the entries were given.
func (tx *Tx) SealAudit(ctx context.Context, from, to audit.Head, entries []audit.Entry) error {
	n, err := tx.exec(ctx, "UPDATE audit_head SET seq = $1, hash = $2, seal = $3 WHERE id = 1 AND seq = $4 AND hash = $5",
		to.Sequence, to.Hash[:], orEmpty(to.Seal), from.Sequence, from.Hash[:])
	if err := expect(n, err, fault.Conflict, "The audit trail was sealed by another node."); err != nil {
		return err
	}
	var rows, keys [][]any
	for i := range entries {
		e := &entries[i]
		rows = append(rows, []any{e.Sequence, e.Previous[:], e.Hash[:], e.ID})
		for _, d := range auditDigests(e.Tenant, e.Keys) {
			keys = append(keys, []any{e.Sequence, d, micros(e.At)})
		}
	}
	if err := tx.execEach(ctx, "UPDATE audit SET seq = $1, previous = $2, hash = $3 WHERE id = $4 AND seq = 0", rows); err != nil {
		return err
	}
	return tx.execEach(ctx, "INSERT INTO audit_keys (seq, digest, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", keys)
}

func auditDigests(t arn.Tenant, keys []string) []int64 {
	var out []int64
	for _, k := range keys {
		out = append(out, keyDigest(t.String(), k))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// SealedAudit reads the chain, and whether each record is found by its keys.
func (tx *Tx) SealedAudit(ctx context.Context, after int64, limit int) (entries []audit.Entry, err error) {
	var r auditRow
	err = tx.query(ctx, "SELECT "+auditColumns+" FROM audit a WHERE a.seq > 0 AND a.seq > $1 ORDER BY a.seq LIMIT 0 + $2",
		[]any{after, int64(limit)}, r.dest(), func() error {
			entries = append(entries, r.entry())
			return nil
		})
	if err != nil || len(entries) == 0 {
		return entries, err
	}
	filed, err := tx.filed(ctx, entries[0].Sequence, entries[len(entries)-1].Sequence)
	for i := range entries {
		e := &entries[i]
		e.Keys = auditKeys(*e)
		for _, d := range auditDigests(e.Tenant, e.Keys) {
			e.Lost = e.Lost || !filed[auditKey{e.Sequence, d, micros(e.At)}]
		}
	}
	return entries, err
}

// An auditKey is one row of audit_keys.
type auditKey struct{ seq, digest, at int64 }

func (tx *Tx) filed(ctx context.Context, first, last int64) (map[auditKey]bool, error) {
	var k auditKey
	found := make(map[auditKey]bool)
	err := tx.query(ctx, "SELECT seq, digest, at FROM audit_keys WHERE seq >= $1 AND seq <= $2",
		[]any{first, last}, []any{&k.seq, &k.digest, &k.at}, func() error {
			found[k] = true
			return nil
		})
	return found, err
}

// FindAudit reads along the key that most likely finds the fewest, or along
// time, and leaves out what the other keys do not find.
func (tx *Tx) FindAudit(ctx context.Context, t arn.Tenant, f audit.Filter, p ref.Page) ([]audit.Entry, string, error) {
	since, until := int64(0), int64(math.MaxInt64)
	if !f.Since.IsZero() {
		since = micros(f.Since)
	}
	if !f.Until.IsZero() {
		until = micros(f.Until)
	}
	keys := f.Keys()
	l := list{
		name:   "audit",
		query:  "SELECT " + auditColumns + " FROM audit a WHERE a.tenant = $1 AND a.at >= $2 AND a.at < $3",
		args:   []any{t.String(), since, until},
		order:  []string{"#a.at", "#a.id"},
		newest: true,
	}
	if len(keys) > 0 {
		l.query = "SELECT " + auditColumns + ` FROM audit_keys k JOIN audit a ON a.seq = k.seq AND a.seq > 0
			WHERE k.digest = $1 AND k.at >= $2 AND k.at < $3`
		l.args[0] = keyDigest(t.String(), keys[0])
		l.order = []string{"#k.at", "#k.seq"}
	}
	var r auditRow
	return pages(ctx, tx, l, p, r.dest(), func() (audit.Entry, mark, bool, error) {
		e := r.entry()
		at := mark{r.at, r.id}
		if len(keys) > 0 {
			at = mark{r.at, r.seq}
		}
		return e, at, e.Tenant == t && passes(e, keys), nil
	})
}

// passes says whether the record has all of the keys.
func passes(e audit.Entry, keys []string) bool {
	if len(keys) == 0 {
		return true
	}
	has := auditKeys(e)
	return !slices.ContainsFunc(keys, func(k string) bool { return !slices.Contains(has, k) })
}
