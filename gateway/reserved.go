package gateway

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/internal/crash"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/provision"
	"github.com/slipway-iot/slipway/wire"
)

// reserved serves a PUBLISH to a topic that begins with $. Such topics never
// reach other devices: requests go to their handler, answers to the connection
// that asked and to no other (DESIGN.md, decision 13).
func (s *session) reserved(p *mqtt.Publish) string {
	if s.ingest(p) {
		return ""
	}
	op, template, format, ok := wire.ParseTopic(p.Topic)
	if !ok {
		return s.refusePublish(p, mqtt.TopicNameInvalid, "topic", notReserved(p.Topic))
	}
	if s.cert == nil { // provisioning trades one certificate for another
		return s.refusePublish(p, mqtt.NotAuthorized, "topic", "Topic "+quoted(p.Topic)+" is for devices that show a certificate, such as a claim; this connection is that of "+s.describe()+".")
	}
	s.ack(p, mqtt.Success, "")
	s.pays() // what follows takes its time
	s.rec.Through(s.doorName(), template)
	stretch(0)
	body, err := s.perform(op, template, format, p.Payload)
	s.answer(op, p.Topic, format, body, err)
	return ""
}

// perform carries one request out, if the account has not used up what AWS grants.
func (s *session) perform(op wire.Operation, template string, f wire.Format, payload []byte) (encoder, error) {
	if s.pace != nil {
		if err := s.pace.account.provision(op, s.g.Now()); err != nil {
			return nil, err
		}
	}
	switch op {
	case wire.CreateKeys:
		return s.createKeys(f, payload)
	case wire.CreateFromCSR:
		return s.createFromCSR(f, payload)
	}
	return s.registerThing(template, f, payload)
}

// notReserved says what is wrong with a reserved topic that is no operation.
func notReserved(topic string) string {
	what := "Topic " + quoted(topic) + " is reserved and no operation of this server."
	if !strings.HasPrefix(topic, "$aws/certificates/create") && !strings.HasPrefix(topic, "$aws/provisioning-templates/") {
		return what
	}
	return what + " Requests go to $aws/certificates/create/FORMAT, $aws/certificates/create-from-csr/FORMAT and $aws/provisioning-templates/TEMPLATE/provision/FORMAT, with FORMAT json or cbor."
}

type encoder interface{ Encode(wire.Format) []byte }

func (s *session) doorName() string {
	switch {
	case s.claim != nil && s.claim.Trusted:
		return "trusted"
	case s.hasThing:
		return "rotation"
	}
	return "claim"
}

func (s *session) caller() provision.Caller {
	return provision.Caller{
		Tenant: s.tenant, CertID: s.certID, ClientID: s.clientID, Claim: s.claim,
		NotAfter: s.cert.NotAfter, Since: s.since, Template: s.template, MayPublish: s.mayPublishTo, Trace: s.rec,
	}
}

func (s *session) mayPublishTo(topic string) bool {
	return s.may("iot:Publish", policy.TopicARN(s.tenant, topic)) == ""
}

// createKeys serves $aws/certificates/create/FMT. A device that sends a CSR
// there gets a certificate for its own key (docs/divergences.md).
func (s *session) createKeys(f wire.Format, payload []byte) (encoder, error) {
	req, err := wire.DecodeCreate(f, payload)
	if err != nil {
		return nil, err
	}
	if req.Given {
		return s.created(s.g.Provision.CreateFromCSR(s.ctx, s.caller(), req.CSR))
	}
	return s.created(s.g.Provision.CreateKeys(s.ctx, s.caller()))
}

func (s *session) createFromCSR(f wire.Format, payload []byte) (encoder, error) {
	req, err := wire.DecodeCreateFromCSR(f, payload)
	if err != nil {
		return nil, err
	}
	return s.created(s.g.Provision.CreateFromCSR(s.ctx, s.caller(), req.CSR))
}

func (s *session) created(a *wire.CreateAnswer, err error) (encoder, error) {
	if err != nil {
		return nil, err
	}
	s.rec.Made(arn.CertID(a.CertificateID))
	return a, nil
}

func (s *session) registerThing(template string, f wire.Format, payload []byte) (encoder, error) {
	req, err := wire.DecodeRegister(f, payload)
	if err != nil {
		return nil, err
	}
	s.rec.Find(req.Parameters)
	a, err := s.g.Provision.RegisterThing(s.ctx, s.caller(), template, req)
	if err != nil {
		return nil, err
	}
	s.rec.Became(a.ThingName)
	return a, nil
}

// answer is the only way out of a reserved topic: one reply, on the connection
// that asked, and one log event.
func (s *session) answer(op wire.Operation, topic string, f wire.Format, body encoder, err error) {
	log := s.g.Log.With(slog.String("remote", s.remote), slog.String("client", s.clientID), slog.String("certificate", string(s.certID)))
	defer s.record()
	if err == nil {
		log.InfoContext(s.ctx, op.String(), made(body))
		s.reply(wire.Accepted(topic), body.Encode(f))
		answered(op)
		return
	}
	face, text := fault.Show(err)
	if why := s.ended.Load(); why != nil { // the connection ended while we worked: nobody is to blame, nobody listens
		log.InfoContext(s.ctx, op.String(), slog.String("code", "ended"), slog.Any("err", err))
		s.rec.Step(stepOf(op), "Given up, because the connection ended: "+*why)
		return
	}
	log.LogAttrs(s.ctx, face.Level, op.String(), slog.String("code", face.Code), slog.Any("err", err))
	s.g.Metrics.Refusal(face.Code)
	if face.MQTT >= 500 {
		s.rec.Fail(stepOf(op), text)
	} else {
		s.rec.Refuse(stepOf(op), text)
	}
	s.reply(wire.Rejected(topic), wire.Rejection{StatusCode: face.MQTT, ErrorCode: face.Code, ErrorMessage: text}.Encode(f))
}

// made names what an operation made, for the log.
func made(body encoder) slog.Attr {
	switch b := body.(type) {
	case *wire.CreateAnswer:
		return slog.String("made", b.CertificateID)
	case *wire.RegisterAnswer:
		return slog.String("thing", b.ThingName)
	}
	return slog.Attr{}
}

// answered is the last moment of an operation at which the server may be
// killed by the crash tests.
func answered(op wire.Operation) {
	if op == wire.RegisterThing {
		crash.Point("register.answered")
	} else {
		crash.Point("create.answered")
	}
}

func stepOf(op wire.Operation) string {
	if op == wire.RegisterThing {
		return "register"
	}
	return "create"
}

// reply sends a direct reply at the QoS at which the device listens, and at
// QoS 0 to one that does not.
func (s *session) reply(topic string, payload []byte) {
	short := strings.TrimPrefix(topic, "$aws/")
	qos, listens := s.granted(topic)
	sent := s.deliverFor(&mqtt.Publish{Topic: topic, Payload: payload, QoS: qos}, outgoing{}, s)
	s.pays()
	if !sent && s.maxPacket > 0 {
		s.rec.Step("answer", fmt.Sprintf("The answer on %s, with %d bytes, could not be sent: the device takes packets of at most %d bytes.", short, len(payload), s.maxPacket))
		return
	}
	if !listens {
		short += ", which the device has not subscribed to; it is sent all the same"
	}
	s.rec.Step("answer", short)
}
