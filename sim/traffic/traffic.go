package traffic

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-iot/slipway/mqtt"
)

// A Shape is who says how much to whom. Every subscriber hears every publisher.
type Shape struct {
	Publishers  []Client
	Subscribers []Client
	Topic       string // what all topics begin with, without a slash at its end
	QoS         byte   // of messages and subscriptions
	Payload     int    // bytes of a message, at least 8
	Burst       int    // messages that a publisher hands over at once, at most
	Ahead       int    // messages that all publishers together are ahead of the slowest subscriber, at most
	Window      int    // QoS 1 messages of a publisher that wait for PUBACK, at most
	Persistent  bool   // the subscribers' sessions outlive their connections
}

// A Result is what came of a run.
type Result struct {
	Sent     int // by all publishers
	Expected int // by all subscribers
	Received int // by all subscribers, each message once
	Again    int // that a subscriber had already
	Took     time.Duration
}

// Lost counts the messages that did not arrive.
func (r Result) Lost() int { return r.Expected - r.Received }

// patience is how long nothing may arrive before the rest counts as lost.
const patience = 15 * time.Second

// A run is one load on one broker.
type run struct {
	Shape
	subs     []*subscriber
	pubs     []*publisher
	received atomic.Int64 // by all subscribers
}

// A publisher sends numbered messages.
type publisher struct {
	*conn
	number int
	packet []byte         // a PUBLISH in which numbers are put
	at     int            // where the payload begins in packet
	sent   atomic.Int64   // messages
	acked  atomic.Int64   // QoS 1 messages
	got    []atomic.Int64 // by each subscriber
	wake   chan struct{}
}

// A subscriber hears all publishers.
type subscriber struct {
	*conn
	number int
	seen   [][]uint64 // by publisher, a bit for each message
	again  int
	acks   []byte
}

// Run loads the broker for a while, and then waits for what is on its way.
func Run(ctx context.Context, b Broker, s Shape, d time.Duration) (Result, error) {
	if s.Payload < 8 || s.Burst < 1 || s.Ahead < len(s.Publishers) || len(s.Publishers) == 0 || len(s.Subscribers) == 0 {
		return Result{}, errors.New("traffic: the shape makes no load")
	}
	r := &run{Shape: s}
	defer r.close()
	if err := r.connect(ctx, b); err != nil {
		return Result{}, err
	}
	var hearing, saying errgroup.Group
	for _, sub := range r.subs {
		hearing.Go(func() error { return r.hear(sub) })
	}
	for _, p := range r.pubs {
		hearing.Go(func() error { return p.listen() })
	}
	began := time.Now()
	for _, p := range r.pubs {
		saying.Go(func() error { return r.say(p, began.Add(d)) })
	}
	if err := saying.Wait(); err != nil {
		return Result{}, err
	}
	last := r.settle()
	r.close() // ends those that hear
	_ = hearing.Wait()
	return r.result(last.Sub(began)), nil
}

func (r *run) close() {
	for _, p := range r.pubs {
		p.close()
	}
	for _, s := range r.subs {
		s.close()
	}
}

func (r *run) connect(ctx context.Context, b Broker) error {
	for i, c := range r.Subscribers {
		n, err := r.open(ctx, b, c)
		if err != nil {
			return err
		}
		r.subs = append(r.subs, &subscriber{conn: n, number: i, seen: make([][]uint64, len(r.Publishers))})
		if err := n.subscribe(r.Topic+"/#", r.QoS); err != nil {
			return err
		}
	}
	for i, c := range r.Publishers {
		n, err := dial(ctx, b, c, true)
		if err != nil {
			return err
		}
		p := &publisher{conn: n, number: i, got: make([]atomic.Int64, len(r.Subscribers)), wake: make(chan struct{}, 1)}
		r.pubs = append(r.pubs, p)
		m := &mqtt.Publish{Topic: fmt.Sprintf("%s/%02d", r.Topic, i), QoS: r.QoS, PacketID: 1, Payload: make([]byte, r.Payload)}
		if p.packet, err = mqtt.Append(nil, m, mqtt.V311); err != nil {
			return err
		}
		p.at = len(p.packet) - r.Payload
	}
	return nil
}

// open connects a subscriber. What an earlier run left in its session is dropped.
func (r *run) open(ctx context.Context, b Broker, c Client) (*conn, error) {
	n, err := dial(ctx, b, c, true)
	if err != nil || !r.Persistent {
		return n, err
	}
	n.close()
	return dial(ctx, b, c, false)
}

// say publishes until the time is over, never too far ahead.
func (r *run) say(p *publisher, until time.Time) error {
	var batch []byte
	for time.Now().Before(until) {
		room := r.room(p)
		if room <= 0 {
			select {
			case <-p.wake:
			case <-time.After(patience):
				return nil // what is missing will be counted
			}
			continue
		}
		batch = batch[:0]
		sent := p.sent.Load()
		for range min(room, r.Burst) {
			binary.BigEndian.PutUint32(p.packet[p.at:], uint32(p.number))
			binary.BigEndian.PutUint32(p.packet[p.at+4:], uint32(sent))
			if r.QoS > 0 {
				binary.BigEndian.PutUint16(p.packet[p.at-2:], uint16(sent%65535)+1)
			}
			batch = append(batch, p.packet...)
			sent++
		}
		p.sent.Store(sent)
		if _, err := p.tls.Write(batch); err != nil {
			return fmt.Errorf("publisher %d: %w", p.number, err)
		}
	}
	return nil
}

// room is how many messages the publisher may send now.
func (r *run) room(p *publisher) int {
	sent := p.sent.Load()
	slowest := p.got[0].Load()
	for i := range p.got {
		slowest = min(slowest, p.got[i].Load())
	}
	room := int64(r.Ahead/len(r.pubs)) - (sent - slowest)
	if r.QoS > 0 {
		room = min(room, int64(r.Window)-(sent-p.acked.Load()))
	}
	return int(room)
}

func (p *publisher) nudge() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// listen takes the publisher's PUBACKs.
func (p *publisher) listen() error {
	for {
		first, _, err := p.next()
		if err != nil {
			return err
		}
		if mqtt.Type(first>>4) != mqtt.PUBACK {
			continue
		}
		p.acked.Add(1)
		if !p.more() {
			p.nudge()
		}
	}
}

// hear takes messages and acknowledges those of one read at once.
func (r *run) hear(s *subscriber) error {
	fresh := make([]int64, len(r.pubs)) // since the publishers were told
	for {
		first, body, err := s.next()
		if err != nil {
			return err
		}
		if mqtt.Type(first>>4) == mqtt.PUBLISH {
			if p, isNew := s.take(first, body); isNew {
				fresh[p]++
			}
		}
		if s.more() {
			continue
		}
		for i, n := range fresh {
			if n > 0 {
				r.pubs[i].got[s.number].Add(n)
				r.received.Add(n)
				r.pubs[i].nudge()
				fresh[i] = 0
			}
		}
		if len(s.acks) > 0 {
			if _, err := s.tls.Write(s.acks); err != nil {
				return err
			}
			s.acks = s.acks[:0]
		}
	}
}

// take notes one message, and says whose it is and whether it is new.
func (s *subscriber) take(first byte, body []byte) (publisher int, isNew bool) {
	at := 2 + int(binary.BigEndian.Uint16(body))
	if first>>1&3 > 0 {
		s.acks = append(s.acks, byte(mqtt.PUBACK)<<4, 2, body[at], body[at+1])
		at += 2
	}
	publisher, n := int(binary.BigEndian.Uint32(body[at:])), binary.BigEndian.Uint32(body[at+4:])
	if publisher >= len(s.seen) {
		return 0, false
	}
	for int(n/64) >= len(s.seen[publisher]) {
		s.seen[publisher] = append(s.seen[publisher], 0)
	}
	word, bit := &s.seen[publisher][n/64], uint64(1)<<(n%64)
	if *word&bit != 0 {
		s.again++
		return publisher, false
	}
	*word |= bit
	return publisher, true
}

// settle waits for what is on its way, and gives the moment of the last
// message.
func (r *run) settle() (last time.Time) {
	want := int64(r.sent() * len(r.subs))
	last = time.Now()
	for have := r.received.Load(); have < want && time.Since(last) < patience; {
		time.Sleep(200 * time.Microsecond)
		if now := r.received.Load(); now != have {
			have, last = now, time.Now()
		}
	}
	return last
}

func (r *run) sent() (sum int) {
	for _, p := range r.pubs {
		sum += int(p.sent.Load())
	}
	return sum
}

func (r *run) result(took time.Duration) Result {
	out := Result{Sent: r.sent(), Received: int(r.received.Load()), Took: took}
	out.Expected = out.Sent * len(r.subs)
	for _, s := range r.subs {
		out.Again += s.again
	}
	return out
}

// Latencies sends messages one after the other, each when the one before it has
// arrived, and gives how long each took.
func Latencies(ctx context.Context, b Broker, s Shape, n int) ([]time.Duration, error) {
	s.Burst, s.Ahead, s.Window = 1, 1, 1
	r := &run{Shape: s}
	defer r.close()
	if err := r.connect(ctx, b); err != nil {
		return nil, err
	}
	p, sub := r.pubs[0], r.subs[0]
	arrived := make(chan time.Time, 1)
	var hearing sync.WaitGroup
	hearing.Go(func() { _ = p.listen() })
	hearing.Go(func() {
		defer close(arrived)
		for {
			first, body, err := sub.next()
			if err != nil {
				return
			}
			if mqtt.Type(first>>4) != mqtt.PUBLISH {
				continue
			}
			now := time.Now()
			sub.take(first, body)
			arrived <- now
			if _, err := sub.tls.Write(sub.acks); err != nil {
				return
			}
			sub.acks = sub.acks[:0]
		}
	})
	defer hearing.Wait()
	defer r.close()
	var took []time.Duration
	for range n {
		t, err := r.once(p, arrived)
		if err != nil {
			return nil, err
		}
		took = append(took, t)
	}
	return took, nil
}

// once sends one message and waits for it.
func (r *run) once(p *publisher, arrived <-chan time.Time) (time.Duration, error) {
	n := p.sent.Add(1)
	binary.BigEndian.PutUint32(p.packet[p.at+4:], uint32(n))
	if r.QoS > 0 {
		binary.BigEndian.PutUint16(p.packet[p.at-2:], uint16(n%65535)+1)
	}
	began := time.Now()
	if _, err := p.tls.Write(p.packet); err != nil {
		return 0, err
	}
	select {
	case at, ok := <-arrived:
		if !ok {
			return 0, errors.New("traffic: the subscriber lost its connection")
		}
		return at.Sub(began), nil
	case <-time.After(patience):
		return 0, errors.New("traffic: a message did not arrive")
	}
}
