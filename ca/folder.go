package ca

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/internal/seal"
)

// The two hierarchies, each a folder of its own with NAME.pem and NAME.key.
const (
	serverFolder = "server"
	deviceFolder = "device"
	unfinished   = ".new-" // begins the name of a folder that is being written
	keyBlock     = "SLIPWAY SEALED PRIVATE KEY"
)

// A folder is the CA's directory. It knows files and sealing, nothing else.
type folder struct {
	path string
	seal *seal.Key
}

// complete makes the hierarchy called name unless it is there.
//
// It is written to a folder of another name, forced to disk and then renamed,
// so a kill at any moment leaves all of it or none. A rename never replaces a
// folder with files in it: of two processes the second finds the hierarchy of
// the first, and uses that.
func (d folder) complete(name string, build func() ([]made, error)) error {
	final := filepath.Join(d.path, name)
	if holdsFiles(final) {
		return nil
	}
	err := d.create(final, name, build)
	if err == nil || holdsFiles(final) {
		return nil
	}
	return fault.Wrap(fault.Internal, err, "The %s hierarchy of the certificate authority cannot be made.", name)
}

func (d folder) create(final, name string, build func() ([]made, error)) error {
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(d.path, unfinished)
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	all, err := build()
	if err != nil {
		return err
	}
	for _, m := range all {
		if err := d.write(tmp, name, m); err != nil {
			return err
		}
	}
	if err := syncDir(tmp); err != nil {
		return err
	}
	_ = os.Remove(final) // an empty folder makes room; one with files stays
	return os.Rename(tmp, final)
}

// sync forces the names of the hierarchies, and of the folder itself, to disk.
// It runs at every start: the process that renamed them may have been killed
// before it could.
func (d folder) sync() error {
	err := syncDir(d.path)
	if err == nil {
		err = syncDir(filepath.Dir(d.path))
	}
	if err != nil {
		return fault.Wrap(fault.Internal, err, "The certificate authority's folder cannot be forced to disk.")
	}
	return nil
}

// write stores one certificate and its sealed key in dir.
func (d folder) write(dir, hierarchy string, m made) error {
	pkcs8, err := x509.MarshalPKCS8PrivateKey(m.key)
	if err != nil {
		return err
	}
	sealed := d.seal.Seal(keyContext(hierarchy, m.name), pkcs8)
	key := pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: sealed})
	if err := writeSynced(filepath.Join(dir, m.name+".key"), key, 0o600); err != nil {
		return err
	}
	return writeSynced(filepath.Join(dir, m.name+".pem"), encodeCert(m.der), 0o644)
}

// keyContext binds a sealed key to its place: a file that was moved does not
// open there.
func keyContext(hierarchy, name string) string { return "ca/" + hierarchy + "/" + name }

// certificate reads HIERARCHY/NAME.pem. Everything in a hierarchy is limited
// to the one use that it is for.
func (d folder) certificate(hierarchy, name string) (*x509.Certificate, error) {
	file := hierarchy + "/" + name + ".pem"
	block, err := d.block(file, "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(block)
	if err != nil {
		return nil, damaged(err, "%s is not a certificate", file)
	}
	if !cert.IsCA || cert.KeyUsage&x509.KeyUsageCertSign == 0 {
		return nil, damaged(nil, "%s is not the certificate of a certificate authority", file)
	}
	if use := purpose(hierarchy); !slices.Equal(cert.ExtKeyUsage, []x509.ExtKeyUsage{use}) || len(cert.UnknownExtKeyUsage) != 0 {
		return nil, damaged(nil, "%s is not limited to the hierarchy's own extended key usage", file)
	}
	return cert, nil
}

// authority reads a certificate with its key.
func (d folder) authority(hierarchy, name string) (authority, error) {
	cert, err := d.certificate(hierarchy, name)
	if err != nil {
		return authority{}, err
	}
	file := hierarchy + "/" + name + ".key"
	sealed, err := d.block(file, keyBlock)
	if err != nil {
		return authority{}, err
	}
	pkcs8, err := d.seal.Unseal(keyContext(hierarchy, name), sealed)
	if err != nil {
		return authority{}, damaged(err, "%s does not open with this data folder's key", file)
	}
	key, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		return authority{}, damaged(err, "%s holds no private key", file)
	}
	signer, ok := key.(crypto.Signer)
	if !ok || !samePublic(cert, signer) {
		return authority{}, damaged(nil, "%s does not belong to %s.pem", file, name)
	}
	return authority{cert, signer}, nil
}

func samePublic(cert *x509.Certificate, signer crypto.Signer) bool {
	spki, err := x509.MarshalPKIXPublicKey(signer.Public())
	return err == nil && bytes.Equal(spki, cert.RawSubjectPublicKeyInfo)
}

// block reads a file that is one PEM block of the given type.
func (d folder) block(file, kind string) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(d.path, filepath.FromSlash(file)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, damaged(err, "%s is missing", file)
	}
	if err != nil {
		return nil, damaged(err, "%s cannot be read", file)
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != kind {
		return nil, damaged(nil, "%s is not a PEM file of type %s", file, kind)
	}
	return block.Bytes, nil
}

// damaged is the error for a CA folder that is not what this package wrote.
func damaged(err error, format string, args ...any) error {
	return fault.Wrap(fault.Internal, err, "The certificate authority's folder is damaged: "+format+"; restore it from a backup.", args...)
}

// sweep removes what an interrupted creation left. It runs when both
// hierarchies are there, so nothing that it removes can still be of use.
// Failure is harmless, and tried again at the next start.
func (d folder) sweep() {
	entries, _ := os.ReadDir(d.path)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), unfinished) {
			_ = os.RemoveAll(filepath.Join(d.path, e.Name()))
		}
	}
}

// holdsFiles says whether there is a folder with anything in it. One that
// cannot be read counts as full: it must not be replaced.
func holdsFiles(path string) bool {
	entries, err := os.ReadDir(path)
	return len(entries) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist)
}

// writeSynced makes a new file and forces its bytes to disk.
func writeSynced(path string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// syncDir forces the names in dir to disk.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
