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
	"github.com/slipway-iot/slipway/ref"
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

// The bounds of what AddAccessKey takes.
const (
	minSecret, maxSecret = 16, 1024
	maxTemplates         = 100
)

// Draw makes the id and the secret of a new key from rand.
func Draw(rand io.Reader) (id, secret string, err error) {
	raw := make([]byte, 10+30)
	if _, err := io.ReadFull(rand, raw); err != nil {
		return "", "", fault.Wrap(fault.Internal, err, "No access key could be drawn.")
	}
	return "AKIA" + base32.StdEncoding.EncodeToString(raw[:10]), base64.StdEncoding.EncodeToString(raw[10:]), nil
}

// AddAccessKey stores a key whose id and secret were chosen elsewhere.
func AddAccessKey(ctx context.Context, s Store, box Sealer, k *AccessKey, secret string) error {
	if !keyIDForm.MatchString(k.ID) {
		return fault.New(fault.InvalidRequest, "Access key id %q: expected 12 to 128 letters and digits.", arn.Clip(k.ID, 40))
	}
	if len(secret) < minSecret {
		return fault.New(fault.InvalidRequest, "The secret of access key %s is shorter than %d characters.", k.ID, minSecret)
	}
	if len(secret) > maxSecret {
		return fault.New(fault.InvalidRequest, "The secret of access key %s is longer than %d characters.", k.ID, maxSecret)
	}
	if err := (arn.Tenant{Account: k.Account, Region: arn.Default.Region}).Check(); err != nil {
		return err
	}
	if _, err := ParseRole(string(k.Role)); err != nil {
		return err
	}
	if err := checkScope(k); err != nil {
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

var (
	nameForm     = regexp.MustCompile(`^[\w+=,.@-]{0,64}$`) // as IAM's user names
	templateForm = regexp.MustCompile(`^[0-9A-Za-z_-]{1,36}$`)
)

// checkScope says what is wrong with the name of a key or with the templates
// that it is for.
func checkScope(k *AccessKey) error {
	if !nameForm.MatchString(k.Name) {
		return fault.New(fault.InvalidRequest, "Key name %q: expected up to 64 of letters, digits and _+=,.@-", arn.Clip(k.Name, 80))
	}
	if k.Role == Installer && len(k.Templates) == 0 {
		return fault.New(fault.InvalidRequest, "A key of role %s names the templates that it may hand out claims for.", Installer)
	}
	if k.Role != Installer && len(k.Templates) > 0 {
		return fault.New(fault.InvalidRequest, "A key of role %s is not for certain templates; only one of role %s is.", k.Role, Installer)
	}
	if len(k.Templates) > maxTemplates {
		return fault.New(fault.InvalidRequest, "The key names %d templates; the limit is %d.", len(k.Templates), maxTemplates)
	}
	for _, name := range k.Templates {
		if !templateForm.MatchString(name) {
			return fault.New(fault.InvalidRequest, "Template name %q: expected 1 to 36 of letters, digits, underscore and hyphen.", arn.Clip(name, 60))
		}
	}
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

// KeepsAdmin refuses to part with the last key that may make others in its
// account.
func KeepsAdmin(ctx context.Context, s Store, k *AccessKey) error {
	if k.Role != Admin || k.Disabled {
		return nil
	}
	for p := ref.All; ; {
		keys, next, err := s.ListAccessKeys(ctx, k.Account, p)
		if err != nil {
			return err
		}
		for _, other := range keys {
			if other.ID != k.ID && other.Role == Admin && !other.Disabled {
				return nil
			}
		}
		if p.After = next; next == "" {
			return fault.New(fault.DeleteConflict, "Access key %s is the last admin key of account %s: nobody in the account could make another. Add one first, or revoke it by force.", k.ID, k.Account)
		}
	}
}

func keyChanged(s Store, k *AccessKey, now time.Time) {
	e := event.Event{Kind: event.KeyChanged, Tenant: arn.Tenant{Account: k.Account}, ID: k.ID, At: now}
	if k.Disabled {
		e.Detail = "disabled"
	}
	s.Emit(e)
}
