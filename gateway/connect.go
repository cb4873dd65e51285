package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/slipway-iot/slipway/access"
	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/store"
)

// connect judges CONNECT, in the order of device-gateway.md, section 8: client
// id, certificate or authorizer, policy, will, rate quotas, takeover, CONNACK. It
// gives a sentence when the connection is over.
func (s *session) connect(p *mqtt.Connect) string {
	defer s.stage("connect")()
	s.version = p.Version
	s.settle(p)
	if code, why := s.acceptable(p); why != "" {
		return s.refuseConnect(code, "client-id", why)
	}
	if err := s.placeTenant(); err != nil {
		return s.refuseFor("sni", err)
	}
	if s.certID == "" {
		if err := s.introduce(p); err != nil {
			return s.refuseFor("authorizer", err)
		}
	}
	granted, why := s.admitted(p)
	if why != "" {
		return why
	}
	s.claim = granted.claim
	s.rights.Store(granted)
	s.hasThing = granted.thing != ""
	if why := s.mayConnect(); why != "" {
		return s.refuseConnect(mqtt.NotAuthorized, "policy", why)
	}
	if p.Will != nil {
		if code, why := s.mayWill(p.Will); why != "" {
			return s.refuseConnect(code, "policy", why)
		}
	}
	if why := s.overConnect(); why != "" {
		s.who()
		s.rec.Refuse("connect", why)
		return s.noConnack(mqtt.QuotaExceeded, "rate", why)
	}
	if why = s.enter(p); why == "" {
		s.keepVouched()
	}
	if s.arrived {
		s.record()
	}
	return why
}

// admitted reads who the connection is and what it may do, or ends it with a
// sentence.
func (s *session) admitted(p *mqtt.Connect) (*rights, string) {
	s.g.hub.watch(s) // before the status is read: see hub
	if s.serverName != "" {
		if _, open := s.g.Names.Tenant(s.serverName); !open { // it was, before watch
			return nil, s.refuseFor("sni", s.nowhere())
		}
	}
	granted, err := s.judge(p)
	if errors.Is(err, errArrives) {
		if why := s.arrive(); why != "" {
			return nil, why
		}
		granted, err = s.judge(p)
	}
	if err == nil && s.asks && s.vouched == nil { // the function learns of accepted certificates alone
		if err := s.introduce(p); err != nil {
			return nil, s.refuseFor("authorizer", err)
		}
		granted, err = s.judge(p)
	}
	switch why := s.ended.Load(); {
	case why != nil: // cut while its status was read
		return nil, s.refuseConnect(mqtt.NotAuthorized, "certificate", *why)
	case err != nil:
		return nil, s.refuseFor("certificate", err)
	}
	return granted, ""
}

// nowhere refuses a server name that led somewhere during the handshake.
func (s *session) nowhere() error {
	if d := s.g.Names.Domain(s.serverName); d != nil {
		if why := closed(d); why != "" {
			return fault.New(fault.Refused, "%s", why)
		}
	}
	return fault.New(fault.Refused, "Server name %s is no endpoint of this server any more; its account was switched off, or its domain configuration deleted.", quoted(s.serverName))
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
	s.aliasMax = min(int(p.Properties.TopicAliasMaximum.Or(0)), maxAliases)
	s.keepAlive = time.Duration(p.KeepAlive) * time.Second
	switch {
	case s.keepAlive == 0 || s.keepAlive > maxKeepAlive:
		s.keepAlive = maxKeepAlive
	case s.keepAlive < s.g.Limits.KeepAlive:
		s.keepAlive = s.g.Limits.KeepAlive
	}
}

// acceptable checks the client id, or gives one (device-gateway.md, section
// 3.2), and what else of CONNECT needs no store.
func (s *session) acceptable(p *mqtt.Connect) (mqtt.ReasonCode, string) {
	bad := mqtt.ClientIDNotValid
	if s.version == mqtt.V311 {
		bad = mqtt.RefusedClientID
	}
	s.clientID = p.ClientID
	switch {
	case p.ClientID == "" && s.version == mqtt.V311 && !p.CleanStart:
		return bad, "The client id is empty and clean session is 0; MQTT 3.1.1 needs a client id then. Send one, or set clean session."
	case p.ClientID == "":
		s.clientID = "$GEN/" + uuid.NewString()
	case len(p.ClientID) > maxClientID:
		return bad, fmt.Sprintf("The client id has %d bytes; at most %d are allowed.", len(p.ClientID), maxClientID)
	case strings.HasPrefix(p.ClientID, "$"):
		return bad, "Client id " + quoted(p.ClientID) + " begins with $, which is reserved; choose another."
	}
	if s.maxPacket > 0 && s.maxPacket < minClientPacket {
		return mqtt.UnspecifiedError, fmt.Sprintf("CONNECT says that the device takes packets of at most %d bytes (Maximum Packet Size); at least %d are needed.", s.maxPacket, minClientPacket)
	}
	if n := userBytes(&p.Properties); n > maxUser {
		return mqtt.QuotaExceeded, fmt.Sprintf("CONNECT has user properties of %d bytes; at most %d are allowed.", n, maxUser)
	}
	if p.Properties.AuthMethod.IsSet() { // MQTT 5.0, 4.12
		return mqtt.NotAuthorized, "CONNECT names an authentication method; enhanced authentication is not supported."
	}
	return 0, ""
}

// placeTenant finds the tenant: by SNI, or, for a device that sent none, the
// one in which its certificate is registered.
func (s *session) placeTenant() error {
	if s.serverName != "" {
		t, known := s.g.Names.Tenant(s.serverName)
		if !known { // it was, during the handshake
			return s.nowhere()
		}
		if s.signed != nil && s.signed.Tenant != t {
			return fault.New(fault.Refused, "The request was signed for account %s, region %s, and its host %s is that of account %s, region %s. Ask DescribeEndpoint for the host to use.", s.signed.Tenant.Account, arn.Clip(s.signed.Tenant.Region, 40), quoted(s.serverName), t.Account, t.Region)
		}
		s.tenant = t
		return nil
	}
	if s.signed != nil {
		s.tenant = s.signed.Tenant
		return nil
	}
	if s.certID == "" {
		return fault.New(fault.Refused, "The device shows no certificate, and sent no server name (SNI), which would pick an account. Let it send one of: %s.", knownNames(s.g.Names.Known()))
	}
	shared := false
	for _, t := range s.g.Names.Tenants() {
		switch c, err := s.registered(t); {
		case fault.Is(err, fault.Missing):
		case err != nil:
			return err
		case c.Mode == certs.DefaultMode:
			s.tenant = t
			return s.unnamed()
		default:
			shared = true
		}
	}
	if shared {
		return fault.New(fault.Refused, "Certificate %s is registered in SNI_ONLY mode, in which several accounts may have it, and the device sent no server name (SNI) that would pick one. Let the device send one of: %s.", s.certID, knownNames(s.g.Names.Known()))
	}
	return fault.New(fault.Refused, "Certificate %s is registered in no account of this server, and the device sent no server name (SNI) that would pick one. Register the certificate, or let the device send one of: %s.", s.certID, knownNames(s.g.Names.Known()))
}

// unnamed refuses a device that sent no server name where one is needed: TLS
// knew no tenant, and so not the policy of its endpoint (device-gateway.md,
// section 2.2).
func (s *session) unnamed() error {
	if d := s.g.Names.Standing(s.tenant); d != nil && d.TLSPolicy != access.TLS13From12 {
		return fault.New(fault.Refused, "The endpoint of account %s has the TLS policy %s, so a device must send its server name (SNI), and this one sent none.", s.tenant.Account, d.TLSPolicy)
	}
	return nil
}

func (s *session) registered(t arn.Tenant) (c *certs.Certificate, err error) {
	err = s.g.DB.Peek(s.ctx, func(ctx context.Context, tx store.Tx) (err error) {
		c, err = tx.Certificate(ctx, t, s.certID)
		return err
	})
	return c, err
}

// judge reads what the device is and may do.
func (s *session) judge(p *mqtt.Connect) (granted *rights, err error) {
	epoch := s.g.recent.now()
	err = s.g.DB.Peek(s.ctx, func(ctx context.Context, tx store.Tx) (err error) {
		granted, err = s.identify(ctx, tx, epoch, connectAttributes(p), willTopic(p))
		return err
	})
	return granted, err
}

// errArrives is the cause when a certificate is not registered, or waits since
// it connected first: its CA may say what becomes of it (arrive.go).
var errArrives = errors.New("gateway: the certificate connects before it is known")

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

func (s *session) mayConnect() string {
	resource := policy.ClientARN(s.tenant, s.clientID)
	return s.rights.Load().decide("iot:Connect", resource)
}

// enter takes the client id and answers CONNACK.
func (s *session) enter(p *mqtt.Connect) string {
	if why := s.claimID(p); why != "" {
		return why
	}
	s.tellConnected()
	s.g.Log.DebugContext(s.ctx, "connect", slog.String("client", s.clientID), slog.String("principal", s.name()))
	return ""
}

// claimID takes the client id and its session, and answers CONNACK.
func (s *session) claimID(p *mqtt.Connect) string {
	defer s.g.lastings.turn(clientKey{s.tenant, s.clientID})()
	old, refused := s.g.hub.claim(s)
	if refused {
		s.rec.Step("connect", fmt.Sprintf("Client id %s is held by the connection of %s from %s, since %s.", s.clientID, old.describe(), old.remote, stamp(old.since)))
		return s.refuseConnect(mqtt.NotAuthorized, "client-id", fmt.Sprintf(
			"Client id %s is in use by a device that has a thing; who has none, such as a claim, cannot take it over. Use another client id for provisioning, or wait until that connection has ended.", quoted(s.clientID)))
	}
	if old != nil {
		s.takeOver(old)
	}
	present, err := s.openSession(p)
	switch {
	case fault.Is(err, fault.Refused):
		return s.refuseConnect(mqtt.QuotaExceeded, "sessions", sentence(err))
	case err != nil:
		return s.refuseFor("session", err)
	}
	if err := s.keepWill(p.Will, present, s.outlives()); err != nil {
		return s.refuseFor("will", err)
	}
	s.who()
	s.rec.Step("connect", fmt.Sprintf("%s, client id %s, accepted.", s.version, s.clientID))
	s.passed = true
	s.g.door.pass(s.raw)
	s.g.Metrics.Connection(1)
	if s.g.ctx.Err() != nil { // Close may have looked for sessions before this one was there
		s.end(mqtt.ServerShuttingDown, shuttingDown)
	}
	s.entered.Store(true)
	s.welcome(s.connack(p, present))
	if s.lasting != nil {
		s.lasting.attach(s)
	}
	return ""
}

func (s *session) connack(p *mqtt.Connect, present bool) *mqtt.Connack {
	a := &mqtt.Connack{Code: mqtt.Success, SessionPresent: present}
	if s.version != mqtt.V5 {
		return a
	}
	pr := &a.Properties
	pr.ReceiveMaximum = mqtt.Some(uint16(maxInflight))
	pr.MaximumQoS = mqtt.Some(byte(1))
	pr.RetainAvailable = mqtt.Some(true)
	pr.MaximumPacketSize = mqtt.Some(uint32(s.g.Limits.Packet))
	pr.TopicAliasMaximum = mqtt.Some(uint16(maxAliases))
	pr.WildcardAvailable = mqtt.Some(true)
	pr.SubscriptionIDsUsable = mqtt.Some(false)
	pr.SharedAvailable = mqtt.Some(true)
	if p.ClientID == "" {
		pr.AssignedClientID = mqtt.Some(s.clientID)
	}
	if s.outlives() != s.asked {
		pr.SessionExpiry = mqtt.Some(seconds(s.outlives()))
	}
	if k := uint16(s.keepAlive / time.Second); k != p.KeepAlive {
		pr.ServerKeepAlive = mqtt.Some(k)
	}
	return a
}

// refuseConnect ends the connection at CONNECT, because of a rule.
func (s *session) refuseConnect(code mqtt.ReasonCode, cause, text string) string {
	s.g.door.failed(s.from)
	s.who()
	s.rec.Refuse("connect", text)
	if cause == "policy" || cause == "certificate" {
		s.tellFailed()
	}
	return s.noConnack(code, cause, text)
}

// refuseFor ends the connection at CONNECT, because of an error. What is no
// rule is the server's own failure, and does not count against the address.
func (s *session) refuseFor(cause string, err error) string {
	if fault.Is(err, fault.Refused) {
		return s.refuseConnect(mqtt.NotAuthorized, cause, sentence(err))
	}
	s.g.Log.ErrorContext(s.ctx, "connect", slog.String("principal", s.name()), slog.Any("err", err))
	text := sentence(err)
	s.who()
	s.rec.Fail("connect", text)
	return s.noConnack(mqtt.UnspecifiedError, "server", text)
}

// who tells the attempt whose it is, as far as that is known.
func (s *session) who() {
	if s.tenant == (arn.Tenant{}) {
		s.tenant = arn.Default
	}
	s.rec.Who(s.tenant, s.certID, s.clientID)
	if s.signed != nil || s.vouched != nil {
		s.rec.Find(map[string]string{"principal": s.name()})
	}
}

// noConnack refuses as AWS does: on MQTT 5 CONNACK says why; a 3.1.1 device
// sees its socket close without one, but for a bad client id.
func (s *session) noConnack(code mqtt.ReasonCode, cause, text string) string {
	s.cause = cause
	s.g.Metrics.Refusal(cause)
	s.endOnce.Do(func() {}) // CONNACK is the last packet
	switch {
	case s.version == mqtt.V5:
		a := &mqtt.Connack{Code: code}
		a.Properties.ReasonString = s.reason(text)
		s.turnDown(a)
	case code == mqtt.RefusedClientID:
		s.turnDown(&mqtt.Connack{Code: code})
	}
	return text
}
