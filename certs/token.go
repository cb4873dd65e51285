package certs

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
)

// TokenLife is how long an ownership token can be redeemed
// (provisioning-mqtt-api.md, section 4).
const TokenLife = time.Hour

// A Token is a certificate ownership token as the device holds it: 64
// characters of base64url, far below the 400 that small devices can take. The
// first 8 say when it was made, the others are 336 random bits.
type Token string

// tokenTime is how many bytes of a token hold its time, in milliseconds since
// 1970.
const tokenTime = 6

// NewToken makes a token.
func NewToken(rand io.Reader, now time.Time) (Token, error) {
	var b [48]byte
	ms := binary.BigEndian.AppendUint64(nil, uint64(now.UnixMilli()))
	copy(b[:], ms[len(ms)-tokenTime:])
	if _, err := io.ReadFull(rand, b[tokenTime:]); err != nil {
		return "", fmt.Errorf("certs: no randomness for a token: %w", err)
	}
	return Token(base64.RawURLEncoding.EncodeToString(b[:])), nil
}

// Digest is what the store keeps instead of the token: the token's time, then
// its SHA-256 as far as there is room. So the tokens of one moment lie together
// in the store, which is most of what a token costs there; the 208 bits that
// are left still are what nobody finds.
func (t Token) Digest() Digest {
	d := Digest(sha256.Sum256([]byte(t)))
	const chars = tokenTime / 3 * 4
	if len(t) >= chars {
		var at [tokenTime]byte
		if _, err := base64.RawURLEncoding.Decode(at[:], []byte(t[:chars])); err == nil {
			copy(d[:], at[:])
		}
	}
	return d
}

// Entrust stores a freshly signed certificate together with the digest of the
// token that buys it, and removes the intent that announced it.
func Entrust(ctx context.Context, s Store, c *Certificate, tok Token, now time.Time) error {
	if err := s.DeleteIntent(ctx, c.Tenant, c.Serial); err != nil {
		return err
	}
	if err := Add(ctx, s, c); err != nil {
		return err
	}
	return s.InsertToken(ctx, &TokenRecord{
		Tenant: c.Tenant, Digest: tok.Digest(), CertID: c.ID, Expires: now.Add(TokenLife),
	})
}

// Redeem finds what a token buys: its record and its certificate.
//
// A token buys one certificate, once, before it expires. When it was spent
// already on the very request that asks again, the record carries the answer
// that was given; spent on another request, or expired, or unknown to this
// tenant, it buys nothing (fault.BadToken). Redeem changes nothing.
func Redeem(ctx context.Context, s Store, t arn.Tenant, tok Token, request Digest, now time.Time) (*TokenRecord, *Certificate, error) {
	if len(tok) > 400 {
		return nil, nil, fault.New(fault.BadToken, "The certificate ownership token has %d characters; tokens made here have 64. Send the token exactly as the create answer gave it.", len(tok))
	}
	r, err := s.Token(ctx, t, tok.Digest())
	if fault.Is(err, fault.Missing) {
		return nil, nil, fault.Wrap(fault.BadToken, err, "The certificate ownership token is not known here: it was never issued in this account and region, or its hour is over. Create a new certificate and use the token that comes with it.")
	}
	if err != nil {
		return nil, nil, err
	}
	if !now.Before(r.Expires) {
		return nil, nil, fault.New(fault.BadToken, "The certificate ownership token expired at %s, one hour after it was issued. Create a new certificate and use the token that comes with it.", r.Expires.UTC().Format(time.RFC3339))
	}
	if r.Spent && r.Request != request {
		return nil, nil, fault.New(fault.BadToken, "The certificate ownership token was already used, with another template or other parameters. Create a new certificate and use the token that comes with it.")
	}
	c, err := s.Certificate(ctx, t, r.CertID)
	if fault.Is(err, fault.Missing) {
		return nil, nil, fault.Wrap(fault.BadToken, err, "The certificate of this ownership token was deleted. Create a new certificate and use the token that comes with it.")
	}
	if err != nil {
		return nil, nil, err
	}
	if c.Status == Revoked {
		return nil, nil, fault.New(fault.BadToken, "The certificate of this ownership token was revoked. Create a new certificate and use the token that comes with it.")
	}
	return r, c, nil
}

// Spend marks the token as used for the request and remembers the answer.
func Spend(ctx context.Context, s Store, r *TokenRecord, request Digest, answer []byte) error {
	spent := *r
	spent.Spent, spent.Request, spent.Answer = true, request, answer
	return s.SpendToken(ctx, &spent)
}

// Expire removes an expired token, and its certificate when nothing ever came
// of it: one that is still PENDING_ACTIVATION was never registered. One that
// somebody attached to a thing or a policy by hand stays
// (provisioning-mqtt-api.md, section 3.3). It says whether the certificate
// went.
func Expire(ctx context.Context, s Store, r *TokenRecord) (deleted bool, err error) {
	c, err := s.Certificate(ctx, r.Tenant, r.CertID)
	if err == nil && c.Status == PendingActivation {
		err = Delete(ctx, s, c, false)
		deleted = err == nil
	}
	if err != nil && !fault.Is(err, fault.Missing) && !fault.Is(err, fault.DeleteConflict) {
		return false, err
	}
	return deleted, s.DeleteToken(ctx, r.Tenant, r.Digest)
}

// ExpireClaim removes a temporary claim that has ended, with its certificate:
// it is hidden, so nobody else could. One that is attached to a thing stays,
// INACTIVE, and is no claim any more.
func ExpireClaim(ctx context.Context, s Store, r *ClaimRecord, now time.Time) error {
	c, err := s.Certificate(ctx, r.Tenant, r.CertID)
	if fault.Is(err, fault.Missing) {
		return s.DeleteClaim(ctx, r.Tenant, r.CertID)
	}
	if err != nil {
		return err
	}
	if c.Status == Active {
		if err := SetStatus(ctx, s, c, Inactive, now); err != nil {
			return err
		}
	}
	err = Delete(ctx, s, c, true)
	if fault.Is(err, fault.DeleteConflict) {
		return s.DeleteClaim(ctx, r.Tenant, r.CertID)
	}
	return err
}
