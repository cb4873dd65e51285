package agent

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Names inside the device's folder.
const (
	StateFile  = "state.json"
	CertFile   = "device.cert.pem"
	KeyFile    = "device.private.key"
	RootFile   = "root-ca.pem"
	ConfigFile = "config.json"
)

// writeFile puts content under its name whole or not at all: a temporary file
// in the same folder, fsync, rename, fsync of the folder. A power cut leaves
// the old content or the new. The temporary name is fixed, so that what a
// killed run left behind is overwritten by the next one.
func writeFile(dir, name string, content []byte, mode fs.FileMode) error {
	temporary := filepath.Join(dir, "."+name+".tmp")
	if err := writeAndSync(temporary, content, mode); err != nil {
		return errors.Join(err, removeFile(temporary))
	}
	if err := os.Rename(temporary, filepath.Join(dir, name)); err != nil {
		return errors.Join(err, removeFile(temporary))
	}
	return syncDir(dir)
}

func writeAndSync(path string, content []byte, mode fs.FileMode) (err error) {
	// A leftover keeps its own mode when it is opened, so it goes first.
	if err := removeFile(path); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(content); err != nil {
		return err
	}
	return f.Sync()
}

// removeFile removes a file that may be gone already.
func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func syncDir(dir string) (err error) {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	return d.Sync()
}

// identityConfig is config.json: what a program on the device needs to connect.
type identityConfig struct {
	Endpoint            string            `json:"endpoint"`
	ThingName           string            `json:"thingName,omitempty"`
	CertificateID       string            `json:"certificateId"`
	Template            string            `json:"template"`
	DeviceConfiguration map[string]string `json:"deviceConfiguration"`
}

// install writes the identity to the device's folder. It may be done again
// with the same result; until it is, an earlier identity there stays whole
// except for the moment between two renames, and the state still holds
// everything.
func (r *run) install() error {
	config, err := json.MarshalIndent(identityConfig{
		Endpoint:            r.Config.endpoint(),
		ThingName:           r.state.ThingName,
		CertificateID:       r.state.CertificateID,
		Template:            r.state.Template,
		DeviceConfiguration: r.state.DeviceConfiguration,
	}, "", "  ")
	if err != nil {
		return err
	}
	files := []struct {
		name    string
		content []byte
		mode    fs.FileMode
	}{
		{KeyFile, []byte(r.state.PrivateKey), 0o600},
		{CertFile, []byte(r.state.CertificatePEM), 0o644},
		{ConfigFile, append(config, '\n'), 0o644},
	}
	for _, f := range files {
		if err := writeFile(r.Config.Dir, f.name, f.content, f.mode); err != nil {
			return err
		}
	}
	return r.installRoot()
}

// installRoot keeps the roots beside the identity, unless they are the
// system's.
func (r *run) installRoot() error {
	if r.Config.RootCA == "" {
		return nil
	}
	roots, err := readFile("root-ca", r.Config.RootCA)
	if err != nil {
		return err
	}
	return writeFile(r.Config.Dir, RootFile, roots, 0o644)
}

// deleteClaim removes the claim's files for good.
func (r *run) deleteClaim() error {
	for _, path := range []string{r.Config.ClaimKey, r.Config.ClaimCert} {
		if err := removeFile(path); err != nil {
			return err
		}
		if err := syncDir(filepath.Dir(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
