package ca

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// quickKeys makes keys that take a second each and are good for nothing.
func quickKeys(p *KeyPool) *KeyPool {
	p.generate = func() (*rsa.PrivateKey, error) {
		time.Sleep(time.Second) // of a synctest bubble
		return &rsa.PrivateKey{}, nil
	}
	return p
}

func TestThePoolFillsAndHandsEachKeyOutOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := quickKeys(NewKeyPool(4, 1))
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- p.Run(ctx) }()
		time.Sleep(time.Minute)
		if p.Depth() != 4 {
			t.Errorf("%d keys wait after a minute, want 4", p.Depth())
		}
		seen := map[*rsa.PrivateKey]bool{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 12 {
			wg.Go(func() {
				key, err := p.Get(ctx)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				seen[key] = true
			})
		}
		wg.Wait()
		if len(seen) != 12 {
			t.Errorf("%d different keys for 12 callers", len(seen))
		}
		if p.Misses() == 0 || p.Misses() > 8 {
			t.Errorf("%d misses, want those that found the pool empty", p.Misses())
		}
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run ended with %v", err)
		}
	})
}

func TestFillingTakesHalfOfACore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := quickKeys(NewKeyPool(100, 1))
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- p.Run(ctx) }()
		time.Sleep(20*time.Second + time.Millisecond)
		if p.Depth() != 10 {
			t.Errorf("%d keys of one second each in 20 seconds, want 10", p.Depth())
		}
		stop()
		<-ended
	})
}

func TestAnEmptyPoolMakesTheKeyInTheCallersTime(t *testing.T) {
	p := NewKeyPool(0, 1)
	key, err := p.Get(t.Context())
	if err != nil || key.N.BitLen() != 2048 || key.Validate() != nil || p.Misses() != 1 {
		t.Fatalf("got %v, %d misses", err, p.Misses())
	}
	text := EncodeRSAKey(key)
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "RSA PRIVATE KEY" || len(rest) != 0 {
		t.Fatalf("encoded as %s", text)
	}
	if back, err := x509.ParsePKCS1PrivateKey(block.Bytes); err != nil || !back.Equal(key) {
		t.Errorf("read back: %v", err)
	}
	if len(text) > 2048 {
		t.Errorf("%d bytes; a small client keeps 2048 for its key", len(text))
	}
}

func TestACallerThatLeavesGetsNoKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := quickKeys(NewKeyPool(0, 1))
		go p.Get(t.Context()) // takes the only place
		synctest.Wait()
		ctx, stop := context.WithTimeout(t.Context(), time.Millisecond)
		defer stop()
		if key, err := p.Get(ctx); key != nil || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, %v", key, err)
		}
		time.Sleep(time.Second)
	})
}

func TestAPoolThatCannotMakeKeysSaysSo(t *testing.T) {
	broken := errors.New("broken")
	p := NewKeyPool(1, 2)
	p.generate = func() (*rsa.PrivateKey, error) { return nil, broken }
	if err := p.Run(t.Context()); !errors.Is(err, broken) {
		t.Errorf("Run ended with %v", err)
	}
	if _, err := p.Get(t.Context()); !errors.Is(err, broken) {
		t.Errorf("Get gave %v", err)
	}
}

func BenchmarkKeyPool(b *testing.B) {
	b.Run("made inline", func(b *testing.B) {
		p := NewKeyPool(0, 1)
		for b.Loop() {
			if _, err := p.Get(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("from the pool", func(b *testing.B) {
		p := NewKeyPool(1, 1)
		key := &rsa.PrivateKey{}
		for b.Loop() {
			p.keys <- key
			if _, err := p.Get(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
