package records

import (
	"context"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/wills"
)

// PutWill writes a will that this node holds.
func (tx *Tx) PutWill(ctx context.Context, w *wills.Will) error {
	packet, err := packed(w.Publish)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, `INSERT INTO wills (tenant, client, holder, connection, principal, address, delay, due, qos, retain, packet)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
		ON CONFLICT (tenant, client) DO UPDATE SET holder = excluded.holder, connection = excluded.connection, principal = excluded.principal,
			address = excluded.address, delay = excluded.delay, due = excluded.due, qos = excluded.qos, retain = excluded.retain, packet = excluded.packet`,
		w.Tenant.String(), w.ClientID, tx.node, w.Connection, w.Principal, w.Address, w.Delay.Microseconds(), instant(w.Due),
		int64(w.Publish.QoS), bit(w.Publish.Retain), packet)
	return err
}

// DropWill leaves the will of another connection alone.
func (tx *Tx) DropWill(ctx context.Context, t arn.Tenant, clientID, connection string) (bool, error) {
	n, err := tx.exec(ctx, "DELETE FROM wills WHERE tenant = $1 AND client = $2 AND connection = $3", t.String(), clientID, connection)
	return n > 0, err
}

// LeftWills finds those whose holder is dead.
func (tx *Tx) LeftWills(ctx context.Context, limit int) (out []*wills.Will, err error) {
	var (
		owner, client, connection, principal, address string
		delay, due, qos, retain                       int64
		packet                                        []byte
	)
	err = tx.query(ctx, `SELECT tenant, client, connection, principal, address, delay, due, qos, retain, packet FROM wills
		WHERE holder = '' ORDER BY tenant, client LIMIT 0 + $1`, []any{int64(limit)},
		[]any{&owner, &client, &connection, &principal, &address, &delay, &due, &qos, &retain, &packet}, func() error {
			p, err := unpacked(packet, "will of "+client)
			if err != nil {
				return err
			}
			p.QoS, p.Retain = byte(qos), retain != 0
			out = append(out, &wills.Will{
				Tenant: tenant(owner), ClientID: client, Connection: connection, Principal: principal, Address: address,
				Publish: p, Delay: time.Duration(delay) * time.Microsecond, Due: maybeMoment(due),
			})
			return nil
		})
	return out, err
}
