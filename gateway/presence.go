package gateway

import (
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/slipway-iot/slipway/dispatch"
	"github.com/slipway-iot/slipway/mqtt"
)

// Topics of lifecycle events, before the client id (device-gateway.md, section
// 5). They are always on, and cost a look at who listens when nobody does.
const (
	onConnected    = "$aws/events/presence/connected/"
	onDisconnected = "$aws/events/presence/disconnected/"
	onFailed       = "$aws/events/presence/connect_failed/"
	onSubscribed   = "$aws/events/subscriptions/subscribed/"
	onUnsubscribed = "$aws/events/subscriptions/unsubscribed/"
)

// A lifeEvent is the payload of them all; each has some of the members.
type lifeEvent struct {
	ClientID  string   `json:"clientId"`
	Thing     string   `json:"thingName,omitempty"` // of an exclusive attachment
	Timestamp int64    `json:"timestamp"`
	Type      string   `json:"eventType"`
	ByClient  *bool    `json:"clientInitiatedDisconnect,omitempty"`
	Reason    string   `json:"disconnectReason,omitempty"`
	Failure   string   `json:"connectFailureReason,omitempty"`
	Session   string   `json:"sessionIdentifier"`
	Principal string   `json:"principalIdentifier"`
	Address   string   `json:"ipAddress,omitempty"`
	Version   *int     `json:"versionNumber,omitempty"`
	Topics    []string `json:"topics,omitempty"`
}

// tells says whether anybody listens to a lifecycle event of the session. A
// client id that holds a wildcard makes no topic, so nobody does.
func (s *session) tells(topic string) bool {
	if strings.ContainsAny(s.clientID, "+#") {
		return false
	}
	topic += s.clientID
	var room [4]*subscription
	return len(s.g.topics.match(s.tenant, topic, room[:0])) > 0 || s.g.Wanted != nil && s.g.Wanted(s.tenant, topic)
}

// tell publishes a lifecycle event. It is called by run alone.
func (s *session) tell(topic, kind string, e lifeEvent) {
	e.ClientID, e.Type, e.Principal = s.clientID, kind, s.name()
	e.Timestamp, e.Session = s.g.Now().UnixMilli(), s.identifier()
	if r := s.rights.Load(); r != nil && r.exclusive {
		e.Thing = r.thing
	}
	payload, err := json.Marshal(e)
	if err != nil {
		return // a struct of texts and numbers always encodes
	}
	s.g.Announce(dispatch.Message{Tenant: s.tenant, Topic: topic + s.clientID, Payload: payload}, 1)
}

func (s *session) tellConnected() {
	if s.tells(onConnected) {
		s.tell(onConnected, "connected", lifeEvent{Address: s.from.String(), Version: s.count()})
	}
}

// tellFailed tells of a CONNECT that somebody known was refused.
func (s *session) tellFailed() {
	if s.known() && s.tells(onFailed) {
		s.tell(onFailed, "connect_failed", lifeEvent{Address: s.from.String(), Failure: "AUTHORIZATION_FAILED"})
	}
}

func (s *session) tellDisconnected() {
	if s.tells(onDisconnected) {
		said := s.said && s.ended.Load() == nil
		s.tell(onDisconnected, "disconnected", lifeEvent{ByClient: &said, Reason: s.disconnectReason(), Version: s.count()})
	}
	s.g.lives.left(clientKey{s.tenant, s.clientID}, s.g.Now())
}

func (s *session) tellFilters(topic, kind string, filters []string) {
	if len(filters) > 0 && s.tells(topic) {
		s.tell(topic, kind, lifeEvent{Topics: filters})
	}
}

// disconnectReason is AWS's word for how the connection ended.
func (s *session) disconnectReason() string {
	switch {
	case s.pace != nil && s.pace.overdone:
		return "THROTTLED"
	case s.ended.Load() == nil && s.said:
		return "CLIENT_INITIATED_DISCONNECT"
	case s.ended.Load() == nil:
		return "CONNECTION_LOST"
	case s.dismissed.Load():
		return "API_INITIATED_DISCONNECT"
	case s.expired != "":
		return s.expired
	}
	switch mqtt.ReasonCode(s.endCode.Load()) {
	case mqtt.SessionTakenOver:
		return "DUPLICATE_CLIENTID"
	case mqtt.KeepAliveTimeout:
		return "MQTT_KEEP_ALIVE_TIMEOUT"
	case mqtt.ServerShuttingDown, mqtt.AdministrativeAction:
		return "SERVER_INITIATED_DISCONNECT"
	case mqtt.NotAuthorized:
		return "AUTH_ERROR"
	}
	return "CLIENT_ERROR"
}

// identifier is the session's id in events: the stored one, or one made when
// the first event needs it.
func (s *session) identifier() string {
	switch {
	case s.lasting != nil:
		return s.lasting.of.ID
	case s.ident == "":
		s.ident = sessionID(s.g.Rand)
	}
	return s.ident
}

// count is the session's number among those of its client id.
func (s *session) count() *int {
	if s.number == nil {
		n := s.g.lives.next(clientKey{s.tenant, s.clientID}, s.g.Now())
		s.number = &n
	}
	return s.number
}

// lives counts the connections of client ids of which somebody wants to hear,
// so that events can be paired and ordered. A client id that was away for an
// hour begins again at 0.
type lives struct {
	mu    sync.Mutex
	of    map[clientKey]life
	sweep int // when so many are held, those that are over are dropped
}

type life struct {
	number int
	left   time.Time // zero: it is connected
}

const (
	livesHour = time.Hour
	fewLives  = 1024
)

func (l *lives) next(k clientKey, now time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	last, known := l.of[k]
	if known && (last.left.IsZero() || now.Sub(last.left) < livesHour) {
		l.of[k] = life{number: last.number + 1}
		return last.number + 1
	}
	if l.of == nil {
		l.of, l.sweep = map[clientKey]life{}, fewLives
	}
	l.of[k] = life{}
	if len(l.of) > l.sweep {
		for k, v := range l.of {
			if !v.left.IsZero() && now.Sub(v.left) >= livesHour {
				delete(l.of, k)
			}
		}
		l.sweep = 2*len(l.of) + fewLives
	}
	return 0
}

// at says which number the connection of a lasting session has, whoever wants
// to hear.
func (l *lives) at(k clientKey, number int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of != nil {
		l.of[k] = life{number: number}
	}
}

func (l *lives) left(k clientKey, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if v, known := l.of[k]; known {
		v.left = now
		l.of[k] = v
	}
}
