package server

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/internal/seal"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/tenants"
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
	var c Credential
	return &c, json.Unmarshal(plain, &c)
}

// ensureAdmin makes the default tenant and the first admin's key, or takes the
// one given. It is safe to repeat, whatever crashed before.
func (s *Server) ensureAdmin(ctx context.Context) error {
	given := s.cfg.AdminKeyID != ""
	known, err := ReadAdmin(s.cfg.Data, s.seal)
	if fault.Is(err, fault.InvalidRequest) {
		return err
	}
	var made *Credential
	err = s.db.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		made = nil
		if _, err := tenants.Ensure(ctx, tx, arn.Default, s.cfg.Now()); err != nil {
			return err
		}
		switch {
		case given:
			made = &Credential{s.cfg.AdminKeyID, s.cfg.AdminSecret}
			return s.takeKey(ctx, tx, made)
		case known != nil:
			return s.takeKey(ctx, tx, known) // the file may have outlived the store, or the crash between
		}
		k, secret, err := tenants.NewAccessKey(ctx, tx, s.seal, arn.Default.Account, tenants.Admin, "first admin", s.cfg.Rand, s.cfg.Now())
		if err != nil {
			return err
		}
		made = &Credential{k.ID, secret}
		return nil
	})
	if err != nil || made == nil {
		return err
	}
	plain, err := json.Marshal(made)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(s.cfg.Data, adminFile), s.seal.Seal("admin key", plain), 0o600)
}

// takeKey stores an admin key that was chosen elsewhere, unless it is there.
func (s *Server) takeKey(ctx context.Context, tx store.Tx, c *Credential) error {
	_, err := tx.AccessKey(ctx, c.ID)
	if !fault.Is(err, fault.Missing) {
		return err
	}
	return tenants.AddAccessKey(ctx, tx, s.seal, &tenants.AccessKey{
		ID: c.ID, Account: arn.Default.Account, Role: tenants.Admin, Name: "first admin", Created: s.cfg.Now(),
	}, c.Secret)
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
