package provision

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/ca"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/internal/crash"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
)

// Device codes are how a device that has a network, and nothing else, gets its
// temporary claim, in the manner of RFC 8628: it makes its key, says what it is
// and shows a code; an installer compares and approves; the device fetches a
// claim that is good for its key alone.
//
// Codes are documents of the store, so that any node answers and a restart
// forgets none. Strangers make them: an account holds so many at a time.
const (
	codeDocument = "device-code"
	// CodeLife is how long an installer has.
	CodeLife = 10 * time.Minute
	// MaxCodes is how many codes an account holds at a time, whatever became of
	// them.
	MaxCodes = 500
	// codeAlphabet has no vowels, so that no code is a word, and nothing that
	// looks like something else (RFC 8628, section 6.1).
	codeAlphabet = "BCDFGHJKLMNPQRSTVWXZ"
	codeLength   = 8
	maxSaid      = 10
)

// A CodeState is where a device code stands.
type CodeState string

const (
	CodePending  CodeState = "pending"
	CodeApproved CodeState = "approved"
	CodeDenied   CodeState = "denied"
	CodeFetched  CodeState = "fetched"
)

// A DeviceCode is one device's wish for a claim.
type DeviceCode struct {
	Code     string            `json:"userCode"`    // as the device shows it: WDJB-MJHT
	Key      string            `json:"fingerprint"` // hex SHA-256 of its SubjectPublicKeyInfo
	Said     map[string]string `json:"said"`
	From     string            `json:"from"` // address
	Created  time.Time         `json:"created"`
	Expires  time.Time         `json:"expires"`
	State    CodeState         `json:"state"`
	Template string            `json:"templateName,omitempty"`
	By       string            `json:"by,omitempty"` // access key id of who decided
	Secret   string            `json:"secretDigest"` // hex SHA-256
	Claim    arn.CertID        `json:"claim,omitempty"`
}

// StartCode takes a device's wish. The device keeps deviceCode to itself and
// shows Code.
func (s *Service) StartCode(ctx context.Context, t arn.Tenant, key string, said map[string]string, from string) (d *DeviceCode, deviceCode string, err error) {
	if err := checkSaid(key, said); err != nil {
		return nil, "", err
	}
	user, err := drawCode(s.Rand)
	if err != nil {
		return nil, "", err
	}
	var secret [32]byte
	if _, err := io.ReadFull(s.Rand, secret[:]); err != nil {
		return nil, "", err
	}
	now := s.Now()
	d = &DeviceCode{Code: user, Key: key, Said: said, From: from, Created: now, Expires: now.Add(CodeLife), State: CodePending, Secret: digestOf(secret[:])}
	err = s.DB.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		if err := s.roomForCode(ctx, tx, t); err != nil {
			return err
		}
		if _, err := readCode(ctx, tx, t, user); !fault.Is(err, fault.Missing) {
			return fault.Wrap(fault.Unavailable, err, "The code that was drawn is taken; try again.")
		}
		return putCode(ctx, tx, t, d)
	})
	if err == nil {
		crash.Point("code.started")
	}
	return d, user + "." + base64.RawURLEncoding.EncodeToString(secret[:]), err
}

func checkSaid(key string, said map[string]string) error {
	if b, err := hex.DecodeString(key); err != nil || len(b) != sha256.Size || key != strings.ToLower(key) {
		return fault.New(fault.InvalidRequest, "fingerprint: expected the SHA-256 of the device's public key (its SubjectPublicKeyInfo), 64 hexadecimal digits in lower case.")
	}
	if len(said) > maxSaid {
		return fault.New(fault.InvalidRequest, "about has %d members; at most %d are taken.", len(said), maxSaid)
	}
	for name, value := range said {
		if !plainText(name, 64) || !plainText(value, 256) || name == "" {
			return fault.New(fault.InvalidRequest, "about: names have 1 to 64 and values up to 256 characters that can be printed.")
		}
	}
	return nil
}

func plainText(s string, most int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= most && strings.IndexFunc(s, func(r rune) bool {
		return !unicode.IsPrint(r) || unicode.Is(unicode.Bidi_Control, r)
	}) < 0
}

// drawCode draws evenly: bytes beyond the last multiple of twenty are passed
// over.
func drawCode(rand io.Reader) (string, error) {
	var out []byte
	var b [1]byte
	for len(out) < codeLength+1 {
		if len(out) == codeLength/2 {
			out = append(out, '-')
		}
		if _, err := io.ReadFull(rand, b[:]); err != nil {
			return "", fmt.Errorf("provision: no randomness for a code: %w", err)
		}
		if int(b[0]) < 256/len(codeAlphabet)*len(codeAlphabet) {
			out = append(out, codeAlphabet[int(b[0])%len(codeAlphabet)])
		}
	}
	return string(out), nil
}

// normalCode reads a code as people type it; empty if it is none.
func normalCode(text string) string {
	plain := strings.Map(func(r rune) rune {
		if r == '-' || r == ' ' {
			return -1
		}
		return unicode.ToUpper(r)
	}, text)
	if len(plain) != codeLength || strings.Trim(plain, codeAlphabet) != "" {
		return ""
	}
	return plain[:codeLength/2] + "-" + plain[codeLength/2:]
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func putCode(ctx context.Context, tx store.Tx, t arn.Tenant, d *DeviceCode) error {
	body, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return tx.PutDocument(ctx, t, codeDocument, d.Code, body)
}

func readCode(ctx context.Context, tx store.Tx, t arn.Tenant, code string) (*DeviceCode, error) {
	body, err := tx.Document(ctx, t, codeDocument, code)
	if err != nil {
		return nil, err
	}
	return parseCode(body)
}

func parseCode(body []byte) (*DeviceCode, error) {
	d := &DeviceCode{}
	if err := json.Unmarshal(body, d); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "A device code cannot be read.")
	}
	return d, nil
}

// roomForCode removes the codes that expired, and refuses one too many.
func (s *Service) roomForCode(ctx context.Context, tx store.Tx, t arn.Tenant) error {
	_, bodies, _, err := tx.ListDocuments(ctx, t, codeDocument, ref.Page{Limit: MaxCodes + 1})
	if err != nil {
		return err
	}
	alive := 0
	for _, body := range bodies {
		d, err := parseCode(body)
		if err != nil {
			return err
		}
		if s.Now().Before(d.Expires) {
			alive++
		} else if err := tx.DeleteDocument(ctx, t, codeDocument, d.Code); err != nil {
			return err
		}
	}
	if alive >= MaxCodes {
		return fault.New(fault.Unavailable, "Too many devices wait for an approval; try again in some minutes.")
	}
	return nil
}

// Codes lists the codes that did not expire, the oldest first.
func (s *Service) Codes(ctx context.Context, t arn.Tenant) (out []*DeviceCode, err error) {
	err = s.DB.View(ctx, func(ctx context.Context, tx store.Tx) error {
		out = nil
		_, bodies, _, err := tx.ListDocuments(ctx, t, codeDocument, ref.Page{Limit: MaxCodes + 1})
		if err != nil {
			return err
		}
		for _, body := range bodies {
			d, err := parseCode(body)
			if err != nil {
				return err
			}
			if s.Now().Before(d.Expires) {
				out = append(out, d)
			}
		}
		return nil
	})
	slices.SortFunc(out, func(a, b *DeviceCode) int { return a.Created.Compare(b.Created) })
	return out, err
}

// A Decision is an installer's, on one code.
type Decision struct {
	Code     string
	Key      string // the fingerprint that the installer compared
	Approve  bool
	Template string // of an approval
	By       string // access key id
}

// Decide approves or denies a code that waits.
func (s *Service) Decide(ctx context.Context, t arn.Tenant, n Decision) (d *DeviceCode, err error) {
	if n.Approve {
		if err := s.claimable(ctx, t, n.Template); err != nil {
			return nil, err
		}
	}
	code := normalCode(n.Code)
	err = s.DB.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		d, err = readCode(ctx, tx, t, code)
		switch {
		case code == "" || fault.Is(err, fault.Missing) || err == nil && !s.Now().Before(d.Expires):
			return fault.New(fault.Missing, "No device shows the code %s: it is mistyped, or it expired. `slipway device codes` lists those that wait.", arn.Clip(n.Code, 20))
		case err != nil:
			return err
		case d.State != CodePending:
			return fault.New(fault.Conflict, "Code %s is %s already, by access key %s.", d.Code, d.State, d.By)
		case n.Key != d.Key:
			return fault.New(fault.Conflict, "The key of the device that shows %s has another fingerprint than the one that was compared. Look at the device again.", d.Code)
		}
		d.State, d.By = CodeDenied, n.By
		if n.Approve {
			d.State, d.Template = CodeApproved, n.Template
		}
		return putCode(ctx, tx, t, d)
	})
	if err == nil {
		crash.Point("code.decided")
	}
	return d, err
}

// CodeOf finds the code that a device holds. What is unknown, expired or wrong
// is fault.Missing, all in the same words.
func (s *Service) CodeOf(ctx context.Context, t arn.Tenant, deviceCode string) (d *DeviceCode, err error) {
	err = s.DB.View(ctx, func(ctx context.Context, tx store.Tx) error {
		d, err = s.held(ctx, tx, t, deviceCode)
		return err
	})
	return d, err
}

func (s *Service) held(ctx context.Context, tx store.Tx, t arn.Tenant, deviceCode string) (*DeviceCode, error) {
	user, secret, _ := strings.Cut(deviceCode, ".")
	raw, bad := base64.RawURLEncoding.DecodeString(secret)
	d, err := readCode(ctx, tx, t, normalCode(user))
	if err != nil && !fault.Is(err, fault.Missing) {
		return nil, err
	}
	if err != nil || bad != nil || subtle.ConstantTimeCompare([]byte(digestOf(raw)), []byte(d.Secret)) == 0 || !s.Now().Before(d.Expires) {
		return nil, fault.New(fault.Missing, "The device code is unknown or expired; the device starts again and shows a new one.")
	}
	return d, nil
}

// FetchClaim gives the device of an approved code its claim: signed once, for
// the device's own key, and good for five minutes from then. A device that lost
// the answer and asks again gets the same one.
func (s *Service) FetchClaim(ctx context.Context, t arn.Tenant, deviceCode string, csr []byte) (c *certs.Certificate, d *DeviceCode, err error) {
	linted, err := s.CA.LintCSR(csr, ca.Rules{ForbiddenNames: s.Reserved})
	if err != nil {
		return nil, nil, err
	}
	if d, err = s.CodeOf(ctx, t, deviceCode); err != nil {
		return nil, nil, err
	}
	if digest := linted.KeyDigest(); hex.EncodeToString(digest[:]) != d.Key {
		return nil, d, fault.New(fault.Refused, "The CSR is for another key than the one whose fingerprint the installer compared.")
	}
	switch d.State {
	case CodeFetched:
		err = s.DB.View(ctx, func(ctx context.Context, tx store.Tx) error {
			c, err = tx.Certificate(ctx, t, d.Claim)
			return err
		})
		return c, d, err
	case CodeApproved:
	default:
		return nil, d, fault.New(fault.Refused, "Code %s is %s.", d.Code, d.State)
	}
	n := NewClaim{Template: d.Template, ValidFor: temporaryClaimLife, MadeBy: d.By}
	v := terms{Devices: 1, Key: d.Key, Said: d.Said, Code: d.Code}
	c, err = s.claimFor(ctx, t, n, linted, certs.FromUser, v, func(ctx context.Context, tx store.Tx, c *certs.Certificate) error {
		now, err := s.held(ctx, tx, t, deviceCode)
		if err != nil {
			return err
		}
		if now.State != CodeApproved {
			return fault.New(fault.Unavailable, "The claim of code %s is being fetched already; ask again.", d.Code)
		}
		now.State, now.Claim = CodeFetched, c.ID
		return putCode(ctx, tx, t, now)
	})
	return c, d, err
}
