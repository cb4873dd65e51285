package gateway

import (
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/dispatch"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/internal/crash"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/provision"
)

// arrive serves a CONNECT with a certificate that is not registered, or that
// waits since it connected first (methods.md, sections 4 and 5). It gives a
// sentence when the connection is over, and none when the certificate may be
// judged as any other.
//
// The connection during which a device is provisioned just in time is closed,
// as AWS does, unless JITPInline is set; the device connects again. JITR closes
// every one until somebody activates the certificate.
func (s *session) arrive() string {
	who := provision.Caller{Tenant: s.tenant, CertID: s.certID, ClientID: s.clientID, From: s.remote, Since: s.since, Trace: s.rec}
	a, err := s.g.Provision.JustInTime(s.ctx, who, s.leaf)
	if a.Certificate != nil {
		s.cert = a.Certificate
	}
	if a.Certificate != nil && a.Door != "" {
		s.rec.Through(a.Door, a.Template)
		s.rec.Find(a.Subject)
	}
	if a.Registered || a.Door == provision.JITR && err == nil && a.Certificate.Awaits() {
		s.announce(a)
	}
	switch {
	case err != nil:
		return s.notArrived(a, err)
	case a.Certificate.Awaits():
		return s.waits(a)
	case a.Provisioned:
		return s.provisioned(a)
	}
	return ""
}

// notArrived ends a connection that came to nothing.
func (s *session) notArrived(a *provision.Arrival, err error) string {
	if a.Door == "" || !fault.Is(err, fault.Refused) {
		return s.refuseFor("certificate", err)
	}
	return s.refuseFor(a.Door, err)
}

// waits ends the connection of a certificate that nobody has activated yet. It
// does not count against the address, however often it comes: a factory's worth
// of devices may stand behind one, and each has proved whose it is.
func (s *session) waits(a *provision.Arrival) string {
	text := fmt.Sprintf("Certificate %s waits, PENDING_ACTIVATION, until a rule's function or an operator activates it; that it connected was announced on %s. Connect again then.", s.certID, registeredTopic(a.CA))
	s.who()
	s.rec.Refuse("connect", text)
	return s.noConnack(mqtt.NotAuthorized, a.Door, text)
}

// provisioned is the end of a connection that became a thing, or its
// beginning.
func (s *session) provisioned(a *provision.Arrival) string {
	s.arrived = true
	s.rec.Became(a.Thing)
	s.g.Log.InfoContext(s.ctx, "just in time", slog.String("certificate", string(s.certID)), slog.String("thing", a.Thing))
	if s.g.JITPInline && a.Certificate.Status == certs.Active {
		return ""
	}
	text := fmt.Sprintf("Certificate %s was provisioned just now and is %s; the first connection is closed, as AWS does. Connect again.", s.certID, a.Certificate.Status)
	s.who()
	s.rec.Step("connect", text)
	return s.noConnack(mqtt.NotAuthorized, "provisioned", text)
}

// A registeredEvent tells that a certificate was registered by connecting, or
// connected again and still waits (hooks-and-events.md, section 4). The moment
// of registration is null, as measured on AWS.
type registeredEvent struct {
	CertificateID string       `json:"certificateId"`
	CAID          arn.CertID   `json:"caCertificateId"`
	Timestamp     int64        `json:"timestamp"`
	Status        certs.Status `json:"certificateStatus"`
	Account       string       `json:"awsAccountId"`
	RegisteredAt  *string      `json:"certificateRegistrationTimestamp"`
}

func registeredTopic(ca arn.CertID) string {
	return "$aws/events/certificates/registered/" + string(ca)
}

// announce publishes the event. Who was not told because the server died is
// told at the device's next connection.
func (s *session) announce(a *provision.Arrival) {
	payload, err := json.Marshal(registeredEvent{
		CertificateID: string(s.certID), CAID: a.CA, Timestamp: s.g.Now().UnixMilli(),
		Status: certs.PendingActivation, Account: s.tenant.Account,
	})
	if err != nil {
		return // a struct of texts and a number always encodes
	}
	s.g.Announce(dispatch.Message{Tenant: s.tenant, Topic: registeredTopic(a.CA), Payload: payload}, 1)
	s.rec.Step("announce", registeredTopic(a.CA))
	crash.Point("arrive.announced")
}
