package storetest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/retained"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/tenants"
	"github.com/slipway-iot/slipway/wills"
)

// message is a message with every property that a message may have.
func message(topic, payload string) *mqtt.Publish {
	p := &mqtt.Publish{Topic: topic, Payload: []byte(payload), QoS: 1, Retain: true}
	p.Properties = mqtt.Properties{
		PayloadFormat: mqtt.Some(byte(1)), MessageExpiry: mqtt.Some(uint32(60)), ContentType: mqtt.Some("text/plain"),
		ResponseTopic: mqtt.Some("answers/é"), CorrelationData: []byte{0, 1}, User: []mqtt.UserProperty{{Key: "a", Value: "1"}, {Key: "a", Value: "2"}},
	}
	return p
}

func retainedMessage(t arn.Tenant, topic, payload string) *retained.Message {
	return &retained.Message{Tenant: t, Publish: message(topic, payload), Modified: noon, Expires: noon.Add(time.Minute)}
}

// putRetained puts messages, and says of each whether it was added.
func putRetained(ctx context.Context, tx tx, ms ...*retained.Message) (added []bool, err error) {
	for _, m := range ms {
		is, err := tx.PutRetained(ctx, m)
		if err != nil {
			return nil, err
		}
		added = append(added, is)
	}
	return added, nil
}

func retainedMessages(t *testing.T, open Open) {
	count := func(ctx context.Context, tx tx, want int) error {
		n, err := tx.CountRetained(ctx, arn.Default)
		same(t, n, want)
		return err
	}
	t.Run("a message comes back as it was put, and another replaces it", func(t *testing.T) {
		db := open(t)
		first, large := retainedMessage(arn.Default, "a/ü", "one"), retainedMessage(arn.Default, "a/ü", strings.Repeat("x", 131_072))
		large.Publish.QoS, large.Publish.Properties, large.Expires = 0, mqtt.Properties{}, time.Time{}
		for i, want := range []*retained.Message{first, large} {
			update(t, db, func(ctx context.Context, tx tx) error {
				added, err := putRetained(ctx, tx, want)
				same(t, added, []bool{i == 0})
				return err
			})
			view(t, db, func(ctx context.Context, tx tx) error {
				got, err := tx.Retained(ctx, arn.Default, "a/ü")
				same(t, got, want)
				if err != nil {
					return err
				}
				return count(ctx, tx, 1)
			})
		}
	})
	t.Run("a dropped one is gone, once, and no other", func(t *testing.T) {
		db := open(t)
		update(t, db, func(ctx context.Context, tx tx) error {
			_, err := putRetained(ctx, tx, retainedMessage(arn.Default, "a", "1"), retainedMessage(arn.Default, "b", "2"), retainedMessage(elsewhere, "a", "3"))
			return err
		})
		for i := range 2 {
			update(t, db, func(ctx context.Context, tx tx) error {
				was, err := tx.DropRetained(ctx, arn.Default, "a")
				same(t, was, i == 0)
				return err
			})
		}
		view(t, db, func(ctx context.Context, tx tx) error {
			if _, err := tx.Retained(ctx, arn.Default, "a"); !fault.Is(err, fault.Missing) {
				t.Errorf("got %v, want Missing", err)
			}
			if _, err := tx.Retained(ctx, elsewhere, "a"); err != nil {
				return err
			}
			return count(ctx, tx, 1)
		})
	})
	t.Run("pruning takes what expired, the oldest first, and counts it", func(t *testing.T) {
		db := open(t)
		forever := retainedMessage(arn.Default, "d", "4")
		forever.Expires = time.Time{}
		late := retainedMessage(arn.Default, "c", "3")
		late.Expires = noon.Add(time.Hour)
		update(t, db, func(ctx context.Context, tx tx) error {
			_, err := putRetained(ctx, tx, retainedMessage(arn.Default, "a", "1"), retainedMessage(arn.Default, "b", "2"), late, forever)
			return err
		})
		for _, want := range []int{1, 1, 0} {
			update(t, db, func(ctx context.Context, tx tx) error {
				n, err := tx.PruneRetained(ctx, noon.Add(2*time.Minute), 1)
				same(t, n, want)
				return err
			})
		}
		view(t, db, func(ctx context.Context, tx tx) error {
			some, _, err := tx.ListRetained(ctx, arn.Default, ref.All)
			same(t, some, []retained.Summary{
				{Topic: "c", Size: 1, QoS: 1, Modified: noon, Expires: noon.Add(time.Hour)},
				{Topic: "d", Size: 1, QoS: 1, Modified: noon}})
			if err != nil {
				return err
			}
			return count(ctx, tx, 2)
		})
	})
	t.Run("the limit holds for what is new, and nothing of it is kept", func(t *testing.T) {
		db := open(t)
		most := 2
		limitRetained(t, db, most)
		keep := func(topic, payload string) error {
			return db.Update(t.Context(), func(ctx context.Context, tx tx) error {
				return retained.Keep(ctx, tx, arn.Default, message(topic, payload), noon)
			})
		}
		for _, topic := range []string{"a", "b", "a"} {
			if err := keep(topic, "x"); err != nil {
				t.Fatal(err)
			}
		}
		if err := keep("c", "x"); !fault.Is(err, fault.LimitExceeded) {
			t.Errorf("got %v, want LimitExceeded", err)
		}
		view(t, db, func(ctx context.Context, tx tx) error {
			if _, err := tx.Retained(ctx, arn.Default, "c"); !fault.Is(err, fault.Missing) {
				t.Errorf("got %v, want Missing", err)
			}
			return count(ctx, tx, most)
		})
		for _, err := range []error{keep("a", ""), keep("c", "x")} {
			if err != nil {
				t.Error(err)
			}
		}
	})
}

func will(clientID, connection string) *wills.Will {
	return &wills.Will{
		Tenant: arn.Default, ClientID: clientID, Connection: connection, Principal: string(certID(1)), Address: "10.0.0.1",
		Publish: message("gone/"+clientID, "gone"), Delay: time.Minute,
	}
}

func lastWills(t *testing.T, open Open) {
	db := open(t)
	drop := func(clientID, connection string, want bool) {
		t.Helper()
		update(t, db, func(ctx context.Context, tx tx) error {
			was, err := tx.DropWill(ctx, arn.Default, clientID, connection)
			same(t, was, want)
			return err
		})
	}
	update(t, db, func(ctx context.Context, tx tx) error { return tx.PutWill(ctx, will("a", "1")) })
	t.Run("a later connection's will takes the place of the earlier's", func(t *testing.T) {
		update(t, db, func(ctx context.Context, tx tx) error { return tx.PutWill(ctx, will("a", "2")) })
		drop("a", "1", false)
	})
	t.Run("nobody left what this node holds", func(t *testing.T) {
		view(t, db, func(ctx context.Context, tx tx) error {
			left, err := tx.LeftWills(ctx, 10)
			same(t, left, []*wills.Will(nil))
			return err
		})
	})
	t.Run("a will is dropped once", func(t *testing.T) {
		drop("a", "2", true)
		drop("a", "2", false)
	})
}

func limitRetained(t *testing.T, db store.DB, most int) {
	t.Helper()
	update(t, db, func(ctx context.Context, tx tx) error {
		return tx.InsertTenant(ctx, &tenants.Record{Tenant: arn.Default, Created: noon,
			Settings: tenants.Settings{Limits: tenants.Limits{ref.RetainedMessages: most}}})
	})
}
