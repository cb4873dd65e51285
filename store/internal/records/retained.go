package records

import (
	"bytes"
	"context"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/retained"
)

// packed writes topic, payload and properties of a message as MQTT 5 has them.
// QoS and RETAIN are columns: a packet with a QoS would need an identifier.
func packed(p *mqtt.Publish) ([]byte, error) {
	b, err := mqtt.Append(nil, &mqtt.Publish{Topic: p.Topic, Payload: p.Payload, Properties: p.Properties}, mqtt.V5)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "The message cannot be written.")
	}
	return b, nil
}

// unpacked reads what packed wrote; what names it for the log.
func unpacked(b []byte, what string) (*mqtt.Publish, error) {
	p, err := mqtt.NewReader(bytes.NewReader(b), 0).Next(mqtt.V5)
	if err != nil {
		return nil, damaged(err, what)
	}
	message, ok := p.(*mqtt.Publish)
	if !ok {
		return nil, damaged(nil, what)
	}
	return message, nil
}

// instant is micros, but 0 for no moment at all.
func instant(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return micros(t)
}

func maybeMoment(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return moment(us)
}

// Retained gives what the topic retains.
func (tx *Tx) Retained(ctx context.Context, t arn.Tenant, topic string) (*retained.Message, error) {
	var qos, modified, expires int64
	var packet []byte
	found, err := tx.get(ctx, "SELECT qos, modified, expires, packet FROM retained WHERE tenant = $1 AND topic = $2",
		[]any{t.String(), topic}, &qos, &modified, &expires, &packet)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fault.New(fault.Missing, "Topic %q retains no message.", arn.Clip(topic, 120))
	}
	m := &retained.Message{Tenant: t, Modified: moment(modified), Expires: maybeMoment(expires)}
	if m.Publish, err = unpacked(packet, "retained message of "+topic); err != nil {
		return nil, err
	}
	m.Publish.QoS, m.Publish.Retain = byte(qos), true
	return m, nil
}

// PutRetained updates first: most messages replace another.
func (tx *Tx) PutRetained(ctx context.Context, m *retained.Message) (added bool, err error) {
	p := m.Publish
	packet, err := packed(p)
	if err != nil {
		return false, err
	}
	tenant := m.Tenant.String()
	n, err := tx.exec(ctx, "UPDATE retained SET qos = $1, size = $2, modified = $3, expires = $4, packet = $5 WHERE tenant = $6 AND topic = $7",
		int64(p.QoS), int64(len(p.Payload)), micros(m.Modified), instant(m.Expires), packet, tenant, p.Topic)
	if err != nil || n > 0 {
		return false, err
	}
	if _, err = tx.exec(ctx, "INSERT INTO retained (tenant, topic, qos, size, modified, expires, packet) VALUES ($1, $2, $3, $4, $5, $6, $7)",
		tenant, p.Topic, int64(p.QoS), int64(len(p.Payload)), micros(m.Modified), instant(m.Expires), packet); err != nil {
		return false, err
	}
	return true, tx.countRetained(ctx, tenant, 1)
}

func (tx *Tx) countRetained(ctx context.Context, tenant string, change int64) error {
	_, err := tx.exec(ctx, "INSERT INTO retained_counts (tenant, count) VALUES ($1, $2) ON CONFLICT (tenant) DO UPDATE SET count = retained_counts.count + excluded.count", tenant, change)
	return err
}

// CountRetained reads the count that the writers keep.
func (tx *Tx) CountRetained(ctx context.Context, t arn.Tenant) (int, error) {
	var n int64
	_, err := tx.get(ctx, "SELECT count FROM retained_counts WHERE tenant = $1", []any{t.String()}, &n)
	return int(n), err
}

// DropRetained deletes what the topic retains.
func (tx *Tx) DropRetained(ctx context.Context, t arn.Tenant, topic string) (bool, error) {
	n, err := tx.exec(ctx, "DELETE FROM retained WHERE tenant = $1 AND topic = $2", t.String(), topic)
	if err != nil || n == 0 {
		return false, err
	}
	return true, tx.countRetained(ctx, t.String(), -1)
}

// ListRetained orders by topic.
func (tx *Tx) ListRetained(ctx context.Context, t arn.Tenant, p ref.Page) ([]retained.Summary, string, error) {
	l := list{
		name:  "retained",
		query: "SELECT topic, size, qos, modified, expires FROM retained WHERE tenant = $1",
		args:  []any{t.String()},
		order: []string{"topic"},
	}
	var (
		topic                        string
		size, qos, modified, expires int64
	)
	return pages(ctx, tx, l, p, []any{&topic, &size, &qos, &modified, &expires}, func() (retained.Summary, mark, bool, error) {
		return retained.Summary{Topic: topic, Size: int(size), QoS: byte(qos), Modified: moment(modified), Expires: maybeMoment(expires)}, mark{topic}, true, nil
	})
}

// PruneRetained deletes those that expired first.
func (tx *Tx) PruneRetained(ctx context.Context, before time.Time, limit int) (int, error) {
	var owner, topic string
	var gone [][2]string
	err := tx.query(ctx, "SELECT tenant, topic FROM retained WHERE expires > 0 AND expires < $1 ORDER BY expires LIMIT 0 + $2",
		[]any{micros(before), int64(limit)}, []any{&owner, &topic}, func() error {
			gone = append(gone, [2]string{owner, topic})
			return nil
		})
	if err != nil {
		return 0, err
	}
	for _, at := range gone {
		if _, err := tx.DropRetained(ctx, tenant(at[0]), at[1]); err != nil {
			return 0, err
		}
	}
	return len(gone), nil
}
