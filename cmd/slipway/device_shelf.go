package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// A shelf is where the files of devices go.
type shelf interface {
	// key gives the device's key, or says that its files are all here.
	key(name, kind string, anew bool) (k *deviceKey, whole bool, err error)
	// put adds the files, the configuration last, and names them.
	put(name string, k *deviceKey, certificate string, to connectsTo, id string) ([]string, error)
	// drop removes what key and put left of a device that was not made; a key
	// of an earlier run stays.
	drop(name string, k *deviceKey) error
	// keeps says whether a key outlasts a run that is killed.
	keeps() bool
	// finish ends a run; it names what was made beyond single devices.
	finish() ([]string, error)
	// abandon ends a run that made nothing.
	abandon() error
}

func (c *deviceCreate) shelf() (shelf, error) {
	if c.Archive != "" {
		return newArchive(c.Archive, c.Recipient)
	}
	if err := os.MkdirAll(c.Out, 0o700); err != nil {
		return nil, notGiven("--out", c.Out, err)
	}
	return &folders{dir: c.Out}, nil
}

// The files of one device, after its name.
const (
	certSuffix   = ".cert.pem"
	keySuffix    = ".private.key"
	nextSuffix   = ".private.key.new" // until there is a certificate for it
	configSuffix = ".config.json"
)

// A deviceKey is a key that was made here, and its signing request.
type deviceKey struct {
	pem     string
	request string
	earlier bool // an earlier run made it
	put     bool // its device's files are written
	theirs  bool // another control plane made it, and it is not on disk yet
}

func newDeviceKey(kind string) (*deviceKey, error) {
	var key crypto.Signer
	var err error
	if kind == "rsa2048" {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return withRequest(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), key)
}

// withRequest signs the request. Its subject is empty: a device is found by its
// fingerprint.
func withRequest(text string, key crypto.Signer) (*deviceKey, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, err
	}
	return &deviceKey{pem: text, request: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))}, nil
}

func readDeviceKey(text []byte) (*deviceKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("it is no key in PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("its key cannot sign")
	}
	return withRequest(string(text), signer)
}

// configuration is what a program on the device needs to connect. The files
// stand beside it.
func configuration(name string, to connectsTo, id string) ([]byte, error) {
	port, _ := strconv.Atoi(to.Port)
	root := ""
	if to.RootCA != "" {
		root = rootCAFile
	}
	b, err := json.MarshalIndent(struct {
		Endpoint      string `json:"endpoint,omitempty"`
		Port          int    `json:"port,omitempty"`
		RootCA        string `json:"rootCa,omitempty"`
		Certificate   string `json:"certificate"`
		PrivateKey    string `json:"privateKey"`
		ThingName     string `json:"thingName"`
		ClientID      string `json:"clientId"`
		CertificateID string `json:"certificateId"`
	}{to.Host, port, root, name + certSuffix, name + keySuffix, name, name, id}, "", "  ")
	return append(b, '\n'), err
}

// A deviceFile is one of a device's files, by its name in the device's folder.
type deviceFile struct {
	name string
	text []byte
}

// deviceFiles are those besides the key, the configuration last: where it is,
// all are.
func deviceFiles(name, certificate string, to connectsTo, id string) ([]deviceFile, error) {
	config, err := configuration(name, to, id)
	out := []deviceFile{{name + certSuffix, []byte(certificate)}}
	if to.RootCA != "" {
		out = append(out, deviceFile{rootCAFile, []byte(to.RootCA)})
	}
	return append(out, deviceFile{name + configSuffix, config}), err
}

// folders keep each device in a folder of its own, 0700, with files of 0600. The
// key is on disk before the server hears of it, so that a run which was killed
// is continued by the next one with the same key.
type folders struct{ dir string }

func (f *folders) folder(name string) string       { return filepath.Join(f.dir, name) }
func (f *folders) path(name, suffix string) string { return filepath.Join(f.dir, name, name+suffix) }

func (f *folders) complete(name string) bool {
	_, err := os.Lstat(f.path(name, configSuffix))
	return err == nil
}

func (f *folders) key(name, kind string, anew bool) (*deviceKey, bool, error) {
	if !anew && f.complete(name) {
		return nil, true, nil
	}
	if err := os.Mkdir(f.folder(name), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, false, err
	}
	next := f.path(name, nextSuffix)
	text, err := os.ReadFile(next)
	if err == nil {
		k, err := readDeviceKey(text)
		if err != nil {
			return nil, false, fmt.Errorf("%s cannot be used: %w", next, err)
		}
		k.earlier = true
		return k, false, nil
	}
	k, err := newDeviceKey(kind)
	if err != nil {
		return nil, false, err
	}
	return k, false, writeWhole(next, []byte(k.pem), 0o600)
}

func (f *folders) put(name string, k *deviceKey, certificate string, to connectsTo, id string) ([]string, error) {
	if err := os.Chmod(f.folder(name), 0o700); err != nil {
		return nil, err
	}
	if err := os.Remove(f.path(name, configSuffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	files, err := deviceFiles(name, certificate, to, id)
	if err != nil {
		return nil, err
	}
	k.put = true
	if k.theirs {
		if err := writeWhole(f.path(name, nextSuffix), []byte(k.pem), 0o600); err != nil {
			return nil, err
		}
	}
	names := []string{f.path(name, keySuffix)}
	if err := os.Rename(f.path(name, nextSuffix), names[0]); err != nil {
		return nil, err
	}
	for _, file := range files {
		path := filepath.Join(f.folder(name), file.name)
		if err := place(path, file.text, 0o600); err != nil {
			return nil, err
		}
		names = append(names, path)
	}
	return names, syncFolder(f.folder(name))
}

func (f *folders) drop(name string, k *deviceKey) error {
	if k.earlier && !k.put {
		return nil
	}
	gone := []string{f.path(name, nextSuffix)}
	if k.put {
		gone = append(gone, f.path(name, configSuffix), f.path(name, certSuffix), f.path(name, keySuffix), filepath.Join(f.folder(name), rootCAFile))
	}
	for _, path := range gone {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	_ = os.Remove(f.folder(name)) // unless something else is in it
	return nil
}

func (*folders) keeps() bool               { return true }
func (*folders) finish() ([]string, error) { return nil, nil }
func (*folders) abandon() error            { return nil }
