package gateway

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/slipway-iot/slipway/access"
	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/authorize"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/functions"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/store"
)

// site is the host name of a domain configuration.
const site = "things.example"

// A judge is the authorizers of the tests. Their function takes the password, or
// the header "password", that says what it answers.
type judge struct {
	*authorize.Service

	mu      sync.Mutex
	answers map[string]string // by password
	asked   []string
	wait    chan struct{} // receives one when the function was asked
	short   time.Duration // in place of refreshAfterInSeconds, if set
	brief   time.Duration // in place of disconnectAfterInSeconds, if set
}

func newJudge(r *rig) *judge {
	j := &judge{answers: map[string]string{}, wait: make(chan struct{}, 64)}
	j.Service = &authorize.Service{DB: r.store, Functions: j, Now: r.now}
	return j
}

func (j *judge) Resolve(context.Context, arn.Tenant, string) (functions.Function, error) {
	return j, nil
}

func (j *judge) Close() error { return nil }

func (j *judge) Invoke(_ context.Context, payload []byte) ([]byte, error) {
	var e struct {
		Data struct {
			MQTT struct{ Password []byte }
			HTTP struct{ Headers map[string]string }
		} `json:"protocolData"`
	}
	if err := json.Unmarshal(payload, &e); err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.asked = append(j.asked, string(payload))
	answer, ok := j.answers[string(e.Data.MQTT.Password)+e.Data.HTTP.Headers["password"]]
	if !ok {
		answer = `{"isAuthenticated":false}`
	}
	select {
	case j.wait <- struct{}{}:
	default:
	}
	return []byte(answer), nil
}

// Decide makes the times of a verdict short, which AWS does not let a function.
func (j *judge) Decide(ctx context.Context, r *authorize.Request) (*authorize.Verdict, error) {
	v, err := j.Service.Decide(ctx, r)
	if err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.short > 0 {
		v.Refresh = j.short
	}
	if j.brief > 0 {
		v.Disconnect = j.brief
	}
	return v, nil
}

// says makes the function answer a password with a principal and documents.
func (j *judge) says(password, principal string, documents ...string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.answers[password] = `{"isAuthenticated":true,"principalId":"` + principal + `","policyDocuments":[` + strings.Join(documents, ",") + `]}`
}

func (j *judge) forgets(password string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.answers, password)
}

func (j *judge) times(refresh, disconnect time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.short, j.brief = refresh, disconnect
}

// questions gives what the function was asked, and forgets it.
func (j *judge) questions() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	asked := j.asked
	j.asked = nil
	return asked
}

// authorizer makes an ACTIVE authorizer that wants no signatures.
func (r *rig) authorizer(name string, caching bool) {
	r.t.Helper()
	r.update(func(ctx context.Context, tx store.Tx) error {
		return access.CreateAuthorizer(ctx, tx, arn.Default, &access.Authorizer{
			Name: name, FunctionARN: "judge", Status: access.Active, SigningDisabled: true, TokenKeyName: "Token", Caching: caching,
		})
	})
}

// configure makes site the name of a domain configuration.
func (r *rig) configure(authentication, protocol, tlsPolicy string) *access.Domain {
	d := &access.Domain{Name: "site", DomainName: site, Service: access.Data, Status: access.Enabled, TLSPolicy: tlsPolicy,
		Authentication: authentication, Protocol: protocol, Authorizer: &access.AuthorizerConfig{Name: "door"}}
	r.names.mu.Lock()
	defer r.names.mu.Unlock()
	r.names.domains = map[string]*access.Domain{site: d}
	return d
}

// close makes the domain configuration DISABLED, as the server would tell of it.
func (r *rig) closeDomain() {
	was := r.names.Domain(site)
	now := *was
	now.Status = access.Disabled
	r.names.mu.Lock()
	r.names.domains[site] = &now
	r.names.mu.Unlock()
	r.gateway.Follow(event.Event{Kind: event.DomainChanged, Tenant: arn.Default, ID: now.Name, Detail: now.Status})
}

func named(name string) func(*tls.Config) { return func(c *tls.Config) { c.ServerName = name } }

// shows adds user name and password.
func shows(username, password string) func(*mqtt.Connect) {
	return func(p *mqtt.Connect) { p.Username, p.Password = mqtt.Some(username), []byte(password) }
}

// custom opens a connection for a custom authorizer: by ALPN on the port of all.
func (r *rig) custom(v mqtt.Version, change ...func(*tls.Config)) *raw {
	r.t.Helper()
	d, err := r.handshakeAt(r.alpn, tls.Certificate{}, append([]func(*tls.Config){alpn(alpnCustom)}, change...)...)
	must(r.t, err)
	d.version = v
	return d
}

// admitted says whether CONNECT with these credentials is accepted.
func (d *raw) admitted(clientID, username, password string) bool {
	d.t.Helper()
	d.connect(clientID, shows(username, password))
	return d.accepted()
}
