package gateway

import (
	"fmt"
	"sync"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/wire"
)

// AWS's rate quotas of the data plane (device-gateway.md, section 3.6). They
// hold for accounts with the profile aws; for others nothing is counted.
const (
	connectsPerAccount      = 3000 // a second
	connectsPerClient       = 1    // a second and client id
	connectionsPerAccount   = 500_000
	publishesPerConnection  = 100     // a second, each way
	publishesPerAccount     = 20_000  // a second, each way
	bytesPerConnection      = 512_000 // a second, each way
	subscriptionsPerAccount = 3000    // a second
	retainedPerAccount      = 500     // a second
	retainedPerTopic        = 1       // a second
	queuedPerAccount        = 500     // a second, stored for who is away
	directsPerAccount       = 20_000  // a second
)

// provisionsPerAccount are AWS's quotas of the provisioning API over MQTT, a
// second (provisioning-mqtt-api.md, section 7).
var provisionsPerAccount = [...]float64{wire.CreateFromCSR: 20, wire.CreateKeys: 10, wire.RegisterThing: 10}

// timesInVain is how many times its quota a connection may publish, in vain,
// before it is cut. AWS does not say when it cuts.
const timesInVain = 10

// paces holds an account's pace for each that has the profile aws.
type paces struct {
	mu sync.Mutex
	of map[arn.Tenant]*accountPace
}

func (p *paces) account(t arn.Tenant) *accountPace {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of == nil {
		p.of = map[arn.Tenant]*accountPace{}
	}
	a := p.of[t]
	if a == nil {
		a = &accountPace{account: t.Account}
		p.of[t] = a
	}
	return a
}

// An accountPace is what all devices of an account have used up.
type accountPace struct {
	account string

	mu                                    sync.Mutex // guards everything below; no other lock is taken under it
	connects, in, out, subs, kept, queued bucket
	directs                               bucket
	provisions                            [len(provisionsPerAccount)]bucket // by operation
	clients, topics                       secondly
	connections                           int
}

// A pace is what one connection has used up.
type pace struct {
	account *accountPace

	in, vain, inBytes bucket // run's
	overdone          bool   // run's: the connection was cut
	outBytes          bucket // the writer's
	own, shared       drip   // what waited in the session's queue, and in those of its groups

	mu  sync.Mutex
	out bucket
}

// A secondly lets each name pass once a second.
type secondly struct{ next map[string]time.Time }

// fewNames is how many names are held before those whose second is over are
// dropped. How many there are in a second is bounded by the account's quota.
const fewNames = 4096

func (o *secondly) take(name string, now time.Time) bool {
	if next, held := o.next[name]; held && now.Before(next) && next.Sub(now) <= time.Second { // a clock set back locks nobody out
		return false
	}
	if o.next == nil || len(o.next) >= fewNames {
		recent := map[string]time.Time{}
		for name, next := range o.next {
			if now.Before(next) {
				recent[name] = next
			}
		}
		o.next = recent
	}
	o.next[name] = now.Add(time.Second)
	return true
}

// connect counts a CONNECT, or says why there is none to spend.
func (a *accountPace) connect(clientID string, now time.Time) (refused string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.connections >= connectionsPerAccount:
		return fmt.Sprintf("Account %s has %d connections, which is AWS's quota (profile aws).", a.account, a.connections)
	case !a.connects.take(now, connectsPerAccount):
		return fmt.Sprintf("Account %s is granted %d CONNECTs a second, AWS's quota (profile aws), and has used them. Connect again, after a pause that differs from device to device.", a.account, connectsPerAccount)
	case !a.clients.take(clientID, now):
		return fmt.Sprintf("Client id %s connected less than a second ago; AWS's quota is %d CONNECT a second and client id (profile aws). Wait before connecting again.", quoted(clientID), connectsPerClient)
	}
	a.connections++
	return ""
}

func (a *accountPace) disconnected() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.connections--
}

// subscribe counts one filter.
func (a *accountPace) subscribe(now time.Time) (refused string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.subs.take(now, subscriptionsPerAccount) {
		return ""
	}
	return fmt.Sprintf("Account %s is granted %d subscriptions a second, AWS's quota (profile aws), and has used them. Subscribe again later.", a.account, subscriptionsPerAccount)
}

// direct counts a direct message.
func (a *accountPace) direct(now time.Time) (refused string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.directs.take(now, directsPerAccount) {
		return ""
	}
	return fmt.Sprintf("Account %s is granted %d direct messages a second, AWS's quota (profile aws), and has used them; the message is dropped.", a.account, directsPerAccount)
}

// provision counts one request of the provisioning API.
func (a *accountPace) provision(op wire.Operation, now time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.provisions[op].take(now, provisionsPerAccount[op]) {
		return nil
	}
	return fault.New(fault.Throttled, "Account %s is granted %g %s a second over MQTT, AWS's quota (profile aws), and has used them. Ask again, after a pause that grows and differs from device to device.", a.account, provisionsPerAccount[op], op)
}

func (a *accountPace) publish(p *mqtt.Publish, now time.Time) (refused string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case !a.in.take(now, publishesPerAccount):
		return fmt.Sprintf("Account %s is granted %d PUBLISHes a second, AWS's quota (profile aws), and has used them; the message is dropped.", a.account, publishesPerAccount)
	case p.Retain && !a.kept.take(now, retainedPerAccount):
		return fmt.Sprintf("Account %s is granted %d retained messages a second, AWS's quota (profile aws), and has used them; the message is dropped.", a.account, retainedPerAccount)
	case p.Retain && !a.topics.take(p.Topic, now):
		return fmt.Sprintf("Topic %s got a retained message less than a second ago; AWS's quota is %d a second and topic (profile aws). The message is dropped.", quoted(p.Topic), retainedPerTopic)
	}
	return ""
}

// store counts a message for a session or a group of which nobody is there, and
// says whether it may be stored.
func (a *accountPace) store(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.queued.take(now, queuedPerAccount)
}

// deliver counts a message to the device, and says whether it may be sent.
func (p *pace) deliver(now time.Time) bool {
	p.mu.Lock()
	own := p.out.take(now, publishesPerConnection)
	p.mu.Unlock()
	if !own {
		return false
	}
	p.account.mu.Lock()
	defer p.account.mu.Unlock()
	return p.account.out.take(now, publishesPerAccount)
}

// gain gives a bucket what it has earned since, at so much a second, up to
// full. An empty bucket that was never looked at is full. A clock that was set
// back takes nothing away.
func (b *bucket) gain(now time.Time, rate, full float64) {
	b.left = min(b.left+max(now.Sub(b.at), 0).Seconds()*rate, full)
	b.at = now
}

// take takes one of what a second brings, if there is one.
func (b *bucket) take(now time.Time, rate float64) bool {
	b.gain(now, rate, rate)
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}

// owe takes n of what a second brings, whether or not it is there, and says
// how long it takes to earn what is missing.
func (b *bucket) owe(now time.Time, n int, rate float64) time.Duration {
	b.gain(now, rate, rate)
	b.left -= float64(n)
	return time.Duration(max(-b.left, 0) / rate * float64(time.Second))
}

// overConnect holds the quotas of CONNECT. From here on the connection has a
// pace, if its account has one.
func (s *session) overConnect() (refused string) {
	if s.g.Paced == nil || !s.g.Paced(s.tenant) {
		return ""
	}
	account := s.g.paces.account(s.tenant)
	if why := account.connect(s.clientID, s.g.Now()); why != "" {
		return why
	}
	last := s.g.seq.Load() // before CONNACK: what is published once the device has that does not wait for it
	s.pace = &pace{account: account, own: drip{rate: drainPerSession, waited: last}, shared: drip{rate: drainPerMember, waited: last}}
	return ""
}

// overPublish holds the quotas of PUBLISH; s.pace is there. It waits until the
// connection has earned the message's bytes.
func (s *session) overPublish(p *mqtt.Publish) (refused string) {
	now := s.g.Now()
	if !s.pace.in.take(now, publishesPerConnection) {
		return fmt.Sprintf("The connection is granted %d PUBLISHes a second, AWS's quota (profile aws), and has used them; the message is dropped.", publishesPerConnection)
	}
	if why := s.pace.account.publish(p, now); why != "" {
		return why
	}
	s.pause(s.pace.inBytes.owe(now, len(p.Topic)+len(p.Payload), bytesPerConnection))
	return ""
}

// throttled drops a message that is beyond a quota. On MQTT 5 a QoS 1 message
// gets its code; on 3.1.1 it gets no PUBACK, so that the device sends it again
// later. A connection that goes on all the same is cut.
func (s *session) throttled(p *mqtt.Publish, why string) string {
	if !s.pace.vain.take(s.g.Now(), timesInVain*publishesPerConnection) {
		s.pace.overdone = true
		return s.violation(mqtt.QuotaExceeded, fmt.Sprintf("The connection published more than %d times AWS's quota of %d a second (profile aws).", timesInVain, publishesPerConnection))
	}
	s.g.Metrics.Dropped("rate quota")
	s.refused("publish", "rate", why)
	if s.version == mqtt.V5 {
		s.ack(p, mqtt.QuotaExceeded, why)
	}
	return ""
}

// pause waits, but not beyond the connection's end.
func (s *session) pause(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.ctx.Done():
	}
}
