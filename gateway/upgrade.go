package gateway

import (
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/wire/websocket"
)

// upgrade opens a WebSocket that carries MQTT, for a caller that signed the
// request or is to be vouched for (device-gateway.md, section 7). From CONNECT on its session is like
// any other.
func (g *Gateway) upgrade(w http.ResponseWriter, r *http.Request, v *visit) {
	s := v.session(g, r)
	protocol, err := websocket.Check(r, "mqtt", "mqttv3.1")
	if err != nil {
		s.refuseHTTPS(w, "websocket", err)
		return
	}
	if err := s.invite(r, v); err != nil {
		s.refuseHTTPS(w, "signature", err)
		return
	}
	if err := g.hijack(w, r, v, s, protocol); err != nil { // the device is gone
		g.Log.DebugContext(r.Context(), "websocket", slog.Any("err", err))
	}
}

// invite says who signed the request. Where an authorizer could vouch for who
// did not, it is asked at CONNECT, which may hold what it wants to see.
func (s *session) invite(r *http.Request, v *visit) error {
	if signedRequest(r) {
		return s.sign(r)
	}
	vouch, err := s.g.mayAsk(r.Context(), v)
	switch {
	case err != nil:
		return err
	case !vouch:
		return s.sign(r)
	}
	s.asks, s.opened = true, shownBy(r)
	return nil
}

// sign says who signed the request. That identity stands alone: a certificate
// that the handshake may have shown does not count.
func (s *session) sign(r *http.Request) error {
	if !signedRequest(r) {
		return fault.New(fault.Unauthenticated, "Missing Authentication Token: a WebSocket is opened with a request that is signed with an access key (AWS Signature Version 4, service iotdevicegateway), in its URL or its headers.")
	}
	if s.g.Signatures == nil {
		return fault.New(fault.Unauthenticated, "This server knows no access keys.")
	}
	caller, err := s.g.Signatures.Caller(r.Context(), r, nil)
	if err != nil {
		return err
	}
	s.identity, s.tenant = identity{signed: caller}, caller.Tenant
	if err := s.placeTenant(); err != nil {
		return err
	}
	if _, err := roleSet(caller); err != nil {
		return err
	}
	s.until = time.Now().Add(s.g.Limits.WebSocket) // a wait, not a value: the real clock
	if !caller.Until.IsZero() && caller.Until.Before(s.until) {
		s.until = caller.Until
	}
	s.rec.Step("signed", fmt.Sprintf("Signed with %s of account %s for region %s.", s.describe(), caller.Tenant.Account, caller.Tenant.Region))
	return nil
}

// hijack takes the connection out of the HTTP server's hands and starts its
// session.
func (g *Gateway) hijack(w http.ResponseWriter, r *http.Request, v *visit, asked *session, protocol string) error {
	_, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return err
	}
	deadline := time.Now().Add(g.Limits.Handshake)
	_ = v.SetDeadline(deadline)
	early := make([]byte, buffered.Reader.Buffered())
	if _, err := buffered.Read(early); err != nil && len(early) > 0 {
		early = nil
	}
	if _, err := v.Write(websocket.Switching(r, protocol)); err != nil {
		_ = v.raw.Close()
		g.door.leave(v.raw)
		g.sessions.Done()
		return err
	}
	_ = v.SetDeadline(time.Time{})
	conn := websocket.New(v.Conn, early, func(f func()) {
		g.sessions.Add(1) // called while the session's own goroutine counts
		go func() { defer g.sessions.Done(); f() }()
	})
	s := g.session(asked.identity, conn, v.raw, v.from, v.state.ServerName, asked.rec)
	s.tenant, s.domain, s.asks, s.opened = asked.tenant, asked.domain, asked.asks, asked.opened
	go s.run(deadline)
	return nil
}
