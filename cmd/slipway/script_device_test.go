package main

import (
	"archive/tar"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"

	"filippo.io/age"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/slipway-iot/slipway/client"
)

// connects is connects FOLDER THING: a device with the files of its folder, and
// nothing else, connects at once.
func connects(ts *testscript.TestScript, neg bool, args []string) {
	_, e := running(ts)
	dir := ts.MkAbs(args[0])
	var config struct {
		Endpoint, RootCA, Certificate, PrivateKey, ThingName, ClientID string
		Port                                                           int
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(filepath.Join(args[0], args[1]+configSuffix))), &config))
	if config.ThingName != args[1] || config.Port == 0 {
		ts.Fatalf("the configuration is %+v", config)
	}
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, config.Certificate), filepath.Join(dir, config.PrivateKey))
	ts.Check(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(ts.ReadFile(filepath.Join(args[0], config.RootCA))))
	conn, err := client.Dial(context.Background(), client.Options{
		Address: e.MQTT, ServerName: config.Endpoint, Roots: roots, Cert: cert, ClientID: config.ClientID,
	})
	if conn != nil {
		conn.Close()
	}
	if (err != nil) != neg {
		ts.Fatalf("%s: %v", args[1], err)
	}
}

// newRecipient is recipient NAME: an age key whose public half is in the
// variable NAME and whose private half is in the file NAME.key.
func newRecipient(ts *testscript.TestScript, _ bool, args []string) {
	id, err := age.GenerateX25519Identity()
	ts.Check(err)
	ts.Setenv(args[0], id.Recipient().String())
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".key"), []byte(id.String()), 0o600))
}

// unseal is unseal NAME ARCHIVE FOLDER: the recipient opens an archive.
func unseal(ts *testscript.TestScript, _ bool, args []string) {
	id, err := age.ParseX25519Identity(ts.ReadFile(args[0] + ".key"))
	ts.Check(err)
	f, err := os.Open(ts.MkAbs(args[1]))
	ts.Check(err)
	defer f.Close()
	plain, err := age.Decrypt(f, id)
	ts.Check(err)
	for r := tar.NewReader(plain); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		ts.Check(err)
		at := filepath.Join(ts.MkAbs(args[2]), h.Name)
		if h.Typeflag == tar.TypeDir {
			ts.Check(os.MkdirAll(at, h.FileInfo().Mode()))
			continue
		}
		text, err := io.ReadAll(r)
		ts.Check(err)
		ts.Check(os.WriteFile(at, text, h.FileInfo().Mode()))
	}
}
