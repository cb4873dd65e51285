package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/store"
)

// connect judges CONNECT, in the order of device-gateway.md, section 8: client
// id, certificate, policy, will, takeover, CONNACK. It gives a sentence when
// the connection is over.
func (s *session) connect(p *mqtt.Connect) string {
	defer s.stage("connect")()
	s.version = p.Version
	s.settle(p)
	if code, why := s.name(p); why != "" {
		return s.refuseConnect(code, "client-id", why)
	}
	if why := s.placeTenant(); why != "" {
		return s.refuseConnect(mqtt.NotAuthorized, "sni", why)
	}
	s.g.hub.watch(s) // before the status is read: see hub
	var granted *rights
	err := s.g.DB.View(s.ctx, func(ctx context.Context, tx store.Tx) (err error) {
		granted, err = s.identify(ctx, tx, p)
		return err
	})
	s.rec.Who(s.tenant, s.certID, s.clientID)
	if err != nil {
		return s.refuseConnect(connectCode(err), "certificate", sentence(err))
	}
	s.rights.Store(granted)
	s.hasThing, s.exclusive = granted.thing != "", granted.exclusive
	if why := s.mayConnect(p); why != "" {
		return s.refuseConnect(mqtt.NotAuthorized, "policy", why)
	}
	if p.Will != nil {
		if code, why := s.mayWill(p.Will); why != "" {
			return s.refuseConnect(code, "policy", why)
		}
	}
	return s.enter(p)
}

func (s *session) stage(name string) (done func()) {
	start := s.g.Now()
	return func() { s.g.Metrics.Stage(name, s.g.Now().Sub(start)) }
}

// settle takes what CONNECT says about how to talk.
func (s *session) settle(p *mqtt.Connect) {
	s.reasons = s.version == mqtt.V5 && p.Properties.RequestProblemInfo.Or(true)
	s.window = min(int(p.Properties.ReceiveMaximum.Or(maxInflight)), maxInflight)
	s.maxPacket = int(p.Properties.MaximumPacketSize.Or(0))
	k := int(p.KeepAlive)
	switch {
	case k == 0 || k > maxKeepAlive:
		k = maxKeepAlive
	case k < minKeepAlive:
		k = minKeepAlive
	}
	s.keepAlive = time.Duration(k) * time.Second
}

// name checks the client id, or gives one (device-gateway.md, section 3.2).
func (s *session) name(p *mqtt.Connect) (mqtt.ReasonCode, string) {
	bad := mqtt.ClientIDNotValid
	if s.version == mqtt.V311 {
		bad = mqtt.RefusedClientID
	}
	s.clientID = p.ClientID
	switch {
	case p.ClientID == "" && s.version == mqtt.V311 && !p.CleanStart:
		return bad, "The client id is empty and the session is not clean; MQTT 3.1.1 needs a client id then."
	case p.ClientID == "":
		s.clientID = "$GEN/" + uuid.NewString()
	case len(p.ClientID) > maxClientID:
		return bad, fmt.Sprintf("The client id has %d bytes; at most %d are allowed.", len(p.ClientID), maxClientID)
	case strings.HasPrefix(p.ClientID, "$"):
		return bad, "The client id begins with $, which is reserved."
	}
	if s.maxPacket > 0 && s.maxPacket < minClientPacket {
		return mqtt.ProtocolError, fmt.Sprintf("The device takes packets of at most %d bytes; at least %d are needed.", s.maxPacket, minClientPacket)
	}
	return 0, ""
}

// placeTenant finds the tenant: by SNI, or, for a device that sent none, the
// one in which its certificate is registered.
func (s *session) placeTenant() string {
	if s.serverName != "" {
		s.tenant, _ = s.g.Names.Tenant(s.serverName) // the handshake refused unknown names
		return ""
	}
	for _, t := range s.g.Names.Tenants() {
		var c *certs.Certificate
		err := s.g.DB.View(s.ctx, func(ctx context.Context, tx store.Tx) (err error) {
			c, err = tx.Certificate(ctx, t, s.certID)
			return err
		})
		if err == nil && c.Mode == "DEFAULT" {
			s.tenant = t
			return ""
		}
	}
	return fmt.Sprintf("Certificate %s is registered in no account of this server, and the device sent no server name (SNI) that would pick one.", s.certID)
}

// identify reads, in one snapshot, everything that decides what the device is
// and may do. An error refuses; its sentence says why.
func (s *session) identify(ctx context.Context, tx store.Tx, p *mqtt.Connect) (*rights, error) {
	c, err := tx.Certificate(ctx, s.tenant, s.certID)
	if fault.Is(err, fault.Missing) {
		return nil, fault.Wrap(fault.Refused, err, "Certificate %s is not registered in account %s, region %s.", s.certID, s.tenant.Account, s.tenant.Region)
	}
	if err != nil {
		return nil, err
	}
	s.cert = c
	if why := usable(c, s.g.Now()); why != "" {
		return nil, fault.New(fault.Refused, "%s", why)
	}
	if c.Origin == certs.FromClaim || c.Origin == certs.FromUser {
		if s.claim, err = tx.Claim(ctx, s.tenant, s.certID); err != nil && !fault.Is(err, fault.Missing) {
			return nil, err
		}
	}
	return s.readRights(ctx, tx, connectAttributes(p), willTopic(p))
}

// connectAttributes is the value of iot:ConnectAttributes (policies.md,
// section 3).
func connectAttributes(p *mqtt.Connect) (out []string) {
	persistent := !p.CleanStart
	if p.Version == mqtt.V5 {
		persistent = !p.CleanStart || p.Properties.SessionExpiry.Or(0) > 0
	}
	if persistent {
		out = append(out, "PersistentConnect")
	}
	if p.Will != nil {
		out = append(out, "LastWill")
	}
	return out
}

func willTopic(p *mqtt.Connect) string {
	if p.Will == nil {
		return ""
	}
	return p.Will.Topic
}

func (s *session) mayConnect(p *mqtt.Connect) string {
	resource := policy.ClientARN(s.tenant, s.clientID)
	d := s.rights.Load().bound.Decide("iot:Connect", resource)
	if d.Allowed {
		return ""
	}
	return d.Sentence("iot:Connect", resource)
}

// mayWill checks the will's topic at CONNECT, as AWS does. Wills are not
// published yet.
func (s *session) mayWill(w *mqtt.Will) (mqtt.ReasonCode, string) {
	if w.QoS == 2 {
		return mqtt.QoSNotSupported, "The will asks for QoS 2, which is not supported."
	}
	actions := []string{"iot:Publish"}
	if w.Retain {
		actions = append(actions, "iot:RetainPublish")
	}
	for _, a := range actions {
		resource := policy.TopicARN(s.tenant, w.Topic)
		if d := s.rights.Load().bound.Decide(a, resource); !d.Allowed {
			return mqtt.NotAuthorized, "The will may not be published. " + d.Sentence(a, resource)
		}
	}
	return 0, ""
}

// enter takes the client id and answers CONNACK.
func (s *session) enter(p *mqtt.Connect) string {
	old, refused := s.g.hub.claim(s)
	if refused {
		return s.refuseConnect(mqtt.NotAuthorized, "client-id", fmt.Sprintf(
			"Client id %s is held by a provisioned device (from %s, since %s); a certificate without a thing cannot take it over.", s.clientID, old.remote, stamp(old.since)))
	}
	if old != nil {
		old.detach() // from here on, messages reach the new session only
		old.end(mqtt.SessionTakenOver, fmt.Sprintf("Another connection took over client id %s (from %s).", s.clientID, s.remote))
		s.rec.Step("connect", fmt.Sprintf("Took over client id %s from the connection of %s (since %s).", s.clientID, old.remote, stamp(old.since)))
	}
	s.passed = true
	s.g.door.pass(s.raw)
	s.g.Metrics.Connection(1)
	s.rec.Step("connect", fmt.Sprintf("%s, client id %s, accepted.", s.version, s.clientID))
	s.send(s.connack(p))
	s.out.ready.Store(true)
	if why := s.ended.Load(); why != nil {
		return *why // revoked between the read of its status and now
	}
	s.g.Log.DebugContext(s.ctx, "connect", slog.String("client", s.clientID), slog.String("certificate", string(s.certID)))
	return ""
}

func (s *session) connack(p *mqtt.Connect) *mqtt.Connack {
	a := &mqtt.Connack{Code: mqtt.Success}
	if s.version != mqtt.V5 {
		return a
	}
	pr := &a.Properties
	pr.ReceiveMaximum = mqtt.Some(uint16(maxInflight))
	pr.MaximumQoS = mqtt.Some(byte(1))
	pr.RetainAvailable = mqtt.Some(false)
	pr.MaximumPacketSize = mqtt.Some(uint32(s.g.Limits.Packet))
	pr.TopicAliasMaximum = mqtt.Some(uint16(maxAliases))
	pr.WildcardAvailable = mqtt.Some(true)
	pr.SubscriptionIDsUsable = mqtt.Some(false)
	pr.SharedAvailable = mqtt.Some(true)
	if p.ClientID == "" {
		pr.AssignedClientID = mqtt.Some(s.clientID)
	}
	if p.Properties.SessionExpiry.Or(0) != 0 { // sessions do not outlive connections yet
		pr.SessionExpiry = mqtt.Some(uint32(0))
	}
	if k := uint16(s.keepAlive / time.Second); k != p.KeepAlive {
		pr.ServerKeepAlive = mqtt.Some(k)
	}
	return a
}

// refuseConnect ends the connection at CONNECT. On MQTT 5 CONNACK says why; a
// 3.1.1 device sees its socket close without one, as on AWS, but for a bad
// client id.
func (s *session) refuseConnect(code mqtt.ReasonCode, cause, text string) string {
	s.rec.Refuse("connect", text)
	s.g.Metrics.Refusal(cause)
	s.g.door.failed(s.from)
	switch {
	case s.version == mqtt.V5:
		a := &mqtt.Connack{Code: code}
		if s.reasons {
			a.Properties.ReasonString = mqtt.Some(arn.Clip(text, maxReason))
		}
		s.send(a)
	case code == mqtt.RefusedClientID:
		s.send(&mqtt.Connack{Code: code})
	}
	s.endOnce.Do(func() {})
	return text
}

// connectCode is the MQTT 5 reason code of an error at CONNECT.
func connectCode(err error) mqtt.ReasonCode {
	if fault.Is(err, fault.Refused) {
		return mqtt.NotAuthorized
	}
	return mqtt.UnspecifiedError
}
