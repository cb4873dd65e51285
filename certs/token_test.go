package certs_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"regexp"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/store/sqlite"
)

func TestATokenIsSmallPlainAndNew(t *testing.T) {
	seen := map[certs.Token]bool{}
	for range 100 {
		tok, err := certs.NewToken(rand.Reader, noon)
		if err != nil || !regexp.MustCompile(`^[A-Za-z0-9_-]{64}$`).MatchString(string(tok)) || seen[tok] {
			t.Fatalf("got %q, %v", tok, err)
		}
		seen[tok] = true
	}
	if tok, err := certs.NewToken(bytes.NewReader(make([]byte, 41)), noon); tok != "" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("out of too little randomness came %q, %v", tok, err)
	}
}

// entrusted stores a certificate with its token.
func entrusted(t *testing.T, db store.DB, n int, tok certs.Token) *certs.Certificate {
	t.Helper()
	c := certificate(n, certs.PendingActivation)
	err := db.Update(context.Background(), func(ctx context.Context, tx store.Tx) error {
		if err := tx.InsertIntent(ctx, &certs.Intent{Tenant: c.Tenant, Serial: c.Serial, Created: noon}); err != nil {
			return err
		}
		return certs.Entrust(ctx, tx, c, tok, noon)
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAnIntentIsNeededToEntrust(t *testing.T) {
	db := open(t)
	c := certificate(1, certs.PendingActivation)
	err := db.Update(context.Background(), func(ctx context.Context, tx store.Tx) error {
		return certs.Entrust(ctx, tx, c, "token", noon)
	})
	if !fault.Is(err, fault.Missing) {
		t.Errorf("a certificate that nobody announced gave %v", err)
	}
	_ = db.View(context.Background(), func(ctx context.Context, tx store.Tx) error {
		if _, err := tx.Certificate(ctx, c.Tenant, c.ID); !fault.Is(err, fault.Missing) {
			t.Errorf("and was stored: %v", err)
		}
		return nil
	})
}

func TestATokenIsSpentOnOneRequest(t *testing.T) {
	db := open(t)
	c := entrusted(t, db, 1, "token")
	mine, theirs := certs.Digest{1}, certs.Digest{2}
	err := db.Update(context.Background(), func(ctx context.Context, tx store.Tx) error {
		redeem := func(request certs.Digest, now time.Time) (*certs.TokenRecord, error) {
			r, got, err := certs.Redeem(ctx, tx, arn.Default, "token", request, now)
			if err == nil && got.ID != c.ID {
				t.Errorf("it buys %s", got.ID)
			}
			return r, err
		}
		r, err := redeem(mine, noon)
		if err != nil || r.Spent {
			t.Fatalf("got %+v, %v", r, err)
		}
		if err := certs.Spend(ctx, tx, r, mine, []byte("answer")); err != nil {
			return err
		}
		if r, err = redeem(mine, noon.Add(time.Hour-1)); err != nil || !r.Spent || string(r.Answer) != "answer" {
			t.Errorf("asked again: %+v, %v", r, err)
		}
		for say, ask := range map[string]func() error{
			"another request": func() error { _, err := redeem(theirs, noon); return err },
			"too late":        func() error { _, err := redeem(mine, noon.Add(time.Hour)); return err },
			"unknown": func() error {
				_, _, err := certs.Redeem(ctx, tx, arn.Default, "token ", mine, noon)
				return err
			},
			"another region": func() error {
				_, _, err := certs.Redeem(ctx, tx, arn.Tenant{Account: arn.Default.Account, Region: "eu-west-1"}, "token", mine, noon)
				return err
			},
		} {
			if err := ask(); !fault.Is(err, fault.BadToken) {
				t.Errorf("%s: %v", say, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// FuzzRedeem holds every token that a device may send to: no panic, and the one
// kind of refusal that tells it to begin anew.
func FuzzRedeem(f *testing.F) {
	for _, seed := range []string{"token", "", "token\x00", "\xff\xfe", "' OR 1=1 --", string(bytes.Repeat([]byte("A"), 401))} {
		f.Add(seed)
	}
	db, err := sqlite.Open(context.Background(), sqlite.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { db.Close() })
	f.Fuzz(func(t *testing.T, token string) {
		_ = db.View(context.Background(), func(ctx context.Context, tx store.Tx) error {
			if _, _, err := certs.Redeem(ctx, tx, arn.Default, certs.Token(token), certs.Digest{}, noon); !fault.Is(err, fault.BadToken) {
				t.Errorf("%q gave %v", token, err)
			}
			return nil
		})
	})
}
