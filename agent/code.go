package agent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/slipway-iot/slipway/wire/handover"
)

// Codes is a server's HTTPS port, where a device without a claim asks for one
// by a code that an installer approves (RFC 8628).
type Codes struct {
	Server string // HOST or HOST:PORT; the port is 8443 if none is given
	Config Config // Dir, RootCA, KeyType and Parameters count
	Now    func() time.Time
	// Show is told what the installer has to see.
	Show func(Shown)
}

// Shown is what a device shows.
type Shown struct {
	Code        string
	Fingerprint string // of the device's key, hex SHA-256
	Address     string // of a page with the code in it
	Expires     time.Duration
}

// Join asks for a code, shows it, and waits. The key that it makes is the
// device's own: the claim is good for it alone, and so is what comes of it. It
// is in the state before the server hears of it.
func (c *Codes) Join(ctx context.Context) (*handover.Claim, error) {
	key, err := c.key()
	if err != nil {
		return nil, err
	}
	csr, err := signingRequest(key)
	if err != nil {
		return nil, broken(err, "The device's key cannot be used: %v.", err)
	}
	fingerprint, err := fingerprintOf(csr)
	if err != nil {
		return nil, broken(err, "The device's key cannot be used: %v.", err)
	}
	web, err := c.client()
	if err != nil {
		return nil, err
	}
	var code struct {
		Device   string `json:"device_code"`
		User     string `json:"user_code"`
		Page     string `json:"verification_uri_complete"`
		Expires  int    `json:"expires_in"`
		Interval int    `json:"interval"`
	}
	said := c.Config.Parameters
	if said == nil {
		said = map[string]string{}
	}
	if err := c.post(ctx, web, "/slipway/device-code", map[string]any{"fingerprint": fingerprint, "about": said}, &code); err != nil {
		return nil, c.judge(ctx, err)
	}
	if code.Interval < 1 || code.Interval > 60 || code.Device == "" || code.User == "" {
		return nil, unusable("The server's answer is no device code.")
	}
	c.Show(Shown{code.User, fingerprint, code.Page, time.Duration(code.Expires) * time.Second})
	interval := time.Duration(code.Interval) * time.Second
	return c.wait(ctx, web, map[string]any{"device_code": code.Device, "certificate_signing_request": string(csr)}, interval, key)
}

// wait asks until somebody decided.
func (c *Codes) wait(ctx context.Context, web *http.Client, question map[string]any, interval time.Duration, key string) (*handover.Claim, error) {
	for {
		if err := sleep(ctx, interval); err != nil {
			return nil, interrupted(ctx)
		}
		var out struct {
			Certificate string `json:"certificate_pem"`
			Template    string `json:"template_name"`
			Endpoint    string `json:"endpoint"`
		}
		err := c.post(ctx, web, "/slipway/device-token", question, &out)
		var no *codeRefusal
		switch {
		case err == nil:
			return &handover.Claim{Endpoint: out.Endpoint, Template: out.Template, Certificate: out.Certificate, PrivateKey: key}, nil
		case errors.As(err, &no) && no.Code == "authorization_pending":
		case errors.As(err, &no) && no.Code == "slow_down":
			interval += 5 * time.Second // RFC 8628, section 3.5
		case errors.As(err, &no):
			return nil, c.judge(ctx, err)
		case ctx.Err() != nil:
			return nil, interrupted(ctx)
		default: // the network: the code lives on
			interval = min(2*interval, time.Minute)
		}
	}
}

// key is that of the folder's state; a fresh folder gets one.
func (c *Codes) key() (string, error) {
	r := &run{Agent: &Agent{Config: c.Config.withDefaults(), Now: c.Now}, report: &Report{}}
	if c.Config.Dir == "" {
		return "", usage("--out is missing.")
	}
	if err := makeDir(c.Config.Dir); err != nil {
		return "", err
	}
	s, err := loadState(c.Config.Dir)
	if err != nil {
		return "", err
	}
	if s.past() {
		return "", usage("--out holds the identity of thing %q already. Choose another folder, or remove this one.", s.ThingName)
	}
	if s.PrivateKey != "" && !s.ServerMade {
		return s.PrivateKey, nil
	}
	r.state = s.withoutCertificate()
	next, err := r.makeKey(context.Background())
	if err == nil {
		err = r.save(next)
	}
	return next.PrivateKey, err
}

func fingerprintOf(csr []byte) (string, error) {
	block, _ := pem.Decode(csr)
	req, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(req.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:]), nil
}

const defaultCodePort = "8443"

func (c *Codes) client() (*http.Client, error) {
	a := Agent{Config: c.Config}
	roots, err := a.roots()
	if err != nil {
		return nil, err
	}
	if c.Server == "" {
		return nil, usage("--server is missing: the server's HTTPS port, such as HOST:8443.")
	}
	return &http.Client{
		Timeout:       30 * time.Second,
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, Time: c.Now}, Proxy: http.ProxyFromEnvironment},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// A codeRefusal is the server's no, in RFC 8628's form.
type codeRefusal struct {
	Code string `json:"error"`
	Text string `json:"error_description"`
}

func (e *codeRefusal) Error() string { return strings.TrimSpace(e.Code + ": " + e.Text) }

const maxCodeAnswer = 64 << 10

func (c *Codes) post(ctx context.Context, web *http.Client, path string, body, out any) error {
	server := c.Server
	if _, _, err := net.SplitHostPort(server); err != nil {
		server = net.JoinHostPort(server, defaultCodePort)
	}
	payload, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+server+path, bytes.NewReader(payload))
	if err != nil {
		return usage("--server %q is not HOST or HOST:PORT.", c.Server)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := web.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(io.LimitReader(answer.Body, maxCodeAnswer))
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		no := &codeRefusal{}
		if json.Unmarshal(got, no) != nil || no.Code == "" {
			return unusable("%s answered %s; it is no Slipway server, or an older one.", c.Server, answer.Status)
		}
		return no
	}
	if json.Unmarshal(got, out) != nil {
		return unusable("The server's answer is not what was expected.")
	}
	return nil
}

// judge gives the class of what ended the wait.
func (c *Codes) judge(ctx context.Context, err error) error {
	var f *Failure
	var no *codeRefusal
	var cert *tls.CertificateVerificationError
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &no) && no.Code == "access_denied":
		return &Failure{Class: Refused, Exit: ExitRefused, Said: no.Error(), Err: err, Text: "The installer refused this device, or it is another one than was approved."}
	case errors.As(err, &no) && no.Code == "expired_token":
		return &Failure{Class: ClaimExpired, Exit: ExitRefused, Said: no.Error(), Err: err, Text: "Nobody approved the code in time. Run again for a new code."}
	case errors.As(err, &no) && (no.Code == "slow_down" || no.Code == "temporarily_unavailable"):
		return &Failure{Class: ServerFailed, Exit: ExitRefused, Said: no.Error(), Err: err, Text: "The server takes no more at the moment. Run again later."}
	case errors.As(err, &no):
		return &Failure{Class: BadRequest, Exit: ExitRefused, Said: no.Error(), Err: err, Text: "The server does not accept what this device says of itself."}
	case ctx.Err() != nil:
		return interrupted(ctx)
	case errors.As(err, &cert):
		return &Failure{Class: ServerNotTrusted, Exit: ExitFailed, Err: err, Text: fmt.Sprintf("%s does not prove that it is the server: %v. Check --root-ca, --server and this device's clock.", c.Server, cert.Err)}
	}
	return &Failure{Class: ServerNotReachable, Exit: ExitUnreachable, Err: err, Text: fmt.Sprintf("%s cannot be reached: %v. Check --server, and that the server runs.", c.Server, err)}
}
