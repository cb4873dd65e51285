package tenants

import (
	"context"
	"encoding/base32"
	"encoding/base64"
	"io"
	"regexp"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/fault"
)

// A Sealer keeps secrets that must be recoverable. What it seals in one
// context cannot be unsealed in another.
type Sealer interface {
	Seal(context string, plain []byte) []byte
	Unseal(context string, sealed []byte) ([]byte, error)
}

// sealContext ties a sealed secret to its key, so that a row moved to another
// key id opens nothing.
func sealContext(id string) string { return "access-key/" + id }

var keyIDForm = regexp.MustCompile(`^[A-Za-z0-9]{12,128}$`)

// minSecret is the shortest secret that AddAccessKey takes.
const minSecret = 16

// Draw makes the id and the secret of a new key from rand.
func Draw(rand io.Reader) (id, secret string, err error) {
	raw := make([]byte, 10+30)
	if _, err := io.ReadFull(rand, raw); err != nil {
		return "", "", fault.Wrap(fault.Internal, err, "No access key could be drawn.")
	}
	return "AKIA" + base32.StdEncoding.EncodeToString(raw[:10]), base64.StdEncoding.EncodeToString(raw[10:]), nil
}

// NewAccessKey makes a key of the account with a secret from rand, which is
// given back this once and stored only sealed.
func NewAccessKey(ctx context.Context, s Store, box Sealer, account string, role Role, name string, rand io.Reader, now time.Time) (*AccessKey, string, error) {
	id, secret, err := Draw(rand)
	if err != nil {
		return nil, "", err
	}
	k := &AccessKey{ID: id, Account: account, Role: role, Name: name, Created: now}
	return k, secret, AddAccessKey(ctx, s, box, k, secret)
}

// AddAccessKey stores a key whose id and secret were chosen elsewhere.
func AddAccessKey(ctx context.Context, s Store, box Sealer, k *AccessKey, secret string) error {
	if !keyIDForm.MatchString(k.ID) {
		return fault.New(fault.InvalidRequest, "Access key id %q: expected 12 to 128 letters and digits.", arn.Clip(k.ID, 40))
	}
	if len(secret) < minSecret {
		return fault.New(fault.InvalidRequest, "The secret of access key %s is shorter than %d characters.", k.ID, minSecret)
	}
	if err := (arn.Tenant{Account: k.Account, Region: arn.Default.Region}).Check(); err != nil {
		return err
	}
	if _, err := ParseRole(string(k.Role)); err != nil {
		return err
	}
	k.Sealed = box.Seal(sealContext(k.ID), []byte(secret))
	if err := s.InsertAccessKey(ctx, k); err != nil {
		if fault.Is(err, fault.Exists) {
			return fault.Wrap(fault.Exists, err, "Access key %s exists already.", k.ID)
		}
		return err
	}
	keyChanged(s, k, k.Created)
	return nil
}

// Secret gives the secret of a key.
func Secret(box Sealer, k *AccessKey) (string, error) {
	secret, err := box.Unseal(sealContext(k.ID), k.Sealed)
	if err != nil {
		return "", fault.Wrap(fault.Internal, err, "The secret of access key %s cannot be unsealed.", k.ID)
	}
	return string(secret), nil
}

// DisableAccessKey ends what a key may do; one that is disabled stays so.
func DisableAccessKey(ctx context.Context, s Store, id string, now time.Time) error {
	k, err := s.AccessKey(ctx, id)
	if fault.Is(err, fault.Missing) {
		return fault.Wrap(fault.Missing, err, "Access key %s does not exist.", arn.Clip(id, 140))
	}
	if err != nil || k.Disabled {
		return err
	}
	k.Disabled = true
	if err := s.UpdateAccessKey(ctx, k); err != nil {
		return err
	}
	keyChanged(s, k, now)
	return nil
}

func keyChanged(s Store, k *AccessKey, now time.Time) {
	s.Emit(event.Event{Kind: event.KeyChanged, Tenant: arn.Tenant{Account: k.Account}, ID: k.ID, At: now})
}
