package tenants

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
)

// A Session is a short-lived credential. Nothing of it is stored: its token
// holds all that the server has to know, sealed, so that any node which can
// open the store's secrets can open it, and nobody else can make one.
type Session struct {
	ID      string // ASIA…
	Secret  string
	Token   string // goes along with every request
	Expires time.Time
}

// MaxSession is how long a session may last.
const MaxSession = 12 * time.Hour

const sessionContext = "session-token"

// sessionBody is what a token holds.
type sessionBody struct {
	ID      string    `json:"i"`
	Secret  string    `json:"s"`
	Account string    `json:"a"`
	Role    Role      `json:"r"`
	Name    string    `json:"n"`
	Expires time.Time `json:"e"`
}

// NewSession makes a session of an account that may do what the role allows.
func NewSession(box Sealer, account string, role Role, name string, rand io.Reader, now time.Time, life time.Duration) (*Session, error) {
	if life <= 0 || life > MaxSession {
		return nil, fault.New(fault.InvalidRequest, "A session lasts at most %v.", MaxSession)
	}
	id, secret, err := Draw(rand)
	if err != nil {
		return nil, err
	}
	s := &Session{ID: "ASIA" + id[4:], Secret: secret, Expires: now.Add(life).Truncate(time.Second)}
	body, err := json.Marshal(sessionBody{s.ID, secret, account, role, name, s.Expires})
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "No session could be made.")
	}
	s.Token = base64.StdEncoding.EncodeToString(box.Seal(sessionContext, body))
	return s, nil
}

// OpenSession gives the session that a token stands for, and it as a key. The
// key's id must be the one that signed.
func OpenSession(box Sealer, keyID, token string, now time.Time) (*AccessKey, *Session, error) {
	var b sessionBody
	sealed, err := base64.StdEncoding.DecodeString(token)
	if err == nil {
		var body []byte
		if body, err = box.Unseal(sessionContext, sealed); err == nil {
			err = json.Unmarshal(body, &b)
		}
	}
	if err != nil || b.ID != keyID {
		return nil, nil, fault.Wrap(fault.UnknownKey, err, "The security token of access key %s is not one of this server.", arn.Clip(keyID, 40))
	}
	if !now.Before(b.Expires) {
		return nil, nil, fault.New(fault.ExpiredToken, "The security token of access key %s expired at %s.", b.ID, b.Expires.UTC().Format(time.RFC3339))
	}
	return &AccessKey{ID: b.ID, Account: b.Account, Role: b.Role, Name: b.Name}, &Session{b.ID, b.Secret, token, b.Expires}, nil
}
