package records

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
)

// A list is a query whose rows have a unique order, so that a page begins
// where the one before it ended, whatever was written in between.
type list struct {
	name   string   // names the ordering inside cursors
	query  string   // SELECT … WHERE …, its conditions open to one more AND
	args   []any    // of query
	order  []string // the columns of the order, numbers marked by a leading #
	newest bool     // runs downwards, whatever the page says
}

// A mark is the place of one row in its list: a string or int64 for each
// column of the order.
type mark []any

// pages reads one page. row is called with dest filled; it gives the entry and
// its mark, or false to leave the row out.
func pages[T any](ctx context.Context, tx *Tx, l list, p ref.Page, dest []any, row func() (T, mark, bool, error)) ([]T, string, error) {
	limit, down := max(p.Limit, 1), p.Descending || l.newest
	query, args, err := l.page(p.After, down, limit)
	if err != nil {
		return nil, "", err
	}
	var (
		entries []T
		last    mark
		seen    int
	)
	err = tx.query(ctx, query, args, dest, func() error {
		if seen++; seen > limit {
			return nil // it only shows that there is a next page
		}
		entry, at, keep, err := row()
		if keep {
			entries = append(entries, entry)
		}
		last = at
		return err
	})
	if err != nil || seen <= limit {
		return entries, "", err
	}
	return entries, l.cursor(last, down), nil
}

// page gives the statement of the page after the cursor. It asks for one row
// more than the limit.
func (l list) page(after string, down bool, limit int) (string, []any, error) {
	columns := strings.ReplaceAll(strings.Join(l.order, ", "), "#", "")
	args := slices.Clone(l.args)
	var b strings.Builder
	b.WriteString(l.query)
	if after != "" {
		at, err := l.open(after, down)
		if err != nil {
			return "", nil, err
		}
		b.WriteString(" AND (" + columns + ")" + map[bool]string{false: " > (", true: " < ("}[down])
		for i, v := range at {
			if i > 0 {
				b.WriteString(", ")
			}
			args = append(args, v)
			b.WriteString("$" + strconv.Itoa(len(args)))
		}
		b.WriteString(")")
	}
	b.WriteString(" ORDER BY ")
	for i, c := range l.order {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strings.TrimPrefix(c, "#"))
		if down {
			b.WriteString(" DESC")
		}
	}
	// A bare parameter would make SQLite compile the statement anew for every
	// other limit; a sum it leaves alone.
	args = append(args, int64(limit)+1)
	b.WriteString(" LIMIT 0 + $" + strconv.Itoa(len(args)))
	return b.String(), args, nil
}

// cursor seals a mark together with the list and direction it belongs to, in
// the standard base64 alphabet that AWS's token members allow.
func (l list) cursor(at mark, down bool) string {
	parts := []string{l.seal(down)}
	for _, v := range at {
		switch v := v.(type) {
		case int64:
			parts = append(parts, strconv.FormatInt(v, 10))
		case string:
			parts = append(parts, v)
		}
	}
	body, _ := json.Marshal(parts) // strings always marshal
	return base64.StdEncoding.EncodeToString(body)
}

// open reads what cursor wrote for the same list and direction, and nothing
// else.
func (l list) open(cursor string, down bool) (mark, error) {
	var parts []string
	body, err := base64.StdEncoding.DecodeString(cursor)
	if err == nil {
		err = json.Unmarshal(body, &parts)
	}
	if err != nil || len(parts) != len(l.order)+1 || parts[0] != l.seal(down) {
		return nil, badCursor()
	}
	at := make(mark, len(l.order))
	for i, v := range parts[1:] {
		at[i] = v
		if strings.HasPrefix(l.order[i], "#") {
			if at[i], err = strconv.ParseInt(v, 10, 64); err != nil {
				return nil, badCursor()
			}
		}
	}
	return at, nil
}

// seal is a checksum of what a cursor is bound to. It guards against mistakes,
// not malice: a cursor holds nothing that its list would not show.
func (l list) seal(down bool) string {
	h := crc32.NewIEEE()
	h.Write([]byte(l.name))
	for _, a := range l.args {
		h.Write([]byte{0})
		switch a := a.(type) {
		case string:
			h.Write([]byte(a))
		case int64:
			h.Write(strconv.AppendInt(nil, a, 10))
		}
	}
	if down {
		h.Write([]byte{1})
	}
	return strconv.FormatUint(uint64(h.Sum32()), 36)
}

func badCursor() error {
	return fault.New(fault.InvalidRequest, "nextToken (marker): expected a token from an earlier page of the same list, in the same order.")
}
