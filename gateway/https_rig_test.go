package gateway

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/mqtt"
)

// signers knows access keys, and believes whoever names one. Signatures are
// verified in the tests of wire/sigv4, and together with this in server's.
type signers struct {
	mu   sync.Mutex
	keys map[string]Caller
}

func (s *signers) add(c Caller) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[c.KeyID] = c
}

func (s *signers) Caller(_ context.Context, r *http.Request, _ []byte) (*Caller, error) {
	id := strings.TrimPrefix(r.Header.Get("Authorization"), "AWS4-TEST ")
	if id == "" {
		id = r.URL.Query().Get("X-Amz-Credential")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, known := s.keys[id]
	if !known {
		return nil, fault.New(fault.UnknownKey, "The access key %s is not known here.", id)
	}
	return &c, nil
}

// A reply is an answer over HTTPS.
type reply struct {
	status  int
	header  http.Header
	message string // of its body, if that is the data plane's
	traceID string
	body    string
	local   string // the address of who asked

	keepsOpen bool
}

func (p *reply) String() string {
	return fmt.Sprintf("%d %s %s", p.status, p.header.Get("x-amzn-ErrorType"), p.message)
}

// ask sends one request over HTTPS, with the certificate if there is one.
func (r *rig) ask(address string, cert tls.Certificate, method, target, body string, headers ...string) *reply {
	r.t.Helper()
	return r.visit(address, cert)(method, target, body, headers...)
}

// visit opens a connection on which requests can be made, one after the other.
func (r *rig) visit(address string, cert tls.Certificate, change ...func(*tls.Config)) func(method, target, body string, headers ...string) *reply {
	r.t.Helper()
	d, err := r.handshakeAt(address, cert, change...)
	must(r.t, err)
	return r.over(d)
}

// over makes requests on a connection whose handshake is done.
func (r *rig) over(d *raw) func(method, target, body string, headers ...string) *reply {
	in := bufio.NewReader(d.conn)
	return func(method, target, body string, headers ...string) *reply {
		r.t.Helper()
		var b bytes.Buffer
		fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n", method, target, len(body))
		for _, h := range headers {
			b.WriteString(h + "\r\n")
		}
		b.WriteString("\r\n" + body)
		d.bytes(b.Bytes())
		return readReply(r.t, in, d)
	}
}

func readReply(t testing.TB, in *bufio.Reader, d *raw) *reply {
	t.Helper()
	res, err := http.ReadResponse(in, nil)
	must(t, err)
	p := &reply{status: res.StatusCode, header: res.Header, local: d.local(), keepsOpen: !res.Close}
	if res.StatusCode == http.StatusSwitchingProtocols {
		return p
	}
	text, err := io.ReadAll(res.Body)
	must(t, err)
	p.body = string(text)
	var said struct{ Message, TraceID string }
	if json.Unmarshal(text, &said) == nil {
		p.message, p.traceID = said.Message, said.TraceID
	}
	return p
}

// asks makes a cause of a request over HTTPS.
func asks(cert func(*scene) tls.Certificate, method, target, body string, headers ...string) func(*scene, mqtt.Version) (string, string) {
	return func(x *scene, _ mqtt.Version) (string, string) {
		p := x.ask(x.https, cert(x), method, target, body, headers...)
		return p.local, p.String()
	}
}

// answered sends a request and gives the status of the answer; zero: there is
// none.
func (d *raw) answered(request string) int {
	d.t.Helper()
	d.bytes([]byte(request))
	res, err := http.ReadResponse(bufio.NewReader(d.conn), nil)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	return res.StatusCode
}
