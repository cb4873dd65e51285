package ca

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-iot/slipway/fault"
)

// A KeyPool holds RSA-2048 keys made ahead. AWS's server-made keys are
// RSA-2048, making one takes longer than a device waits comfortably, and the
// common device stack waits one second for any answer (real-clients.md).
//
// Every key is given out once.
type KeyPool struct {
	keys     chan *rsa.PrivateKey
	workers  int
	inline   chan struct{} // one place for each key that may be made inline at a time
	misses   atomic.Uint64
	generate func() (*rsa.PrivateKey, error)
}

// NewKeyPool makes an empty pool for size keys. While Run runs, that many
// workers fill it.
func NewKeyPool(size, workers int) *KeyPool {
	workers = max(1, workers)
	return &KeyPool{
		keys:     make(chan *rsa.PrivateKey, max(0, size)),
		workers:  workers,
		inline:   make(chan struct{}, workers),
		generate: func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, minRSA) },
	}
}

// Run fills the pool, and refills it as keys are taken, until ctx ends; then
// it waits for its workers and returns nil. It fails only if keys cannot be
// made at all.
func (p *KeyPool) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	failures := make([]error, p.workers)
	var wg sync.WaitGroup
	for i := range failures {
		wg.Go(func() {
			if failures[i] = p.fill(ctx); failures[i] != nil {
				stop()
			}
		})
	}
	wg.Wait()
	return errors.Join(failures...)
}

// fill adds keys until ctx ends. A worker rests after each key for as long as
// the key took, so that filling never takes more than half of a core from the
// devices that are being served.
func (p *KeyPool) fill(ctx context.Context) error {
	for ctx.Err() == nil {
		start := time.Now()
		key, err := p.generate()
		if err != nil {
			return fault.Wrap(fault.Internal, err, "No RSA key could be made.")
		}
		rest := time.NewTimer(time.Since(start))
		select {
		case p.keys <- key:
		case <-ctx.Done():
		}
		select {
		case <-rest.C:
		case <-ctx.Done():
		}
		rest.Stop()
	}
	return nil
}

// Get gives a key that nobody else has or will get. If the pool is empty it
// makes one in the caller's time, as many at once as the pool has workers, and
// takes a key from the pool if one comes sooner.
func (p *KeyPool) Get(ctx context.Context) (*rsa.PrivateKey, error) {
	select {
	case key := <-p.keys:
		return key, nil
	default:
	}
	p.misses.Add(1)
	select {
	case key := <-p.keys:
		return key, nil
	case p.inline <- struct{}{}:
		defer func() { <-p.inline }()
	case <-ctx.Done():
		return nil, fault.Wrap(fault.Unavailable, ctx.Err(), "No RSA key was ready in time; try again.")
	}
	key, err := p.generate()
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "No RSA key could be made.")
	}
	return key, nil
}

// Depth is the number of keys that wait.
func (p *KeyPool) Depth() int { return len(p.keys) }

// Misses is the number of times that a caller found the pool empty.
func (p *KeyPool) Misses() uint64 { return p.misses.Load() }

// EncodeRSAKey writes a private key as AWS gives it out: PKCS#1 in a PEM block
// of type RSA PRIVATE KEY.
func EncodeRSAKey(key *rsa.PrivateKey) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
}
