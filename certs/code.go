package certs

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
)

// codeDocument is the kind of document that holds an account's registration
// code, under the name "code".
const codeDocument, codeName = "registration-code", "code"

// CodeStore is where a registration code is kept.
type CodeStore interface {
	Document(ctx context.Context, t arn.Tenant, kind, name string) ([]byte, error)
	PutDocument(ctx context.Context, t arn.Tenant, kind, name string, body []byte) error
	DeleteDocument(ctx context.Context, t arn.Tenant, kind, name string) error
}

// NewCode draws a registration code: 64 hexadecimal digits.
func NewCode(rand io.Reader) (string, error) {
	var b [32]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return "", fmt.Errorf("certs: no randomness for a registration code: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}

// Code gives the registration code of t, fault.Missing if it has none. Whoever
// registers a CA certificate shows with it that they hold the CA's key
// (methods.md, section 3).
func Code(ctx context.Context, s CodeStore, t arn.Tenant) (string, error) {
	body, err := s.Document(ctx, t, codeDocument, codeName)
	if err != nil {
		return "", err
	}
	var code string
	if err := json.Unmarshal(body, &code); err != nil {
		return "", fault.Wrap(fault.Internal, err, "The registration code of account %s cannot be read.", t.Account)
	}
	return code, nil
}

// EnsureCode gives the registration code of t, which is fresh if it had none.
func EnsureCode(ctx context.Context, s CodeStore, t arn.Tenant, fresh string) (string, error) {
	code, err := Code(ctx, s, t)
	if !fault.Is(err, fault.Missing) {
		return code, err
	}
	body, err := json.Marshal(fresh)
	if err != nil {
		return "", err
	}
	return fresh, s.PutDocument(ctx, t, codeDocument, codeName, body)
}

// DropCode forgets the registration code of t; certificates that carry it
// prove nothing from then on.
func DropCode(ctx context.Context, s CodeStore, t arn.Tenant) error {
	err := s.DeleteDocument(ctx, t, codeDocument, codeName)
	if fault.Is(err, fault.Missing) {
		return fault.Wrap(fault.Missing, err, "Account %s has no registration code in %s.", t.Account, t.Region)
	}
	return err
}
