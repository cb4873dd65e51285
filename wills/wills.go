// Package wills holds last wills: the message that a client left at CONNECT,
// to be published when its connection is lost (device-gateway.md, section
// 3.10). A will is in the store while its connection stands, so that the
// death of the server is an end of the connection as any other.
package wills

import (
	"context"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/mqtt"
)

// A Will belongs to one connection; a client id has at most one.
type Will struct {
	Tenant     arn.Tenant
	ClientID   string
	Connection string // tells it from that of an earlier or later connection
	Principal  string // who connected; it is judged again before the will goes out
	Address    string // from where
	Publish    *mqtt.Publish
	Delay      time.Duration // between the end of the connection and publication
	Due        time.Time     // when to publish; zero while the connection stands
}

// Store is what this package asks of a database.
type Store interface {
	// PutWill puts the will in place of the one that its client id had, as one
	// that this server holds.
	PutWill(ctx context.Context, w *Will) error
	// DropWill deletes the will of that connection of the client id, and says
	// whether it was there.
	DropWill(ctx context.Context, t arn.Tenant, clientID, connection string) (bool, error)
	// LeftWills gives up to limit wills that were held by a server which is not
	// alive any more. Whoever takes one over puts it.
	LeftWills(ctx context.Context, limit int) ([]*Will, error)
}
