package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/store"
)

const topicsPath = "/topics/"

// clientOf gives the client id, still escaped, of the path to which a direct
// message is posted.
func clientOf(path string) (escaped string, ok bool) {
	rest, here := strings.CutPrefix(path, "/connections/")
	escaped, ok = strings.CutSuffix(rest, "/messages")
	return escaped, here && ok && !strings.Contains(escaped, "/")
}

// publishHTTPS serves POST /topics/TOPIC of a device that shows a certificate, or
// that an authorizer vouches for (device-gateway.md, section 6). It is judged as
// at CONNECT, its policies as at PUBLISH; there is no client id, so that what a policy says of
// one, or of the connection's thing, has no value.
func (g *Gateway) publishHTTPS(w http.ResponseWriter, r *http.Request, v *visit) {
	s := v.session(g, r)
	s.https = true
	if err := s.present(r, v); err != nil {
		s.refuseHTTPS(w, "certificate", err)
		return
	}
	g.door.pass(v.raw)
	p, err := s.message(w, r)
	if err != nil {
		s.refuseHTTPS(w, "request", err)
		return
	}
	if err := s.publishOnce(p); err != nil {
		s.refuseHTTPS(w, "publish", err)
		return
	}
	answerHTTPS(w, http.StatusOK, "", "OK")
}

// directHTTPS serves POST /connections/CLIENT/messages of the same devices, which
// are judged likewise.
func (g *Gateway) directHTTPS(w http.ResponseWriter, r *http.Request, v *visit) {
	s := v.session(g, r)
	s.https, s.topic = true, r.URL.Query().Get("topic")
	if err := s.present(r, v); err != nil {
		s.refuseHTTPS(w, "certificate", err)
		return
	}
	g.door.pass(v.raw)
	d, err := s.direct(w, r)
	if err != nil {
		s.refuseHTTPS(w, "request", err)
		return
	}
	later := time.Now().Add(d.Wait + webRequest) // the body may have taken its time
	hold := http.NewResponseController(w)
	_ = hold.SetReadDeadline(later)
	_ = hold.SetWriteDeadline(later)
	if err := s.directOnce(d); err != nil {
		s.refuseHTTPS(w, "direct", err)
		return
	}
	answerHTTPS(w, http.StatusOK, "", "OK")
}

// present judges who the connection is, as CONNECT does.
func (s *session) present(r *http.Request, v *visit) error {
	vouch, err := s.g.mayAsk(s.ctx, v)
	if err != nil {
		return err
	}
	if s.certID == "" && !vouch {
		return fault.New(fault.Unauthenticated, "Missing Authentication Token: the connection shows no client certificate, and the request carries no signature.")
	}
	if err := s.placeTenant(); err != nil {
		return err
	}
	if s.certID != "" {
		if err := s.reads(); err != nil || !vouch {
			return err
		}
	}
	if err := s.introduceHTTPS(r, v); err != nil {
		return err
	}
	return s.reads()
}

// reads reads who the connection is and what it may do.
func (s *session) reads() error {
	epoch := s.g.recent.now()
	return s.g.DB.Peek(s.ctx, func(ctx context.Context, tx store.Tx) error {
		granted, err := s.identify(ctx, tx, epoch, nil, "")
		s.rights.Store(granted)
		return err
	})
}

// message reads the request to publish.
func (s *session) message(w http.ResponseWriter, r *http.Request) (*mqtt.Publish, error) {
	topic, query, body, err := s.posted(w, r, "Topics", strings.TrimPrefix(r.URL.EscapedPath(), topicsPath))
	if err != nil {
		return nil, err
	}
	return ParsePublish(topic, query, r.Header, body)
}

// direct reads the request to send a direct message.
func (s *session) direct(w http.ResponseWriter, r *http.Request) (*Direct, error) {
	escaped, _ := clientOf(r.URL.EscapedPath())
	clientID, query, body, err := s.posted(w, r, "Direct messages", escaped)
	if err != nil {
		return nil, err
	}
	return ParseDirect(clientID, query, r.Header, body)
}

// posted reads a request that brings a payload to what its path names.
func (s *session) posted(w http.ResponseWriter, r *http.Request, what, escaped string) (name string, query url.Values, body []byte, err error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return "", nil, nil, refusal{http.StatusMethodNotAllowed, "MethodNotAllowedException", what + " take POST, not " + quoted(r.Method) + "."}
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return "", nil, nil, refusal{http.StatusUnsupportedMediaType, "UnsupportedDocumentEncodingException", "The header Content-Encoding is " + quoted(coding) + "; a payload is taken as it is, without an encoding."}
	}
	if name, err = url.PathUnescape(escaped); err != nil {
		return "", nil, nil, fault.New(fault.InvalidRequest, "The path is not percent-encoded as it should be.")
	}
	if query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		return "", nil, nil, fault.New(fault.InvalidRequest, "The query is not percent-encoded as it should be.")
	}
	body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, int64(s.g.Limits.Payload)))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return "", nil, nil, fault.New(fault.TooLarge, "The payload is larger than %d bytes.", s.g.Limits.Payload)
	}
	if err != nil {
		return "", nil, nil, fault.Wrap(fault.InvalidRequest, err, "The request body ended too early.")
	}
	return name, query, body, nil
}

// publishOnce publishes if policies and quotas let it.
func (s *session) publishOnce(p *mqtt.Publish) error {
	if err := s.g.publishable(p); err != nil {
		return err
	}
	resource := policy.TopicARN(s.tenant, p.Topic)
	actions := []string{"iot:Publish"}
	if p.Retain {
		actions = append(actions, "iot:RetainPublish")
	}
	for _, action := range actions {
		if why := s.rights.Load().decide(action, resource); why != "" {
			return fault.New(fault.Refused, "%s", why)
		}
	}
	if s.g.Paced != nil && s.g.Paced(s.tenant) {
		if why := s.g.paces.account(s.tenant).publish(p, s.g.Now()); why != "" {
			return fault.New(fault.Throttled, "%s", why)
		}
	}
	return s.g.Publish(s.ctx, s.tenant, s.name(), p)
}

// directOnce sends a direct message if policies let it.
func (s *session) directOnce(d *Direct) error {
	if err := s.g.directable(d); err != nil {
		return err
	}
	if why := s.rights.Load().decide("iot:SendDirectMessage", policy.ClientARN(s.tenant, d.ClientID)); why != "" {
		return fault.New(fault.Refused, "%s", why)
	}
	return s.g.SendDirect(s.ctx, s.tenant, d)
}
