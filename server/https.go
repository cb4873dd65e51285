package server

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/attempts"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/provision"
)

// codeInterval is how long a device waits between two questions.
const codeInterval = 5 * time.Second

// A devicePort answers what devices ask over HTTPS besides the gateway's own
// data plane: device codes (docs/flows/device-code.md), and the operations of
// the data plane for callers who sign.
type devicePort struct {
	s   *Server
	mux *http.ServeMux

	starts *throttle // of codes asked for
	wrong  *throttle // of codes that are none, from devices

	mu    sync.Mutex
	asked map[string]time.Time // the last question of each code; bounded by the codes there are
}

func newDevicePort(s *Server) *devicePort {
	p := &devicePort{s: s, mux: http.NewServeMux(), asked: map[string]time.Time{},
		starts: newThrottle(30, 2*time.Second, 200, 50*time.Millisecond),
		wrong:  newThrottle(10, 10*time.Second, 200, 500*time.Millisecond)}
	p.mux.HandleFunc("POST /slipway/device-code", p.start)
	p.mux.HandleFunc("POST /slipway/device-token", p.token)
	p.mux.HandleFunc("GET /slipway/device", p.page)
	return p
}

// dataPaths begin the operations of the data plane, which the control plane
// answers for callers who sign, whatever port they come to. Nothing else of it
// is reached from here.
var dataPaths = []string{"/topics/", "/retainedMessage", "/connections/"}

func (p *devicePort) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	if slices.ContainsFunc(dataPaths, func(begin string) bool { return strings.HasPrefix(path, begin) }) {
		p.s.control.ServeHTTP(w, r)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	p.mux.ServeHTTP(w, r)
}

// A codeError is an answer that is no (RFC 8628, section 3.5).
type codeError struct {
	status int
	Code   string `json:"error"`
	Text   string `json:"error_description,omitempty"`
}

func answerJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a device that is gone hears nothing
}

func refuseCode(w http.ResponseWriter, e codeError) { answerJSON(w, e.status, e) }

// place is the tenant that the server name picked, and the address of who asks.
func (p *devicePort) place(w http.ResponseWriter, r *http.Request) (t arn.Tenant, from netip.Addr, ok bool) {
	t = arn.Default
	if name := r.TLS.ServerName; name != "" {
		if t, ok = p.s.hosts.Tenant(name); !ok {
			refuseCode(w, codeError{http.StatusMisdirectedRequest, "invalid_request", "The server name (SNI) is no endpoint of this server."})
			return t, from, false
		}
	}
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		from = ap.Addr().Unmap()
	}
	return t, from, true
}

func (p *devicePort) read(w http.ResponseWriter, r *http.Request, into any) bool {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = decodeBody(body, into)
	}
	if err != nil {
		_, text := fault.Show(err)
		refuseCode(w, codeError{http.StatusBadRequest, "invalid_request", text})
	}
	return err == nil
}

// start: POST /slipway/device-code {fingerprint, about}.
func (p *devicePort) start(w http.ResponseWriter, r *http.Request) {
	t, from, ok := p.place(w, r)
	if !ok {
		return
	}
	if !p.starts.take(placeOf(from), p.s.cfg.Now()) {
		refuseCode(w, codeError{http.StatusTooManyRequests, "slow_down", "Too many codes were asked for; wait a minute."})
		return
	}
	var in struct {
		Fingerprint string            `json:"fingerprint"`
		About       map[string]string `json:"about"`
	}
	if !p.read(w, r, &in) {
		return
	}
	d, code, err := p.s.provision.StartCode(r.Context(), t, in.Fingerprint, in.About, from.String())
	if err != nil {
		p.fail(w, err)
		return
	}
	at := "https://" + net.JoinHostPort(p.s.hosts.Endpoint(t), portOf(p.s.address("https"))) + "/slipway/device"
	p.s.metrics.Attempt("device-code", "started")
	answerJSON(w, http.StatusOK, map[string]any{
		"device_code": code, "user_code": d.Code, "verification_uri": at, "verification_uri_complete": at + "?code=" + d.Code,
		"expires_in": int(provision.CodeLife.Seconds()), "interval": int(codeInterval.Seconds()),
	})
}

// fail answers an error that is none of RFC 8628's.
func (p *devicePort) fail(w http.ResponseWriter, err error) {
	face, text := fault.Show(err)
	code := "invalid_request"
	switch status := face.REST; {
	case status >= 500:
		p.s.cfg.Log.Log(context.Background(), face.Level, "device code", slog.Any("err", err))
		code = "temporarily_unavailable"
	case status == http.StatusForbidden:
		code = "access_denied"
	}
	refuseCode(w, codeError{face.REST, code, text})
}

// token: POST /slipway/device-token {device_code, certificate_signing_request}.
// While nobody decided it is asked again and again; then it gives the claim.
func (p *devicePort) token(w http.ResponseWriter, r *http.Request) {
	t, from, ok := p.place(w, r)
	if !ok {
		return
	}
	now := p.s.cfg.Now()
	if !p.wrong.left(placeOf(from), now) {
		refuseCode(w, codeError{http.StatusTooManyRequests, "slow_down", "Too many wrong device codes came from this address."})
		return
	}
	var in struct {
		DeviceCode string `json:"device_code"`
		CSR        string `json:"certificate_signing_request"`
	}
	if !p.read(w, r, &in) {
		return
	}
	d, err := p.s.provision.CodeOf(r.Context(), t, in.DeviceCode)
	if fault.Is(err, fault.Missing) {
		p.wrong.take(placeOf(from), now)
		_, text := fault.Show(err)
		p.refused(t, from, nil, "expired-code", text)
		refuseCode(w, codeError{http.StatusBadRequest, "expired_token", text})
		return
	}
	if err != nil {
		p.fail(w, err)
		return
	}
	switch {
	case d.State == provision.CodeDenied:
		text := fmt.Sprintf("The installer refused code %s.", d.Code)
		p.refused(t, from, d, "denied-code", text)
		refuseCode(w, codeError{http.StatusBadRequest, "access_denied", text})
	case d.State == provision.CodePending && p.early(d, now):
		refuseCode(w, codeError{http.StatusBadRequest, "slow_down", "Wait five seconds more between two questions."})
	case d.State == provision.CodePending:
		refuseCode(w, codeError{http.StatusBadRequest, "authorization_pending", "No installer has decided yet."})
	default:
		p.claim(w, r, t, from, in.DeviceCode, in.CSR)
	}
}

// early says whether the code was asked for less than the interval ago.
func (p *devicePort) early(d *provision.DeviceCode, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	last, known := p.asked[d.Code]
	if len(p.asked) > 4*provision.MaxCodes {
		clear(p.asked)
	}
	p.asked[d.Code] = now
	return known && now.Sub(last) < codeInterval-time.Second // clocks and networks wobble
}

func (p *devicePort) claim(w http.ResponseWriter, r *http.Request, t arn.Tenant, from netip.Addr, code, csr string) {
	c, d, err := p.s.provision.FetchClaim(r.Context(), t, code, []byte(csr))
	if err != nil {
		if d != nil && fault.Is(err, fault.Refused) {
			_, text := fault.Show(err)
			p.refused(t, from, d, "wrong-key", text)
		}
		p.fail(w, err)
		return
	}
	p.s.metrics.Attempt("device-code", "fetched")
	answerJSON(w, http.StatusOK, map[string]any{
		"certificate_pem": c.PEM, "template_name": d.Template, "expires_in": int(c.NotAfter.Sub(p.s.cfg.Now()).Seconds()),
		"endpoint": net.JoinHostPort(p.s.hosts.Endpoint(t), portOf(p.s.address("mqtt"))),
	})
}

// refused leaves an attempt: who was turned away here never reaches the gateway.
func (p *devicePort) refused(t arn.Tenant, from netip.Addr, d *provision.DeviceCode, cause, text string) {
	rec := attempts.Open(uuid.NewString(), from.String(), from.String(), p.s.cfg.Now)
	rec.Who(t, "", "")
	rec.Through("device-code", "")
	who := from.String()
	if d != nil {
		who = d.Code
		rec.Find(d.Said)
		rec.Find(map[string]string{"code": d.Code})
		rec.Step("code", fmt.Sprintf("The device shows %s, key %s.", d.Code, d.Key))
	}
	rec.Refuse("code", text)
	a, _ := rec.Close("")
	p.s.metrics.Refusal(cause)
	p.s.metrics.Attempt(a.Door, string(a.Outcome))
	p.s.journal.Fold(who, cause, a)
}

// page: GET /slipway/device, which the QR code leads to.
func (p *devicePort) page(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	fmt.Fprint(w, "A device waits for an installer. Who is one, on a machine with `slipway`:\n\n  slipway device codes\n  slipway device approve CODE --template NAME\n\nCompare the fingerprint that the device shows.\n")
}
