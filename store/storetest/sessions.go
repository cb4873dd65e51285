package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/sessions"
	"github.com/slipway-iot/slipway/store"
)

func mqttSession(client, id string) *sessions.Session {
	return &sessions.Session{
		Tenant: arn.Default, ClientID: client, ID: id, Version: mqtt.V5, Principal: "certificate/c0ffee", Thing: "lock",
		Expiry: time.Hour, Ended: noon, Connections: 3,
		Subscriptions: []sessions.Subscription{{Filter: "a/+", QoS: 1, NoLocal: true, AsPublished: true}, {Filter: "b"}},
	}
}

func waiting(s *sessions.Session, seq int64) sessions.Message {
	return sessions.Message{Session: s, Seq: seq, Published: noon, Packet: []byte(fmt.Sprint("packet ", seq))}
}

func putSession(t *testing.T, db store.DB, ss ...*sessions.Session) {
	t.Helper()
	for _, s := range ss {
		update(t, db, func(ctx context.Context, tx tx) error { return tx.PutSession(ctx, s) })
	}
}

func enqueue(t *testing.T, db store.DB, ms ...sessions.Message) {
	t.Helper()
	update(t, db, func(ctx context.Context, tx tx) error { return tx.Enqueue(ctx, ms) })
}

// queueOf gives the sequence numbers of a part of a queue.
func queueOf(t *testing.T, db store.DB, s *sessions.Session, after int64, limit int) (seqs []int64) {
	t.Helper()
	view(t, db, func(ctx context.Context, tx tx) error {
		ms, err := tx.Queue(ctx, s, after, limit)
		for _, m := range ms {
			seqs = append(seqs, m.Seq)
		}
		return err
	})
	return seqs
}

func sizeOf(t *testing.T, db store.DB, s *sessions.Session) [2]int64 {
	t.Helper()
	return fetch(t, db, func(ctx context.Context, tx tx) (size [2]int64, err error) {
		size[0], size[1], err = tx.QueueSize(ctx, s)
		return size, err
	})
}

func mqttSessions(t *testing.T, open Open) {
	all := func(t *testing.T, db store.DB) []*sessions.Session {
		t.Helper()
		return walk(t, db, ref.Page{Limit: 2}, nil, func(ctx context.Context, tx tx, p ref.Page) ([]*sessions.Session, string, error) {
			return tx.ListSessions(ctx, p)
		})
	}
	t.Run("sessions come back as they were put, those of every tenant", func(t *testing.T) {
		db := open(t)
		a, b, live := mqttSession("a", "1"), mqttSession("b", "2"), &sessions.Session{Tenant: elsewhere, ClientID: "a", ID: "3"}
		putSession(t, db, live, b, a)
		same(t, all(t, db), []*sessions.Session{a, b, live})
	})
	t.Run("a session put again is one session", func(t *testing.T) {
		db := open(t)
		s := mqttSession("a", "1")
		putSession(t, db, s)
		s.Ended, s.Subscriptions, s.Connections = time.Time{}, nil, 4
		putSession(t, db, s)
		same(t, all(t, db), []*sessions.Session{s})
	})
	t.Run("a session deleted is gone with its queue, and nothing else is", func(t *testing.T) {
		db := open(t)
		a, b := mqttSession("a", "1"), mqttSession("b", "2")
		putSession(t, db, a, b)
		enqueue(t, db, waiting(a, 1), waiting(b, 2))
		update(t, db, func(ctx context.Context, tx tx) error { return tx.DeleteSession(ctx, a) })
		same(t, all(t, db), []*sessions.Session{b})
		same(t, queueOf(t, db, a, 0, 9), []int64(nil))
		same(t, queueOf(t, db, b, 0, 9), []int64{2})
	})
	t.Run("who deletes an earlier session of the client id leaves the present one", func(t *testing.T) {
		db := open(t)
		s := mqttSession("a", "2")
		putSession(t, db, s)
		update(t, db, func(ctx context.Context, tx tx) error { return tx.DeleteSession(ctx, mqttSession("a", "1")) })
		same(t, all(t, db), []*sessions.Session{s})
	})
}

func queues(t *testing.T, open Open) {
	t.Run("messages come back as they were put, in order, page by page", func(t *testing.T) {
		db := open(t)
		s := mqttSession("a", "1")
		putSession(t, db, s)
		first := waiting(s, 3)
		first.Expires, first.Sent, first.Packet = noon.Add(time.Minute), noon.Add(time.Second), []byte{0x30, 0, 0xff}
		enqueue(t, db, waiting(s, 9), first)
		got := fetch(t, db, func(ctx context.Context, tx tx) ([]sessions.Message, error) { return tx.Queue(ctx, s, 0, 1) })
		first.Session = nil
		same(t, got, []sessions.Message{first})
		same(t, queueOf(t, db, s, 3, 9), []int64{9})
		same(t, sizeOf(t, db, s), [2]int64{2, 3 + 8})
		same(t, fetch(t, db, func(ctx context.Context, tx tx) (int64, error) { return tx.LastSeq(ctx) }), int64(9))
	})
	t.Run("a store without messages has no last one", func(t *testing.T) {
		db := open(t)
		same(t, fetch(t, db, func(ctx context.Context, tx tx) (int64, error) { return tx.LastSeq(ctx) }), int64(0))
		same(t, sizeOf(t, db, mqttSession("a", "1")), [2]int64{})
	})
	t.Run("messages for a session that is gone are not stored, their neighbours are", func(t *testing.T) {
		db := open(t)
		a, later := mqttSession("a", "1"), mqttSession("b", "3")
		putSession(t, db, a, later)
		gone := mqttSession("b", "2")
		enqueue(t, db, waiting(gone, 1), waiting(a, 2), waiting(later, 3))
		same(t, queueOf(t, db, gone, 0, 9), []int64(nil))
		same(t, queueOf(t, db, a, 0, 9), []int64{2})
		same(t, queueOf(t, db, later, 0, 9), []int64{3})
	})
	t.Run("what was acknowledged is gone, once or twice", func(t *testing.T) {
		db := open(t)
		s := mqttSession("a", "1")
		putSession(t, db, s)
		enqueue(t, db, waiting(s, 1), waiting(s, 2), waiting(s, 3))
		for range 2 {
			update(t, db, func(ctx context.Context, tx tx) error { return tx.Acknowledge(ctx, []int64{1, 3}) })
			same(t, queueOf(t, db, s, 0, 9), []int64{2})
		}
	})
	t.Run("the first time a message was sent stays", func(t *testing.T) {
		db := open(t)
		s := mqttSession("a", "1")
		putSession(t, db, s)
		enqueue(t, db, waiting(s, 1), waiting(s, 2))
		for i := range 2 {
			update(t, db, func(ctx context.Context, tx tx) error {
				return tx.MarkSent(ctx, []sessions.Message{{Seq: 2, Sent: noon.Add(time.Duration(i) * time.Hour)}})
			})
		}
		got := fetch(t, db, func(ctx context.Context, tx tx) ([]sessions.Message, error) { return tx.Queue(ctx, s, 0, 9) })
		same(t, []time.Time{got[0].Sent, got[1].Sent}, []time.Time{{}, noon})
	})
	t.Run("pruning takes what expired, up to the limit, and all at the end of time", func(t *testing.T) {
		db := open(t)
		s, other := mqttSession("a", "1"), mqttSession("b", "2")
		putSession(t, db, s, other)
		expiring := func(s *sessions.Session, seq int64, after time.Duration) sessions.Message {
			m := waiting(s, seq)
			m.Expires = noon.Add(after)
			return m
		}
		enqueue(t, db, expiring(s, 1, 0), expiring(s, 2, time.Minute), expiring(s, 3, 0), waiting(s, 4), expiring(other, 5, 0))
		prune := func(before time.Time, limit, want int) {
			t.Helper()
			update(t, db, func(ctx context.Context, tx tx) error {
				n, err := tx.PruneQueue(ctx, s, before, limit)
				same(t, n, want)
				return err
			})
		}
		prune(noon.Add(time.Second), 1, 1)
		prune(noon.Add(time.Second), 9, 1)
		same(t, queueOf(t, db, s, 0, 9), []int64{2, 4})
		prune(sessions.EndOfTime, 9, 2)
		same(t, queueOf(t, db, s, 0, 9), []int64(nil))
		same(t, queueOf(t, db, other, 0, 9), []int64{5})
	})
}
