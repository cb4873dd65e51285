package handover

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"strings"
	"testing"
	"time"
)

func claim(t testing.TB) Claim {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "claim"}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return Claim{
		Version: 1, Endpoint: "iot.example.com:8883", Template: "Sensors", RootCA: "root\n", Expiration: 1767225600.5,
		Certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})),
		PrivateKey:  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	}
}

// An endless is a line that never ends, as a serial one.
func endless(text string) io.Reader {
	r, w := io.Pipe()
	go func() { _, _ = io.WriteString(w, text) }()
	return r
}

func TestEveryFormArrives(t *testing.T) {
	want := claim(t)
	json, err := want.JSON()
	if err != nil {
		t.Fatal(err)
	}
	block, err := want.PEM()
	if err != nil {
		t.Fatal(err)
	}
	compact, err := want.Compact()
	if err != nil {
		t.Fatal(err)
	}
	short := want
	short.RootCA, short.Expiration = "", 0
	pretty := strings.NewReplacer(`,"`, ",\n  \"").Replace(string(json))
	noise := "[    0.000000] Booting {linux}\r\n{\"level\":\"info\"}\r\n"
	for name, c := range map[string]struct {
		text string
		want Claim
	}{
		"JSON":                   {string(json), want},
		"JSON over lines":        {pretty, want},
		"PEM":                    {string(block), want},
		"compact":                {compact + "\n", short},
		"JSON after noise":       {noise + string(json), want},
		"PEM after noise":        {noise + strings.ReplaceAll(string(block), "\n", "\r\n"), want},
		"compact after a prompt": {noise + "login: " + compact + "\r\n", short},
	} {
		got, err := Read(endless(c.text))
		if err != nil || *got != c.want {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	if strings.Trim(compact, alphabet) != "" {
		t.Errorf("%s does not fit a QR code's alphanumeric mode", compact)
	}
}

func TestWhatIsNoClaimIsNamed(t *testing.T) {
	c := claim(t)
	compact, _ := c.Compact()
	raw, err := unbase45(strings.TrimPrefix(compact, CompactPrefix))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := c.PEM()
	for text, want := range map[string]string{
		"":                                "no claim was found",
		"hello\n{}\n":                     "no claim was found",
		`{"slipwayClaim":2}`:              "its version is 2; 1 is expected",
		`{"slipwayClaim":1}`:              "is missing",
		`{"slipwayClaim":1,"endpoint":5}`: "its JSON is damaged",
		CompactPrefix + "a":               "a character is missing",
		CompactPrefix + "ab":              "none of base 45",
		CompactPrefix + ":::":             "stands for no bytes",
		CompactPrefix + base45(raw[:len(raw)-20]):                         "ends too early",
		CompactPrefix + base45(append(bytes.Clone(raw), 0)):               "bytes follow its end",
		string(block[:len(block)-40]):                                     "ends before its END line",
		"-----BEGIN SLIPWAY CLAIM-----\n!\n-----END SLIPWAY CLAIM-----\n": "its block is damaged",
	} {
		if _, err := Read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want … %s …", text, err, want)
		}
	}
	if _, err := Read(bytes.NewReader(bytes.Repeat([]byte("x"), 2*maxRead))); !errors.Is(err, ErrNone) {
		t.Errorf("endless noise: %v", err)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	c.PrivateKey = string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	if _, err := c.Compact(); err == nil || !strings.Contains(err.Error(), "none of P-256") {
		t.Errorf("an RSA key: %v", err)
	}
}

// The examples are those of RFC 9285, section 4.3 and 4.4.
func TestBase45(t *testing.T) {
	for plain, text := range map[string]string{"AB": "BB8", "Hello!!": "%69 VD92EX0", "base-45": "UJCLQE7W581", "ietf!": "QED8WEX0"} {
		if got := base45([]byte(plain)); got != text {
			t.Errorf("%s became %s", plain, got)
		}
		if got, err := unbase45(text); err != nil || string(got) != plain {
			t.Errorf("%s was read as %q, %v", text, got, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	c := claim(f)
	json, _ := c.JSON()
	block, _ := c.PEM()
	compact, _ := c.Compact()
	for _, seed := range []string{string(json), string(block), compact, "{\n", "-----BEGIN SLIPWAY CLAIM-----\n", CompactPrefix} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Read(bytes.NewReader(text))
		if err == nil && c.check() != nil {
			t.Errorf("took %+v", c)
		}
	})
}
