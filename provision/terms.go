package provision

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/ca"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/store"
)

// MaxPerClaim is how many devices one temporary claim may register, and does
// unless its maker wants fewer. AWS documents no bound; in five minutes no
// installer hands a claim to more.
const MaxPerClaim = 1000

// termsDocument is the kind of document that holds the terms of a temporary
// claim, under its certificate's id.
const termsDocument = "claim-terms"

// terms are what a temporary claim is limited to besides its template and its
// time, and how far it was used.
type terms struct {
	Devices int               `json:"devices"`
	Used    int               `json:"used"`
	Key     string            `json:"key,omitempty"`  // hex SHA-256 of the only key that it buys a certificate for
	Said    map[string]string `json:"said,omitempty"` // what the device said of itself when it was approved
	Code    string            `json:"code,omitempty"` // by which it was approved
}

func keepTerms(ctx context.Context, tx store.Tx, t arn.Tenant, id arn.CertID, v terms) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return tx.PutDocument(ctx, t, termsDocument, string(id), body)
}

// readTerms gives the terms of a temporary claim; one that has none written is
// held to the bound for all.
func readTerms(ctx context.Context, tx store.Tx, c *certs.ClaimRecord) (terms, error) {
	v := terms{Devices: MaxPerClaim}
	body, err := tx.Document(ctx, c.Tenant, termsDocument, string(c.CertID))
	if fault.Is(err, fault.Missing) {
		return v, nil
	}
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal(body, &v); err != nil {
		return v, fault.Wrap(fault.Internal, err, "The terms of claim %s cannot be read.", c.CertID)
	}
	return v, nil
}

func dropTerms(ctx context.Context, tx store.Tx, c *certs.ClaimRecord) error {
	err := tx.DeleteDocument(ctx, c.Tenant, termsDocument, string(c.CertID))
	if fault.Is(err, fault.Missing) {
		return nil
	}
	return err
}

// withinTerms refuses what the terms of a temporary claim do not allow, and
// says in the timeline whose claim it is. The key is nil where the server would
// make it.
func (s *Service) withinTerms(ctx context.Context, who Caller, l *ca.Linted) error {
	if who.Claim == nil || !who.Claim.Trusted {
		return nil
	}
	var v terms
	err := s.DB.Peek(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		v, err = readTerms(ctx, tx, who.Claim)
		return err
	})
	if err != nil {
		return err
	}
	by := "made by"
	if v.Code != "" {
		by = "approved as " + v.Code + " by"
	}
	who.step("claim", fmt.Sprintf("Temporary claim for template %s, %s access key %s, good until %s; %d of %d devices so far.",
		who.Claim.Template, by, who.Claim.MadeBy, who.NotAfter.UTC().Format(time.RFC3339), v.Used, v.Devices))
	if v.Used >= v.Devices {
		return usedUp(v)
	}
	if v.Key == "" {
		return nil
	}
	if l == nil {
		return fault.New(fault.Refused, "Claim not authorised: it was approved for the device's own key, so the device sends a CSR for that key and asks for no other.")
	}
	if digest := l.KeyDigest(); hex.EncodeToString(digest[:]) != v.Key {
		return fault.New(fault.Refused, "Claim not authorised: it was approved for another key than that of this CSR. The device uses the key whose fingerprint the installer compared.")
	}
	return nil
}

func usedUp(v terms) error {
	return fault.New(fault.Refused, "Claim not authorised: it is good for %d and has registered as many. Ask the installer for a new claim.", v.Devices)
}

// count notes one more device in the transaction that registers it, and refuses
// the one too many, or one that turned out other than it said.
func (t *try) count(ctx context.Context, tx store.Tx) error {
	c := t.who.Claim
	if c == nil || !c.Trusted {
		return nil
	}
	v, err := readTerms(ctx, tx, c)
	if err != nil {
		return err
	}
	if v.Used >= v.Devices {
		return usedUp(v)
	}
	for name, said := range v.Said {
		if got, ok := t.req.Parameters[name]; ok && got != said {
			return fault.New(fault.Refused, "Claim not authorised: the installer approved a device that said %s %q, and this one says %q.", name, said, got)
		}
	}
	v.Used++
	return keepTerms(ctx, tx, c.Tenant, c.CertID, v)
}
