package crash

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	cryptorand "crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/client/api"
	"github.com/slipway-iot/slipway/internal/crash"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/server"
	"github.com/slipway-iot/slipway/sim"
	"github.com/slipway-iot/slipway/store"
)

// TestTheServerIsKilledWhilePeopleBringDevices kills the server at each named
// moment of the doors for one device at a time: made by name, with an
// installer's claim, with a code that an installer approves. In a short run a
// server passes through all moments of its door, and devices are few.
func TestTheServerIsKilledWhilePeopleBringDevices(t *testing.T) {
	size, binary, result := sizeOfRun(), build(t), &report{section: handSection}
	size.devices = max(2, size.devices/10) // at a time: an address gets a code every two seconds
	for _, s := range backends(t) {
		for _, door := range slices.Sorted(maps.Keys(crash.ByHand)) {
			k := &killer{size: size, binary: binary, backend: s, report: result, random: rand.New(rand.NewPCG(1, 2))}
			cases := [][]string{crash.ByHand[door]}
			if os.Getenv("SLIPWAY_LONG") != "" {
				cases = slices.Collect(slices.Chunk(crash.ByHand[door], 1))
			}
			for _, points := range cases {
				name := door + ": " + strings.Join(points, ", ")
				t.Run(s.name+", "+name, func(t *testing.T) { k.byHand(t, door, name, points) })
			}
		}
	}
	result.publish(t)
}

func (k *killer) byHand(t *testing.T, door, name string, points []string) {
	f := k.newFleet(t, 1)
	h := &hands{fleet: f, door: door}
	flow := h.run(t, k.size.devices)
	kills := 0
	for _, point := range points {
		for range k.size.pointKills {
			life := f.node.start(t, "SLIPWAY_CRASH_AT="+point, fmt.Sprint("SLIPWAY_CRASH_SKIP=", k.random.IntN(k.size.devices)))
			life.awaitCrash(t, point)
			kills++
		}
	}
	last := f.node.start(t)
	k.settle(t, f, flow, last, row{Store: k.backend.name, Point: name, Kills: kills})
	k.noClaims(t, f.node)
}

// noClaims asserts that the reaper, whose hours have passed, left no temporary
// claim: not those whose keys were lost, and not those that were used.
func (k *killer) noClaims(t *testing.T, n *node) {
	db, err := k.backend.open(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.View(t.Context(), func(ctx context.Context, tx store.Tx) error {
		return every(func(p ref.Page) ([]*certs.ClaimRecord, string, error) { return tx.ListClaims(ctx, arn.Default, p) }, func(c *certs.ClaimRecord) error {
			if c.Trusted {
				t.Errorf("the temporary claim %s is never removed", c.CertID)
			}
			return nil
		})
	}); err != nil {
		t.Fatal(err)
	}
}

// hands are those who bring devices to a server, whichever of its lives it is
// in.
type hands struct {
	*fleet
	door    string
	id, key string // of the admin
}

// run has people bring devices, so many at a time, until finish is called.
func (h *hands) run(t *testing.T, together int) *flow {
	t.Helper()
	admin := h.node.admin(t)
	h.id, h.key = admin.AccessKeyID, admin.Secret
	ctx, cancel := context.WithCancel(t.Context())
	w := &flow{enough: make(chan struct{}), cancel: cancel}
	for range together {
		w.workers.Go(func() {
			for ctx.Err() == nil && w.more() {
				u := &unit{number: int(w.next.Add(1))}
				u.device = h.device(u.number*4 + 3) // of the template that asks no function
				u.device.ServerKeys, u.device.Connect.ClientID = false, "boot-"+serial(u.number)
				u.device.Parameters = map[string]string{"SerialNumber": serial(u.number)}
				if u.err = h.bring(ctx, u); u.err == nil {
					u.provision(ctx)
				}
				w.add(u)
			}
		})
	}
	t.Cleanup(func() { cancel(); w.workers.Wait() })
	return w
}

// bring gives a device what its door gives: all that it needs, or a claim.
func (h *hands) bring(ctx context.Context, u *unit) (err error) {
	if u.device.Key, err = ecdsa.GenerateKey(elliptic.P256(), cryptorand.Reader); err != nil {
		return err
	}
	switch h.door {
	case "direct":
		return h.make(ctx, u)
	case "trusted":
		return h.hand(ctx, u)
	}
	return h.approve(ctx, u)
}

// asking repeats a call until it is answered. What the server refuses ends it.
func (h *hands) asking(ctx context.Context, call func(at server.Endpoints, c *api.Client) error) error {
	for {
		at, err := h.node.readEndpoints()
		if err == nil {
			err = call(at, &api.Client{Endpoint: at.Control, Region: arn.Default.Region, AccessKeyID: h.id, Secret: h.key})
		}
		var no *api.Error
		if err == nil || errors.As(err, &no) && no.Status < 500 || errors.Is(err, errNo) || !pause(ctx) {
			return err
		}
	}
}

func (h *hands) make(ctx context.Context, u *unit) error {
	csr, err := sim.CSR(u.device.Key, "device")
	if err != nil {
		return err
	}
	var out struct{ CertificateID, CertificatePEM string }
	if err := h.asking(ctx, func(_ server.Endpoints, c *api.Client) error {
		return c.Do(ctx, http.MethodPost, "/slipway/devices", nil, nil, map[string]any{
			"thingName": thingName(u.number), "thingTypeName": fleetType, "thingGroups": []string{fleetGroup}, "policies": []string{fleetPolicy},
			"attributes": map[string]string{"serial": serial(u.number)}, "certificateSigningRequest": string(csr),
		}, &out)
	}); err != nil {
		return err
	}
	cert, err := pair(out.CertificatePEM, u.device.Key)
	u.device.Progress = sim.Progress{CertificateID: out.CertificateID, Thing: thingName(u.number), Registered: true, Cert: cert}
	return err
}

// hand gives the device a temporary claim.
func (h *hands) hand(ctx context.Context, u *unit) error {
	var out struct {
		CertificatePEM string
		KeyPair        struct{ PrivateKey string }
	}
	err := h.asking(ctx, func(_ server.Endpoints, c *api.Client) error {
		return c.Do(ctx, http.MethodPost, "/provisioning-templates/"+directTemplate+"/provisioning-claim", nil, nil, nil, &out)
	})
	if err == nil {
		u.device.Connect.Cert, err = tls.X509KeyPair([]byte(out.CertificatePEM), []byte(out.KeyPair.PrivateKey))
	}
	return err
}

// approve is both the device, which shows a code and fetches its claim, and the
// installer, who approves. Whose answer was lost asks again.
func (h *hands) approve(ctx context.Context, u *unit) error {
	spki, err := x509.MarshalPKIXPublicKey(u.device.Key.Public())
	if err != nil {
		return err
	}
	sum := sha256.Sum256(spki)
	key := hex.EncodeToString(sum[:])
	csr, err := sim.CSR(u.device.Key, "device")
	if err != nil {
		return err
	}
	var code struct {
		Device string `json:"device_code"`
		User   string `json:"user_code"`
	}
	if err := h.asking(ctx, func(at server.Endpoints, _ *api.Client) error {
		return h.post(ctx, at, "/slipway/device-code", map[string]any{"fingerprint": key, "about": map[string]string{"serial": serial(u.number)}}, &code)
	}); err != nil {
		return err
	}
	if err := h.asking(ctx, func(_ server.Endpoints, c *api.Client) error {
		err := c.Do(ctx, http.MethodPost, api.Path("slipway", "device-codes", code.User, "approve"), nil, nil,
			map[string]string{"templateName": directTemplate, "fingerprint": key}, nil)
		var no *api.Error
		if errors.As(err, &no) && strings.Contains(no.Message, "is approved already") {
			return nil // by the call whose answer was lost
		}
		return err
	}); err != nil {
		return err
	}
	var claim struct {
		Certificate string `json:"certificate_pem"`
	}
	if err := h.asking(ctx, func(at server.Endpoints, _ *api.Client) error {
		return h.post(ctx, at, "/slipway/device-token", map[string]string{"device_code": code.Device, "certificate_signing_request": string(csr)}, &claim)
	}); err != nil {
		return err
	}
	u.device.Connect.Cert, err = pair(claim.Certificate, u.device.Key)
	return err
}

// errNo is an answer that another try would not change.
var errNo = errors.New("the server refused")

// post asks the port for devices, as one that has no certificate.
func (h *hands) post(ctx context.Context, at server.Endpoints, path string, body, out any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+at.HTTPS+path, bytes.NewReader(b))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	web := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: h.roots, ServerName: at.Host}}}
	defer web.CloseIdleConnections()
	answer, err := web.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	switch {
	case answer.StatusCode == http.StatusOK:
		return json.NewDecoder(answer.Body).Decode(out)
	case answer.StatusCode == http.StatusTooManyRequests || answer.StatusCode >= 500:
		return errors.New(answer.Status)
	}
	return fmt.Errorf("%w: %s", errNo, answer.Status)
}

func pair(certificate string, key *ecdsa.PrivateKey) (tls.Certificate, error) {
	block, _ := pem.Decode([]byte(certificate))
	if block == nil {
		return tls.Certificate{}, errors.New("the certificate is no PEM")
	}
	return tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: key}, nil
}
