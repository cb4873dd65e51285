package records

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"slices"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/attempts"
	"github.com/slipway-iot/slipway/ref"
)

// keyDigest is what a key is found by. Two keys may share a digest: the
// attempt itself says which keys it carries.
func keyDigest(tenant, key string) int64 {
	sum := sha256.Sum256([]byte(tenant + "\x00" + key))
	return int64(binary.BigEndian.Uint64(sum[:8]))
}

// digests gives those of the attempt's keys and that of the empty key, which
// finds every attempt of the tenant.
func digests(tenant string, keys []string) []int64 {
	out := []int64{keyDigest(tenant, "")}
	for _, k := range keys {
		out = append(out, keyDigest(tenant, k))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// InsertAttempts writes attempts. One whose id is there already, because its
// batch is repeated or its count grew, is written anew; it keeps the moment at
// which it opened.
func (tx *Tx) InsertAttempts(ctx context.Context, as []*attempts.Attempt) error {
	var rows, keys [][]any
	for _, a := range as {
		row, err := attemptArgs(a)
		if err != nil {
			return err
		}
		rows = append(rows, row)
		for _, d := range digests(a.Tenant.String(), cleanAll(a.Keys)) {
			keys = append(keys, []any{d, micros(a.Opened), clean(a.ID)})
		}
	}
	// Many share a key, such as their address: their rows are neighbours.
	slices.SortFunc(keys, func(a, b []any) int { return cmp.Compare(a[0].(int64), b[0].(int64)) })
	err := tx.execEach(ctx, `INSERT INTO attempts (id, tenant, opened, closed, keys, body) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (id) DO UPDATE SET closed = excluded.closed, keys = excluded.keys, body = excluded.body`, rows)
	if err != nil {
		return err
	}
	return tx.execEach(ctx, "INSERT INTO attempt_keys (digest, opened, attempt) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", keys)
}

func attemptArgs(a *attempts.Attempt) ([]any, error) {
	kept := *a
	kept.Opened, kept.Closed = moment(micros(a.Opened)), moment(micros(a.Closed))
	body, err := json.Marshal(&kept)
	if err != nil {
		return nil, damaged(err, "attempt "+a.ID)
	}
	keys, err := json.Marshal(cleanAll(a.Keys))
	if err != nil {
		return nil, damaged(err, "attempt "+a.ID)
	}
	return []any{clean(a.ID), a.Tenant.String(), micros(a.Opened), micros(a.Closed), string(keys), string(body)}, nil
}

func cleanAll(keys []string) []string {
	out := make([]string, len(keys))
	for i, k := range keys {
		out[i] = clean(k)
	}
	return out
}

// FindAttempts runs from the newest to the oldest, whatever the page says.
func (tx *Tx) FindAttempts(ctx context.Context, t arn.Tenant, key string, p ref.Page) ([]*attempts.Attempt, string, error) {
	key = clean(key)
	l := list{
		name: "attempts",
		query: `SELECT k.opened, k.attempt, a.tenant, a.keys, a.body
			FROM attempt_keys k JOIN attempts a ON a.id = k.attempt WHERE k.digest = $1`,
		args:   []any{keyDigest(t.String(), key)},
		order:  []string{"#k.opened", "k.attempt"},
		newest: true,
	}
	var (
		opened                int64
		id, owner, keys, body string
	)
	return pages(ctx, tx, l, p, []any{&opened, &id, &owner, &keys, &body}, func() (*attempts.Attempt, mark, bool, error) {
		a, err := openAttempt(id, owner, keys, body)
		if err != nil {
			return nil, nil, false, err
		}
		mine := a.Tenant == t && (key == "" || slices.Contains(a.Keys, key))
		return a, mark{opened, id}, mine, nil
	})
}

func openAttempt(id, owner, keys, body string) (*attempts.Attempt, error) {
	a := new(attempts.Attempt)
	if err := json.Unmarshal([]byte(body), a); err != nil {
		return nil, damaged(err, "attempt "+id)
	}
	if err := json.Unmarshal([]byte(keys), &a.Keys); err != nil {
		return nil, damaged(err, "attempt "+id)
	}
	a.Tenant = tenant(owner)
	return a, nil
}

// PruneAttempts deletes the attempts that closed longest ago, with their keys.
func (tx *Tx) PruneAttempts(ctx context.Context, before time.Time, limit int) (int, error) {
	var (
		id, owner, text string
		opened          int64
		rows, keys      [][]any
	)
	err := tx.query(ctx, "SELECT id, tenant, opened, keys FROM attempts WHERE closed < $1 ORDER BY closed LIMIT 0 + $2",
		[]any{micros(before), int64(limit)}, []any{&id, &owner, &opened, &text}, func() error {
			var texts []string
			if err := json.Unmarshal([]byte(text), &texts); err != nil {
				return damaged(err, "attempt "+id)
			}
			rows = append(rows, []any{id})
			for _, d := range digests(owner, texts) {
				keys = append(keys, []any{d, opened, id})
			}
			return nil
		})
	if err != nil {
		return 0, err
	}
	if err := tx.execEach(ctx, "DELETE FROM attempt_keys WHERE digest = $1 AND opened = $2 AND attempt = $3", keys); err != nil {
		return 0, err
	}
	return len(rows), tx.execEach(ctx, "DELETE FROM attempts WHERE id = $1", rows)
}
