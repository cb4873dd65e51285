package httpfn

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/functions"
	"github.com/slipway-iot/slipway/functions/functiontest"
)

func TestContract(t *testing.T) {
	srv := serve(t, gate)
	functiontest.Run(t, functiontest.Harness{
		Open: func(t *testing.T) functions.Function {
			return open(t, driver(srv), functions.Spec{URL: srv.URL, AllowPrivate: true})
		},
		Fails: map[string]functions.Reason{
			"hang":     functions.TimedOut,
			"throw":    functions.Threw,
			"flood":    functions.TooLarge,
			"announce": functions.TooLarge,
			"die":      functions.Unreachable,
			"cut":      functions.Unreachable,
			"created":  functions.BadStatus,
			"moved":    functions.BadStatus,
		},
	})
}

// gate is the reference function as an endpoint.
func gate(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var req struct{ Parameters map[string]string }
	if err != nil || json.Unmarshal(body, &req) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	switch serial := req.Parameters["SerialNumber"]; serial {
	case "hang":
		<-r.Context().Done()
	case "throw":
		w.Header().Set("X-Amz-Function-Error", "Unhandled")
		io.WriteString(w, `{"errorMessage":"no database","errorType":"RuntimeError","stackTrace":["line 3"]}`)
	case "flood":
		w.(http.Flusher).Flush() // so that no length is announced
		w.Write(make([]byte, 7<<20))
	case "announce":
		w.Header().Set("Content-Length", "7340032")
		w.Write(make([]byte, 7<<20))
	case "die":
		panic(http.ErrAbortHandler)
	case "cut":
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "{")
	case "created":
		w.WriteHeader(http.StatusCreated)
	case "moved":
		http.Redirect(w, r, "https://"+r.Host+"/elsewhere", http.StatusTemporaryRedirect)
	default:
		a := functiontest.Answer{AllowProvisioning: len(serial) == 2 && serial[0] == 'K'}
		if serial == "K1" {
			a.ParameterOverrides = map[string]string{"Site": "berlin"}
		}
		json.NewEncoder(w).Encode(a)
	}
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	srv := httptest.NewTLSServer(h)
	t.Cleanup(srv.Close)
	return srv
}

// driver trusts the test server's certificate.
func driver(srv *httptest.Server) Driver {
	pool := x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	return Driver{RootCAs: pool}
}

func open(t *testing.T, d Driver, s functions.Spec) functions.Function {
	t.Helper()
	s.Name, s.Kind = functiontest.Name, functions.HTTP
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	f, err := d.Open(arn.Default, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestSentences(t *testing.T) {
	srv := serve(t, gate)
	f := open(t, driver(srv), functions.Spec{URL: srv.URL, AllowPrivate: true})
	for serial, want := range map[string]string{
		"throw":    "Function gate failed: no database (reported by the function).",
		"announce": "Function gate answered 7340032 bytes; at most 6 MiB are allowed.",
		"flood":    "Function gate answered more than 6 MiB, which is the limit.",
		"created":  "Function gate answered with status 201; 200 is expected.",
		"moved":    "Function gate answered with status 307; redirects are not followed.",
		"cut":      "Function gate broke off its answer after 1 bytes.",
		"die":      "Function gate broke off the call before it answered.",
	} {
		_, err := f.Invoke(t.Context(), functiontest.Request(serial))
		var got *functions.Failure
		if !errors.As(err, &got) || got.Text != want {
			t.Errorf("serial %s: got %v, want %s", serial, err, want)
		}
	}
}

func TestCallsAreSigned(t *testing.T) {
	const secret = "correct horse"
	now := time.Unix(1_767_225_600, 0)
	check := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		stamp := r.Header.Get("X-Slipway-Timestamp")
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(stamp + "." + string(body)))
		want := "sha256=" + hex.EncodeToString(mac.Sum(nil))
		if got := r.Header.Get("X-Slipway-Signature"); got != want {
			t.Errorf("signature %s, want %s", got, want)
		}
		if stamp != strconv.FormatInt(now.Unix(), 10) {
			t.Errorf("timestamp %s", stamp)
		}
		if got := r.Header.Get("X-Slipway-Function"); got != "arn:aws:lambda:us-east-1:000000000000:function:gate" {
			t.Errorf("function %s", got)
		}
		for k, v := range r.Header {
			if strings.Contains(strings.Join(v, ""), secret) {
				t.Errorf("header %s holds the secret", k)
			}
		}
		io.WriteString(w, "{}")
	}
	srv := serve(t, check)
	d := driver(srv)
	d.Now = func() time.Time { return now }
	functiontest.Ask(t, open(t, d, functions.Spec{URL: srv.URL, Secret: secret, AllowPrivate: true}), "K1")
}

// TestARefusedAddressIsNeverDialled counts connections at the far end.
func TestARefusedAddressIsNeverDialled(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(gate))
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			t.Error("a connection was made")
		}
	}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
	own, _ := strconv.Atoi(port)
	ours := driver(srv)
	ours.OwnPorts = func() []int { return []int{own} }
	for name, c := range map[string]struct {
		driver Driver
		spec   functions.Spec
		want   string
	}{
		"by address":             {driver(srv), functions.Spec{URL: srv.URL}, "a loopback address, which needs allowPrivate."},
		"by a name for it":       {driver(srv), functions.Spec{URL: "https://localhost:" + port}, "a loopback address, which needs allowPrivate."},
		"in IPv6 clothes":        {driver(srv), functions.Spec{URL: "https://[::ffff:127.0.0.1]:" + port}, "a loopback address, which needs allowPrivate."},
		"as no address":          {driver(srv), functions.Spec{URL: "https://0.0.0.0:" + port, AllowPrivate: true}, "an address that no endpoint can have."},
		"our own port, allowed":  {ours, functions.Spec{URL: srv.URL, AllowPrivate: true}, "a port of this server."},
		"our own port, by name":  {ours, functions.Spec{URL: "https://localhost:" + port, AllowPrivate: true}, "a port of this server."},
		"our own port, not even": {ours, functions.Spec{URL: srv.URL}, "a port of this server."},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := open(t, c.driver, c.spec).Invoke(t.Context(), functiontest.Request("K1"))
			f := functiontest.WantFailure(t, err, functions.Unreachable)
			if !strings.HasSuffix(f.Text, c.want) {
				t.Errorf("got %q, want …%s", f.Text, c.want)
			}
		})
	}
}

func TestAnUnverifiedEndpointIsNotAsked(t *testing.T) {
	srv := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the endpoint was asked") })
	f := open(t, Driver{RootCAs: x509.NewCertPool()}, functions.Spec{URL: srv.URL, AllowPrivate: true})
	_, err := f.Invoke(t.Context(), functiontest.Request("K1"))
	got := functiontest.WantFailure(t, err, functions.Unreachable)
	if !strings.Contains(got.Text, "certificate") {
		t.Errorf("got %q", got.Text)
	}
}

func TestTheURLStaysOutOfTheLog(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	f := open(t, Driver{}, functions.Spec{URL: "http://" + l.Addr().String() + "/?token=hunter2", AllowPrivate: true})
	_, err = f.Invoke(t.Context(), functiontest.Request("K1"))
	functiontest.WantFailure(t, err, functions.Unreachable)
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%q holds the URL's secret", err)
	}
}

func TestABusyEndpointRefuses(t *testing.T) {
	inside, release := make(chan struct{}), make(chan struct{})
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		inside <- struct{}{}
		<-release
		io.WriteString(w, "{}")
	})
	d := driver(srv)
	spec := functions.Spec{URL: srv.URL, AllowPrivate: true, Concurrency: 1}
	f := open(t, d, spec)
	first := make(chan error, 1)
	go func() {
		_, err := f.Invoke(t.Context(), functiontest.Request("K1"))
		first <- err
	}()
	<-inside
	ctx, cancel := timeout(t)
	defer cancel()
	_, err := f.Invoke(ctx, functiontest.Request("K2"))
	functiontest.WantFailure(t, err, functions.Busy)
	close(release)
	if err := <-first; err != nil {
		t.Errorf("the call that was under way failed: %v", err)
	}
}

func TestGuard(t *testing.T) {
	for addr, want := range map[string]string{
		"93.184.216.34":          "",
		"2606:2800:220:1::1":     "",
		"127.8.8.8":              "loopback",
		"::1":                    "loopback",
		"::ffff:127.0.0.1":       "loopback",
		"::127.0.0.1":            "loopback",
		"64:ff9b::7f00:1":        "loopback",
		"2002:7f00:1::":          "loopback",
		"169.254.169.254":        "link-local",
		"fe80::1%eth0":           "link-local",
		"64:ff9b::169.254.169.1": "link-local",
		"10.1.2.3":               "private",
		"172.31.0.1":             "private",
		"192.168.0.1":            "private",
		"100.64.0.1":             "private",
		"fd00:ec2::254":          "private",
		"fec0::1":                "private",
		"224.0.0.1":              "no endpoint",
		"ff02::1":                "no endpoint",
		"::":                     "no endpoint",
		"0.1.2.3":                "no endpoint",
		"255.255.255.255":        "no endpoint",
	} {
		to := netip.AddrPortFrom(netip.MustParseAddr(addr), 443)
		got := guard{}.judge(to)
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want …%s…", addr, got, want)
		}
		open := guard{allowPrivate: true}.judge(to)
		if (open != "") != (want == "no endpoint") {
			t.Errorf("%s with allowPrivate: got %q", addr, open)
		}
	}
}

func timeout(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), 200*time.Millisecond)
}
