package records

import (
	"context"
	"encoding/json"
	"time"

	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/sessions"
)

// PutSession writes a session in place of any of its client id.
func (tx *Tx) PutSession(ctx context.Context, s *sessions.Session) error {
	body, err := json.Marshal(s)
	if err != nil {
		return damaged(err, "session "+s.ClientID)
	}
	_, err = tx.exec(ctx, `INSERT INTO sessions (tenant, client, id, ended, body) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (tenant, client) DO UPDATE SET id = excluded.id, ended = excluded.ended, body = excluded.body`,
		s.Tenant.String(), s.ClientID, s.ID, micros(s.Ended), string(body))
	return err
}

// DeleteSession forgets a session together with its queue.
func (tx *Tx) DeleteSession(ctx context.Context, s *sessions.Session) error {
	_, err := tx.exec(ctx, "DELETE FROM sessions WHERE tenant = $1 AND client = $2 AND id = $3", s.Tenant.String(), s.ClientID, s.ID)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, "DELETE FROM queued WHERE session = $1", s.ID)
	return err
}

// ListSessions orders by tenant and client id.
func (tx *Tx) ListSessions(ctx context.Context, p ref.Page) ([]*sessions.Session, string, error) {
	l := list{
		name:  "sessions",
		query: "SELECT tenant, client, id, ended, body FROM sessions WHERE tenant >= $1",
		args:  []any{""},
		order: []string{"tenant", "client"},
	}
	var (
		owner, client, id, body string
		ended                   int64
	)
	return pages(ctx, tx, l, p, []any{&owner, &client, &id, &ended, &body}, func() (*sessions.Session, mark, bool, error) {
		s := new(sessions.Session)
		if err := json.Unmarshal([]byte(body), s); err != nil {
			return nil, nil, false, damaged(err, "session "+client)
		}
		s.Tenant, s.ClientID, s.ID, s.Ended = tenant(owner), client, id, moment(ended)
		return s, mark{owner, client}, true, nil
	})
}

// never is the expiry of messages that have none.
const never = 1 << 62

func expiry(t time.Time) int64 {
	if t.IsZero() {
		return never
	}
	return micros(t)
}

// Enqueue looks for each session in the statement that writes its message, so
// that a queue never outlives its session.
func (tx *Tx) Enqueue(ctx context.Context, ms []sessions.Message) error {
	rows := make([][]any, len(ms))
	for i, m := range ms {
		s := m.Session
		rows[i] = []any{m.Seq, s.ID, micros(m.Published), expiry(m.Expires), micros(m.Sent), int64(len(m.Packet)), m.Packet,
			s.Tenant.String(), s.ClientID, s.ID}
	}
	return tx.execEach(ctx, `INSERT INTO queued (seq, session, published, expires, sent, size, packet)
		SELECT $1, $2, $3, $4, $5, $6, $7 WHERE EXISTS (SELECT 1 FROM sessions WHERE tenant = $8 AND client = $9 AND id = $10)`, rows)
}

// Queue runs in the order of the sequence.
func (tx *Tx) Queue(ctx context.Context, s *sessions.Session, after int64, limit int) ([]sessions.Message, error) {
	var (
		out                           []sessions.Message
		seq, published, expires, sent int64
		packet                        []byte
	)
	err := tx.query(ctx, "SELECT seq, published, expires, sent, packet FROM queued WHERE session = $1 AND seq > $2 ORDER BY seq LIMIT 0 + $3",
		[]any{s.ID, after, int64(limit)}, []any{&seq, &published, &expires, &sent, &packet}, func() error {
			m := sessions.Message{Seq: seq, Published: moment(published), Sent: moment(sent), Packet: packet}
			if expires != never {
				m.Expires = moment(expires)
			}
			packet = nil
			out = append(out, m)
			return nil
		})
	return out, err
}

// QueueSize reads the index alone.
func (tx *Tx) QueueSize(ctx context.Context, s *sessions.Session) (count, bytes int64, err error) {
	_, err = tx.get(ctx, "SELECT COUNT(*), CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM queued WHERE session = $1", []any{s.ID}, &count, &bytes)
	return count, bytes, err
}

// Acknowledge deletes messages.
func (tx *Tx) Acknowledge(ctx context.Context, seqs []int64) error {
	return tx.execEach(ctx, "DELETE FROM queued WHERE seq = $1", each(seqs))
}

// MarkSent keeps the first moment at which a message was sent.
func (tx *Tx) MarkSent(ctx context.Context, ms []sessions.Message) error {
	rows := make([][]any, len(ms))
	for i, m := range ms {
		rows[i] = []any{micros(m.Sent), m.Seq, micros(time.Time{})}
	}
	return tx.execEach(ctx, "UPDATE queued SET sent = $1 WHERE seq = $2 AND sent = $3", rows)
}

// PruneQueue takes the oldest first.
func (tx *Tx) PruneQueue(ctx context.Context, s *sessions.Session, before time.Time, limit int) (int, error) {
	var (
		seq  int64
		seqs []int64
	)
	err := tx.query(ctx, "SELECT seq FROM queued WHERE session = $1 AND expires < $2 ORDER BY seq LIMIT 0 + $3",
		[]any{s.ID, micros(before), int64(limit)}, []any{&seq}, func() error {
			seqs = append(seqs, seq)
			return nil
		})
	if err != nil {
		return 0, err
	}
	return len(seqs), tx.Acknowledge(ctx, seqs)
}

func each(seqs []int64) [][]any {
	rows := make([][]any, len(seqs))
	for i, seq := range seqs {
		rows[i] = []any{seq}
	}
	return rows
}

// LastSeq looks at the end of the table.
func (tx *Tx) LastSeq(ctx context.Context) (last int64, err error) {
	_, err = tx.get(ctx, "SELECT COALESCE(MAX(seq), 0) FROM queued", nil, &last)
	return last, err
}
