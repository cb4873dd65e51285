package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/policy"
)

// A Direct is a message to one client id: whoever is connected by it gets the
// message, subscribed or not (device-gateway.md, section 6). It is meant for now:
// nothing retains it, no queue stores it, no rule hears it.
type Direct struct {
	ClientID string
	Message  *mqtt.Publish // of QoS 1 if its sender waits for PUBACK
	Wait     time.Duration // … and how long
}

// How long a sender waits, in seconds.
const (
	usualWait = 5
	maxWait   = 15
)

// ParseDirect reads a direct message from the request that sends it: the data
// plane's operation SendDirectMessage, whoever asks. What the query holds besides
// is not looked at, nor is the timeout of a message that is not to be confirmed.
func ParseDirect(clientID string, query url.Values, header http.Header, payload []byte) (*Direct, error) {
	d := &Direct{ClientID: clientID, Message: &mqtt.Publish{Topic: query.Get("topic"), Payload: payload}}
	if err := readParts(d.Message, query, header, readTexts, readFormat, readCorrelation, readUser); err != nil {
		return nil, err
	}
	switch confirmation := query.Get("confirmation"); confirmation {
	case "", "false":
		return d, nil
	case "true":
		d.Message.QoS = 1
	default:
		return nil, fault.New(fault.InvalidRequest, "confirmation is %s; expected true or false.", quoted(confirmation))
	}
	n := usualWait
	if timeout := query.Get("timeout"); timeout != "" {
		var err error
		if n, err = strconv.Atoi(timeout); err != nil || n < 1 || n > maxWait {
			return nil, fault.New(fault.InvalidRequest, "timeout is %s; expected a whole number of seconds between 1 and %d.", quoted(timeout), maxWait)
		}
	}
	d.Wait = time.Duration(n) * time.Second
	return d, nil
}

// directable holds the rules of a direct message: those of a publication, and
// that no topic is reserved for it.
func (g *Gateway) directable(d *Direct) error {
	switch id, topic := d.ClientID, d.Message.Topic; {
	case id == "", len(id) > maxClientID, !utf8.ValidString(id), strings.HasPrefix(id, "$"):
		return fault.New(fault.InvalidRequest, "Client id %s is not valid: it has 1 to %d bytes of UTF-8 and does not begin with $.", quoted(id), maxClientID)
	case topic == "":
		return fault.New(fault.InvalidRequest, "The parameter topic is missing: the topic under which the client gets the message.")
	case strings.HasPrefix(topic, "$"):
		return fault.New(fault.InvalidRequest, "Topic %s is reserved: that of a direct message does not begin with $.", quoted(topic))
	}
	return g.publishable(d.Message)
}

// SendDirect hands a message to the connection of a client id, from a caller
// whose right to iot:SendDirectMessage was judged.
//
// When it returns nil, the message was put into the queue of the connection, and
// was acknowledged if it has QoS 1; any PUBACK confirms it, whatever its code.
// fault.Unconfirmed says that it was put there, and not whether it arrived. After
// any other error nobody got it.
func (g *Gateway) SendDirect(ctx context.Context, t arn.Tenant, d *Direct) error {
	if err := g.directable(d); err != nil {
		return err
	}
	if g.Paced != nil && g.Paced(t) {
		if why := g.paces.account(t).direct(g.Now()); why != "" {
			return fault.New(fault.Throttled, "%s", why)
		}
	}
	k := clientKey{t, d.ClientID}
	s := g.live(k)
	if s == nil {
		return g.notConnected(k)
	}
	acked, err := s.getDirect(d)
	if err != nil || acked == nil {
		return err
	}
	return s.confirms(ctx, d, acked)
}

// notConnected refuses a message to a client id that has no connection. Where it
// has a session, the sentence begins with AWS's own, which programs look for.
func (g *Gateway) notConnected(k clientKey) error {
	if g.lastings.get(k) == nil {
		return noSession(k.id)
	}
	return fault.New(fault.Missing, "The target client ID is not connected, but it has an active persistent session: a direct message is not stored for client id %s, which is away.", quoted(k.id))
}

// getDirect queues a direct message if the device may receive it, and takes it
// now. The channel closes when the device acknowledges it; nil: it will not.
func (s *session) getDirect(d *Direct) (acked <-chan struct{}, err error) {
	if why := s.may("iot:Receive", policy.TopicARN(s.tenant, d.Message.Topic)); why != "" {
		s.withheld(why)
		// To its sender the policies of another device are none of its business.
		return nil, fault.Wrap(fault.Refused, errors.New(why), "Authorization failed for the target client: the policies of client id %s do not let it receive on topic %s. Its attempt says why.", quoted(d.ClientID), quoted(d.Message.Topic))
	}
	if s.pace != nil && !s.pace.deliver(s.g.Now()) {
		s.g.Metrics.Dropped("rate quota")
		return nil, fault.New(fault.Throttled, "Client id %s, or its account, gets as many messages a second as AWS's quotas grant (profile aws): %d to a connection, %d to all. Send again later.", quoted(d.ClientID), publishesPerConnection, publishesPerAccount)
	}
	out := s.outgoing(d.Message, time.Time{}, time.Time{})
	out.QoS = d.Message.QoS
	var of outgoing
	if out.QoS > 0 {
		of.acked = make(chan struct{})
	}
	if err := s.deliverNow(out, of); err != nil {
		return nil, err
	}
	s.g.Metrics.Message("in", 1)
	s.g.Metrics.Message("out", 1)
	return of.acked, nil
}

// deliverNow is deliverFor of a message that does not wait for room: what the
// device cannot take at once is refused, and its connection goes on.
func (s *session) deliverNow(p *mqtt.Publish, of outgoing) error {
	o := &s.out
	o.mu.Lock()
	gone := !o.ready || o.closing || o.broken
	busy := p.QoS > 0 && len(o.inflight) >= s.window
	q := kept
	switch {
	case gone, busy:
	case p.QoS > 0:
		q = s.launch(p, of)
	default:
		q = s.queue(p)
	}
	o.mu.Unlock()
	switch {
	case gone:
		return s.g.notConnected(clientKey{s.tenant, s.clientID})
	case busy:
		s.g.Metrics.Dropped("window full")
		return fault.New(fault.Throttled, "Client id %s has as many unacknowledged messages as it takes at a time, %d. Send again later.", quoted(s.clientID), s.window)
	case q == full:
		s.g.Metrics.Dropped("slow reader")
		return fault.New(fault.Throttled, "Client id %s reads too slowly: too much waits for it already. Send again later.", quoted(s.clientID))
	case q == unfit:
		s.settleQueue(unfit)
		return fault.New(fault.TooLarge, "The message is larger than any that client id %s takes: packets of at most %d bytes (Maximum Packet Size).", quoted(s.clientID), s.maxPacket)
	}
	return nil
}

// confirms waits until the device has acknowledged a direct message: as long as
// its sender waits, and no longer than the connection lasts.
func (s *session) confirms(ctx context.Context, d *Direct, acked <-chan struct{}) error {
	timer := time.NewTimer(d.Wait)
	defer timer.Stop()
	why := fmt.Sprintf("client id %s did not acknowledge the message within %v", quoted(s.clientID), d.Wait)
	select {
	case <-acked:
		return nil
	case <-timer.C:
	case <-s.ctx.Done():
		why = fmt.Sprintf("the connection of client id %s ended before it acknowledged the message", quoted(s.clientID))
	case <-ctx.Done():
		why = "the request ended before the message was acknowledged"
	}
	select {
	case <-acked: // at the same time
		return nil
	default:
		return fault.New(fault.Unconfirmed, "The delivery confirmation was not received: %s. It may have arrived all the same.", why)
	}
}
