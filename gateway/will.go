package gateway

import "github.com/slipway-iot/slipway/mqtt"

// keepWill runs before CONNACK, when CONNECT was accepted; will is nil if it
// carries none. resumed says that the session of an earlier connection goes on
// (session present).
func (s *session) keepWill(will *mqtt.Will, resumed bool) {}

// leaveWill runs once when a connection that passed CONNECT has ended, however
// it did: s.said, s.ended and s.endCode tell. It comes before the disconnected
// event, and the client id may belong to another connection already.
func (s *session) leaveWill() {}
