package gateway

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// A tarpit keeps the connections that were refused at the door for a while
// before it closes them, unread. Who knocks in a loop and is answered at once
// knocks as fast as it can, and the queue in which honest devices wait to be
// accepted is full of it; who must wait for the answer knocks seldom. The while
// is drawn for each, or those who came together would come together again.
type tarpit struct {
	ticks int // that a connection is kept, on average
	most  int // connections
	woken chan struct{}

	mu    sync.Mutex
	slots [tarpitSlots][]net.Conn // those whose time comes at a tick
	at    int                     // the slot of the next tick
	held  int
	over  bool // nothing is held any more
}

const (
	tarpitTick  = 10 * time.Millisecond
	tarpitSlots = 1024
	maxStuck    = 16_384 // what a flood makes us hold: sockets of some KiB each
)

// newTarpit keeps connections between half as long as patience and half as long
// again, as far as the slots reach.
func newTarpit(patience time.Duration) *tarpit {
	return &tarpit{ticks: min(int(patience/tarpitTick), tarpitSlots*2/3-1), most: maxStuck, woken: make(chan struct{}, 1)}
}

// take closes the connection when its time has come. If too many are held,
// those go first whose time is nearest.
func (p *tarpit) take(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		_ = c.Close()
		return
	}
	for p.held >= p.most {
		p.tick()
	}
	slot := (p.at + p.ticks/2 + rand.IntN(p.ticks+1)) % tarpitSlots
	p.slots[slot] = append(p.slots[slot], c)
	if p.held++; p.held == 1 {
		select {
		case p.woken <- struct{}{}:
		default:
		}
	}
}

// tick closes those whose time has come; mu is held.
func (p *tarpit) tick() {
	for _, c := range p.slots[p.at] {
		_ = c.Close()
	}
	p.held -= len(p.slots[p.at])
	p.slots[p.at] = nil
	p.at = (p.at + 1) % tarpitSlots
}

// empty closes all.
func (p *tarpit) empty() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.held > 0 {
		p.tick()
	}
}

// close closes all, and whatever comes from then on at once.
func (p *tarpit) close() {
	p.mu.Lock()
	p.over = true
	p.mu.Unlock()
	p.empty()
}

// run closes connections at their time, and all of them when ctx ends. While
// there are none it sleeps.
func (p *tarpit) run(ctx context.Context) {
	defer p.close()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.woken:
		}
		clock := time.NewTicker(tarpitTick)
		for p.ticked() {
			select {
			case <-ctx.Done():
				clock.Stop()
				return
			case <-clock.C:
			}
		}
		clock.Stop()
	}
}

// ticked is a tick, and says whether anybody is left.
func (p *tarpit) ticked() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tick()
	return p.held > 0
}
