package server

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/uuid"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/audit"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/internal/seal"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/tenants"
	"github.com/slipway-iot/slipway/trail"
)

// adminFile holds the first admin's access key, sealed, so that `slipway env`
// can print it.
const adminFile = "admin-key.sealed"

// A Credential is an access key with its secret.
type Credential struct {
	ID     string `json:"accessKeyId"`
	Secret string `json:"secretAccessKey"`
}

// ReadAdmin gives the admin key of a data folder.
func ReadAdmin(data string, key *seal.Key) (*Credential, error) {
	sealed, err := os.ReadFile(filepath.Join(data, adminFile))
	if err != nil {
		return nil, fmt.Errorf("the data folder %s holds no admin key; has `slipway serve --data %s` run? %w", data, data, err)
	}
	plain, err := key.Unseal("admin key", sealed)
	if err != nil {
		return nil, fault.Wrap(fault.InvalidRequest, err, "The admin key in %s cannot be opened with this unlock key or passphrase.", data)
	}
	c := new(Credential)
	if err := json.Unmarshal(plain, c); err != nil {
		return nil, fault.Wrap(fault.InvalidRequest, err, "The admin key in %s is damaged.", data)
	}
	return c, nil
}

// ensureAdmin makes the default tenant and the first admin's key, or takes the
// one given. It is safe to repeat, whatever crashed before.
//
// A key made here is in its file before the store learns of it, so that there
// is never one whose secret nobody has; one given by flags is kept once the
// store has taken it.
func (s *Server) ensureAdmin(ctx context.Context) error {
	known, err := ReadAdmin(s.cfg.Data, s.seal)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	admin := known
	switch {
	case s.cfg.AdminKeyID != "":
		admin = &Credential{s.cfg.AdminKeyID, s.cfg.AdminSecret}
	case known == nil:
		if admin, err = s.drawAdmin(); err != nil {
			return err
		}
	}
	err = s.db.Update(trail.With(ctx, atStart()), func(ctx context.Context, tx store.Tx) error {
		if _, err := tenants.Ensure(ctx, tx, arn.Default, s.cfg.Now()); err != nil {
			return err
		}
		return s.takeKey(ctx, tx, admin)
	})
	if err != nil || known != nil && *known == *admin {
		return err
	}
	return s.keepAdmin(admin)
}

// atStart is on whose behalf a start makes the first account and its key. A
// key's name holds no space, so that nobody else is called like this.
func atStart() trail.Cause {
	return trail.Cause{
		Tenant: arn.Default, Who: audit.Who{Name: "slipway serve", Role: "server"},
		Action: "slipway:AddKey", RequestID: uuid.NewString(),
	}
}

func (s *Server) drawAdmin() (*Credential, error) {
	id, secret, err := tenants.Draw(s.cfg.Rand)
	if err != nil {
		return nil, err
	}
	c := &Credential{id, secret}
	return c, s.keepAdmin(c)
}

func (s *Server) keepAdmin(c *Credential) error {
	plain, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(s.cfg.Data, adminFile), s.seal.Seal("admin key", plain), 0o600)
}

// takeKey stores an admin key, unless it is there. A key by that name with
// another secret is not taken over.
func (s *Server) takeKey(ctx context.Context, tx store.Tx, c *Credential) error {
	there, err := tx.AccessKey(ctx, c.ID)
	if fault.Is(err, fault.Missing) {
		return tenants.AddAccessKey(ctx, tx, s.seal, &tenants.AccessKey{
			ID: c.ID, Account: arn.Default.Account, Role: tenants.Admin, Name: "first-admin", Created: s.cfg.Now(),
		}, c.Secret)
	}
	if err != nil {
		return err
	}
	if there.Disabled && s.cfg.AdminKeyID == c.ID {
		return fault.New(fault.InvalidRequest, "--admin-key-id %s was revoked and stays so; give an id that was never used.", c.ID)
	}
	secret, err := tenants.Secret(s.seal, there)
	if err == nil && subtle.ConstantTimeCompare([]byte(secret), []byte(c.Secret)) == 0 {
		err = fault.New(fault.InvalidRequest, "--admin-secret is not the secret of access key %s, which exists already; give that secret, or another --admin-key-id.", c.ID)
	}
	return err
}

// writeFile replaces a file whole or not at all.
func writeFile(path string, data []byte, mode os.FileMode) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if err := tmp.Chmod(mode); err != nil {
		return err
	}
	if _, err := tmp.Write(data); err != nil {
		return err
	}
	if err := tmp.Sync(); err != nil {
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
