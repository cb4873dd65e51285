package agent

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-iot/slipway/agent/mqttlink"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/wire"
)

// inBubble runs a test on a clock of its own, on which every wait is over at
// once and takes exactly its time.
func inBubble(t *testing.T, name string, f func(t *testing.T, s *server)) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { f(t, newServer(t)) })
	})
}

func mustProvision(t *testing.T, a *Agent) *Report {
	t.Helper()
	report, err := a.Provision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// mustFail provisions in vain.
func mustFail(t *testing.T, a *Agent) *Failure {
	t.Helper()
	_, err := a.Provision(t.Context())
	var f *Failure
	if !errors.As(err, &f) {
		t.Fatalf("got %v, want a failure", err)
	}
	if strings.Contains(f.Error(), "secret") || strings.Contains(f.Error(), "PRIVATE KEY") {
		t.Errorf("the failure shows a secret: %v", f)
	}
	return f
}

func read(t *testing.T, c Config, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(c.Dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func stageOf(t *testing.T, c Config) Stage {
	t.Helper()
	s, err := loadState(c.Dir)
	if err != nil {
		t.Fatal(err)
	}
	return s.Stage
}

func TestADeviceGetsItsIdentity(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"with a key of its own, in JSON": func(*Config) {},
		"with a key of its own, in CBOR": func(c *Config) { c.Format = wire.CBOR },
		"with an RSA key of its own":     func(c *Config) { c.KeyType = RSA2048 },
		"with the server's key, in JSON": func(c *Config) { c.Keys = ServerKey },
		"with the server's key, in CBOR": func(c *Config) { c.Keys, c.Format = ServerKey, wire.CBOR },
		"over MQTT 3.1.1":                func(c *Config) { c.Version = mqttlink.V311 },
	} {
		inBubble(t, name, func(t *testing.T, s *server) {
			c := s.goodConfig()
			change(&c)
			report := mustProvision(t, s.device(c))
			if report.ThingName != "sensor-A1" || report.CertificateID != s.certificates[0].id || report.Resumed != "" {
				t.Errorf("reported %+v", report)
			}
			checkIdentity(t, s, c)
			if len(s.connections) != 2 || len(s.certificates) != 1 || len(s.things) != 1 {
				t.Errorf("%d connections, %d certificates, %d things", len(s.connections), len(s.certificates), len(s.things))
			}
		})
	}
}

// checkIdentity looks at what a finished run leaves on the device.
func checkIdentity(t *testing.T, s *server, c Config) {
	t.Helper()
	certificate, key := read(t, c, CertFile), read(t, c, KeyFile)
	identity, err := pair([]byte(certificate), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	if _, isRSA := identity.PrivateKey.(*rsa.PrivateKey); isRSA != (c.KeyType == RSA2048) {
		t.Errorf("the key is a %T", identity.PrivateKey)
	}
	last := s.connections[len(s.connections)-1]
	if last.ClientID != "sensor-A1" || s.known(last) == nil || last.Version != c.withDefaults().Version || last.Port != "8883" {
		t.Errorf("the last connection was %s %s", last.ClientID, last.Version)
	}
	var config identityConfig
	if err := json.Unmarshal([]byte(read(t, c, ConfigFile)), &config); err != nil {
		t.Error(err)
	}
	if config.ThingName != "sensor-A1" || config.DeviceConfiguration["site"] != "lab" || config.Endpoint != "iot.example:8883" {
		t.Errorf("config.json holds %+v", config)
	}
	state := read(t, c, StateFile)
	if strings.Contains(state, "secret") || strings.Contains(state, "PRIVATE KEY") || stageOf(t, c) != Done {
		t.Errorf("the state at the end is %s", state)
	}
	for name, mode := range map[string]fs.FileMode{StateFile: 0o600, KeyFile: 0o600, CertFile: 0o644, ".": 0o700} {
		info, err := os.Stat(filepath.Join(c.Dir, name))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s has mode %v, %v; want %v", name, info.Mode().Perm(), err, mode)
		}
	}
	left, _ := filepath.Glob(filepath.Join(c.Dir, ".*.tmp"))
	if len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// die stops a device the moment a state is on disk.
func die(t *testing.T, a *Agent, at Stage) {
	t.Helper()
	ctx, kill := context.WithCancel(t.Context())
	a.Reached = func(s Stage) {
		if s == at {
			kill()
		}
	}
	_, err := a.Provision(ctx)
	var f *Failure
	if at != Done && (!errors.As(err, &f) || f.Class != Interrupted) {
		t.Fatalf("killed at %s, it said %v", at, err)
	}
}

func TestAKilledRunIsContinued(t *testing.T) {
	for _, keys := range []KeySource{OwnKey, ServerKey} {
		for _, at := range []Stage{KeyMade, CertificateReceived, Registered, Connected, Done} {
			name := "from " + string(at)
			if keys == ServerKey {
				name += " with the server's key"
			}
			inBubble(t, name, func(t *testing.T, s *server) {
				c := s.goodConfig()
				c.Keys = keys
				die(t, s.device(c), at)
				if stageOf(t, c) != at {
					t.Fatalf("the state on disk is %s", stageOf(t, c))
				}
				report := mustProvision(t, s.device(c))
				if report.Resumed != at || report.ThingName != "sensor-A1" {
					t.Errorf("reported %+v", report)
				}
				if len(s.certificates) != 1 || s.count(wire.RegisterThing) != 1 {
					t.Errorf("%d certificates and %d registrations for one device", len(s.certificates), s.count(wire.RegisterThing))
				}
				checkIdentity(t, s, c)
			})
		}
	}
}

func TestARunKilledAtEveryStateInTurnStillEnds(t *testing.T) {
	inBubble(t, "one device", func(t *testing.T, s *server) {
		c := s.goodConfig()
		for _, at := range []Stage{KeyMade, CertificateReceived, Registered, Connected} {
			die(t, s.device(c), at)
		}
		mustProvision(t, s.device(c))
		checkIdentity(t, s, c)
		if len(s.certificates) != 1 {
			t.Errorf("%d certificates", len(s.certificates))
		}
	})
}

func TestALostAnswerIsAskedForAgain(t *testing.T) {
	once := func(op wire.Operation, l lever) func(wire.Operation, int) lever {
		return func(o wire.Operation, n int) lever {
			if o == op && n == 1 {
				return l
			}
			return lever{}
		}
	}
	closed := &mqttlink.Error{Cause: mqttlink.Closed, Op: "the session"}
	inBubble(t, "silence after the certificate request waits 30 s twice", func(t *testing.T, s *server) {
		s.onRequest = once(wire.CreateFromCSR, lever{swallow: true})
		report := mustProvision(t, s.device(s.goodConfig()))
		if report.Total != 60*time.Second || len(s.certificates) != 2 {
			t.Errorf("it took %s and %d certificates", report.Total, len(s.certificates))
		}
		if !s.certificates[0].public.Equal(s.certificates[1].public) {
			t.Error("the second request was for another key")
		}
	})
	inBubble(t, "silence after the registration waits 10 s and 30 s, and asks with the same token", func(t *testing.T, s *server) {
		s.onRequest = once(wire.RegisterThing, lever{swallow: true})
		report := mustProvision(t, s.device(s.goodConfig()))
		if report.Total != 40*time.Second || len(s.certificates) != 1 || len(s.things) != 1 {
			t.Errorf("it took %s, %d certificates, %d things", report.Total, len(s.certificates), len(s.things))
		}
	})
	inBubble(t, "a connection that ends instead of the answer", func(t *testing.T, s *server) {
		s.onRequest = once(wire.RegisterThing, lever{end: closed})
		mustProvision(t, s.device(s.goodConfig()))
		if s.count(wire.RegisterThing) != 2 || len(s.certificates) != 1 || s.requests[1].token != s.requests[2].token {
			t.Errorf("asked %+v", s.requests)
		}
	})
	inBubble(t, "but not one that came just before the connection ended", func(t *testing.T, s *server) {
		s.onRequest = once(wire.RegisterThing, lever{bye: closed})
		mustProvision(t, s.device(s.goodConfig()))
		if s.count(wire.RegisterThing) != 1 {
			t.Errorf("asked %+v", s.requests)
		}
	})
	inBubble(t, "a device killed between the registration and its answer", func(t *testing.T, s *server) {
		c := s.goodConfig()
		ctx, kill := context.WithCancel(t.Context())
		s.onRequest = func(op wire.Operation, n int) lever {
			if op == wire.RegisterThing && n == 1 {
				kill()
				return lever{swallow: true}
			}
			return lever{}
		}
		if _, err := s.device(c).Provision(ctx); err == nil || stageOf(t, c) != CertificateReceived {
			t.Fatalf("got %v in state %s", err, stageOf(t, c))
		}
		mustProvision(t, s.device(c))
		checkIdentity(t, s, c)
		if len(s.certificates) != 1 || len(s.things) != 1 {
			t.Errorf("%d certificates, %d things", len(s.certificates), len(s.things))
		}
	})
}

func TestATokenThatBuysNothingLeadsBackToTheCreateStep(t *testing.T) {
	inBubble(t, "after its hour, with the same key and without asking in vain", func(t *testing.T, s *server) {
		c := s.goodConfig()
		die(t, s.device(c), CertificateReceived)
		time.Sleep(61 * time.Minute)
		mustProvision(t, s.device(c))
		if len(s.certificates) != 2 || s.count(wire.RegisterThing) != 1 || !s.certificates[0].public.Equal(s.certificates[1].public) {
			t.Errorf("%d certificates, requests %v", len(s.certificates), s.requests)
		}
		checkIdentity(t, s, c)
	})
	inBubble(t, "when the server says so", func(t *testing.T, s *server) {
		c := s.goodConfig()
		s.onRequest = func(op wire.Operation, n int) lever {
			if op == wire.RegisterThing && n == 1 {
				return lever{reject: &wire.Rejection{StatusCode: 400, ErrorCode: "InvalidCertificateOwnershipToken", ErrorMessage: "expired"}}
			}
			return lever{}
		}
		mustProvision(t, s.device(c))
		if len(s.certificates) != 2 || !s.certificates[0].public.Equal(s.certificates[1].public) {
			t.Errorf("%d certificates", len(s.certificates))
		}
	})
	inBubble(t, "a key that the server made goes with its certificate", func(t *testing.T, s *server) {
		c := s.goodConfig()
		c.Keys = ServerKey
		die(t, s.device(c), CertificateReceived)
		time.Sleep(61 * time.Minute)
		c.Keys = OwnKey
		mustProvision(t, s.device(c))
		if s.certificates[0].public.Equal(s.certificates[1].public) {
			t.Error("the server's key was used as the device's own")
		}
	})
	inBubble(t, "but not for ever", func(t *testing.T, s *server) {
		s.onRequest = func(op wire.Operation, n int) lever {
			if op == wire.RegisterThing {
				return lever{reject: &wire.Rejection{StatusCode: 400, ErrorCode: "InvalidCertificateOwnershipToken", ErrorMessage: "no"}}
			}
			return lever{}
		}
		f := mustFail(t, s.device(s.goodConfig()))
		if f.Class != TokenNotAccepted || len(s.certificates) != 1+maxRestarts {
			t.Errorf("%v after %d certificates", f, len(s.certificates))
		}
	})
}

func TestACorrectedParameterUsesTheSameCertificate(t *testing.T) {
	inBubble(t, "after 400", func(t *testing.T, s *server) {
		c := s.goodConfig()
		s.onRequest = func(op wire.Operation, n int) lever {
			if op == wire.RegisterThing && n == 1 {
				return lever{reject: &wire.Rejection{StatusCode: 400, ErrorCode: "InvalidParameters", ErrorMessage: "Cannot resolve reference value: SerialNumber"}}
			}
			return lever{}
		}
		if f := mustFail(t, s.device(c)); f.Class != BadRequest || f.Exit != ExitRefused || stageOf(t, c) != CertificateReceived {
			t.Fatalf("got %v in %s", f, stageOf(t, c))
		}
		c.Parameters = map[string]string{"SerialNumber": "B2"}
		if report := mustProvision(t, s.device(c)); report.ThingName != "sensor-B2" || len(s.certificates) != 1 {
			t.Errorf("%s with %d certificates", report.ThingName, len(s.certificates))
		}
	})
}

func TestAFinishedFolder(t *testing.T) {
	inBubble(t, "is left as it is by the next run", func(t *testing.T, s *server) {
		c := s.goodConfig()
		mustProvision(t, s.device(c))
		key := read(t, c, KeyFile)
		report := mustProvision(t, s.device(c))
		if len(s.connections) != 2 || read(t, c, KeyFile) != key || report.ThingName != "sensor-A1" || report.Resumed != Done {
			t.Errorf("%d connections, reported %+v", len(s.connections), report)
		}
	})
	inBubble(t, "is not taken for another device's", func(t *testing.T, s *server) {
		c := s.goodConfig()
		mustProvision(t, s.device(c))
		c.Parameters = map[string]string{"SerialNumber": "B2"}
		if f := mustFail(t, s.device(c)); f.Exit != ExitUsage || len(s.connections) != 2 {
			t.Errorf("got %v after %d connections", f, len(s.connections))
		}
	})
	inBubble(t, "whose key is gone is said to be broken", func(t *testing.T, s *server) {
		c := s.goodConfig()
		mustProvision(t, s.device(c))
		if err := os.Remove(filepath.Join(c.Dir, KeyFile)); err != nil {
			t.Fatal(err)
		}
		if f := mustFail(t, s.device(c)); f.Class != DeviceFailed || !strings.Contains(f.Text, KeyFile) {
			t.Errorf("got %v", f)
		}
	})
}

func TestAnotherEndpointKnowsNothingOfTheToken(t *testing.T) {
	inBubble(t, "so a new certificate is asked for, with the same key", func(t *testing.T, s *server) {
		c := s.goodConfig()
		die(t, s.device(c), CertificateReceived)
		c.Endpoint = "other.example:443"
		mustProvision(t, s.device(c))
		last := s.connections[len(s.connections)-1]
		if len(s.certificates) != 2 || !s.certificates[0].public.Equal(s.certificates[1].public) || last.Host != "other.example" || last.Port != "443" {
			t.Errorf("%d certificates, last at %s:%s", len(s.certificates), last.Host, last.Port)
		}
	})
}

func TestTheClaimIsDeleted(t *testing.T) {
	gone := func(c Config) bool {
		_, cert := os.Stat(c.ClaimCert)
		_, key := os.Stat(c.ClaimKey)
		return errors.Is(cert, fs.ErrNotExist) && errors.Is(key, fs.ErrNotExist)
	}
	inBubble(t, "once the new identity has connected", func(t *testing.T, s *server) {
		c := s.goodConfig()
		c.DeleteClaim = true
		die(t, s.device(c), Connected)
		if gone(c) {
			t.Fatal("it went before the state said so")
		}
		mustProvision(t, s.device(c))
		if !gone(c) {
			t.Error("it is still there")
		}
		mustProvision(t, s.device(c)) // without a claim, with nothing to do
	})
	inBubble(t, "not while the new identity is refused", func(t *testing.T, s *server) {
		c := s.goodConfig()
		c.DeleteClaim = true
		s.refuseConnect = func(_ int, asThing bool) error {
			if asThing {
				return &mqttlink.Error{Cause: mqttlink.Refused, Op: "CONNECT", Code: mqtt.NotAuthorized}
			}
			return nil
		}
		if f := mustFail(t, s.device(c)); f.Class != IdentityRefused || gone(c) || stageOf(t, c) != Registered {
			t.Errorf("got %v, claim gone %t, state %s", f, gone(c), stageOf(t, c))
		}
		s.refuseConnect = nil
		mustProvision(t, s.device(c))
		if !gone(c) || len(s.certificates) != 1 {
			t.Errorf("claim gone %t, %d certificates", gone(c), len(s.certificates))
		}
	})
	inBubble(t, "by a later run over a finished folder", func(t *testing.T, s *server) {
		c := s.goodConfig()
		mustProvision(t, s.device(c))
		c.DeleteClaim = true
		mustProvision(t, s.device(c))
		if !gone(c) || stageOf(t, c) != Done {
			t.Errorf("claim gone %t, state %s", gone(c), stageOf(t, c))
		}
	})
}

func TestTheReportNamesEveryStage(t *testing.T) {
	inBubble(t, "in order", func(t *testing.T, s *server) {
		var names []string
		for _, each := range mustProvision(t, s.device(s.goodConfig())).Stages {
			names = append(names, each.Name)
		}
		want := []string{"make the key", "connect as claim", "receive the certificate", "register the thing", "write the identity", "connect as thing"}
		if !slices.Equal(names, want) {
			t.Errorf("got %q", names)
		}
	})
}
