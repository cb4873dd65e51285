package records

import (
	"context"
	"encoding/json"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
)

// A shelf is one kind of document with a Go type of its own. Shelves and the
// documents of store.Tx share a table; their kinds differ.
type shelf[T any] struct {
	kind string // in the table
	noun string // in sentences: "Policy"
	pack func(*T) any
	open func(t arn.Tenant, name, body string) (*T, error)
	copy func(*T) *T // deep; nil for kinds that are not worth remembering
}

func (s shelf[T]) get(ctx context.Context, tx *Tx, t arn.Tenant, name string) (*T, error) {
	body, err := tx.document(ctx, t, s.kind, s.noun, name)
	if err != nil {
		return nil, err
	}
	if s.copy == nil {
		return s.read(t, name, body)
	}
	at := place{t, s.kind, name}
	if v, ok := tx.memory.recall(at, body); ok {
		return s.copy(v.(*T)), nil
	}
	v, err := s.read(t, name, body)
	if err != nil {
		return nil, err
	}
	tx.memory.keep(at, body, v)
	return s.copy(v), nil
}

func (s shelf[T]) read(t arn.Tenant, name, body string) (*T, error) {
	v, err := s.open(t, name, body)
	if err != nil {
		return nil, damaged(err, s.noun+" "+name)
	}
	return v, nil
}

func (s shelf[T]) put(ctx context.Context, tx *Tx, t arn.Tenant, name string, v *T) error {
	body, err := json.Marshal(s.pack(v))
	if err != nil {
		return fault.Wrap(fault.Internal, err, "The record of %s %s cannot be written.", s.noun, name)
	}
	return tx.putDocument(ctx, t, s.kind, name, string(body))
}

func (s shelf[T]) delete(ctx context.Context, tx *Tx, t arn.Tenant, name string) error {
	return tx.deleteDocument(ctx, t, s.kind, s.noun, name)
}

func (s shelf[T]) list(ctx context.Context, tx *Tx, t arn.Tenant, p ref.Page) ([]*T, string, error) {
	var name, body string
	return pages(ctx, tx, documentList(t, s.kind), p, []any{&name, &body}, func() (*T, mark, bool, error) {
		v, err := s.read(t, name, body)
		return v, mark{name}, true, err
	})
}

func documentList(t arn.Tenant, kind string) list {
	return list{
		name:  "documents",
		query: "SELECT name, body FROM documents WHERE tenant = $1 AND kind = $2",
		args:  []any{t.String(), kind},
		order: []string{"name"},
	}
}

func noDocument(noun, name string) error {
	return fault.New(fault.Missing, "%s %s does not exist.", noun, arn.Clip(name, 256))
}

func (tx *Tx) document(ctx context.Context, t arn.Tenant, kind, noun, name string) (string, error) {
	at := place{t, kind, name}
	if body, ok := recall[string](tx.held, at); ok && !tx.ended {
		return body, nil
	}
	var body string
	found, err := tx.get(ctx, "SELECT body FROM documents WHERE tenant = $1 AND kind = $2 AND name = $3",
		[]any{t.String(), kind, name}, &body)
	if err == nil && !found {
		err = noDocument(noun, name)
	}
	if err == nil {
		tx.held.keep(at, body, overhead+len(body))
	}
	return body, err
}

func (tx *Tx) putDocument(ctx context.Context, t arn.Tenant, kind, name, body string) error {
	tx.held.drop(place{t, kind, name})
	_, err := tx.exec(ctx, `INSERT INTO documents (tenant, kind, name, body) VALUES ($1, $2, $3, $4)
		ON CONFLICT (tenant, kind, name) DO UPDATE SET body = excluded.body`, t.String(), kind, name, body)
	return err
}

func (tx *Tx) deleteDocument(ctx context.Context, t arn.Tenant, kind, noun, name string) error {
	tx.held.drop(place{t, kind, name})
	n, err := tx.exec(ctx, "DELETE FROM documents WHERE tenant = $1 AND kind = $2 AND name = $3", t.String(), kind, name)
	if err == nil && n == 0 {
		return noDocument(noun, name)
	}
	return err
}

// own keeps the kinds of callers apart from the shelves' kinds.
func own(kind string) string { return "own:" + kind }

// Document gives the bytes that PutDocument wrote.
func (tx *Tx) Document(ctx context.Context, t arn.Tenant, kind, name string) ([]byte, error) {
	body, err := tx.document(ctx, t, own(kind), "The "+kind, name)
	if err != nil {
		return nil, err
	}
	return []byte(body), nil
}

// PutDocument writes text, whether or not there was some; JSON is text.
func (tx *Tx) PutDocument(ctx context.Context, t arn.Tenant, kind, name string, body []byte) error {
	return tx.putDocument(ctx, t, own(kind), name, string(body))
}

// DeleteDocument forgets a document.
func (tx *Tx) DeleteDocument(ctx context.Context, t arn.Tenant, kind, name string) error {
	return tx.deleteDocument(ctx, t, own(kind), "The "+kind, name)
}

// ListDocuments orders by name.
func (tx *Tx) ListDocuments(ctx context.Context, t arn.Tenant, kind string, p ref.Page) ([]string, [][]byte, string, error) {
	var (
		name, body string
		bodies     [][]byte
	)
	names, next, err := pages(ctx, tx, documentList(t, own(kind)), p, []any{&name, &body}, func() (string, mark, bool, error) {
		bodies = append(bodies, []byte(body))
		return name, mark{name}, true, nil
	})
	return names, bodies, next, err
}
