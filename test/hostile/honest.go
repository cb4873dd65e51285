package main

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slipway-iot/slipway/client"
	"github.com/slipway-iot/slipway/sim"
	"github.com/slipway-iot/slipway/wire"
)

// A noticed is what honest devices noticed, in milliseconds.
type noticed struct {
	Flows  int
	Failed int
	P50    float64
	P99    float64
	Error  string // of the first that failed
	Worst  string // the longest stages of those beyond the 99th percentile
}

// A place is what a device must know of the server, in files that judge wrote.
type place struct {
	address string
	roots   *x509.CertPool
	claim   tls.Certificate
}

func findPlace(work, address string) (*place, error) {
	root, err := os.ReadFile(filepath.Join(work, "data", "root-ca.pem"))
	if err != nil {
		return nil, err
	}
	p := &place{address: address, roots: x509.NewCertPool()}
	p.roots.AppendCertsFromPEM(root)
	p.claim, err = tls.LoadX509KeyPair(filepath.Join(work, "claim.pem"), filepath.Join(work, "claim.key"))
	return p, err
}

// device is one that comes from the factory, with the claim.
func (p *place) device(serial string) *sim.Device {
	return &sim.Device{
		Connect: client.Options{Address: p.address, ServerName: "localhost", Roots: p.roots, Cert: p.claim, ClientID: "boot-" + serial,
			Curves: []tls.CurveID{tls.X25519}, Timeout: 20 * time.Second},
		Template: "hostile", Parameters: map[string]string{"SerialNumber": serial}, Format: wire.CBOR,
	}
}

// honest begins a claim flow every so often, whether or not those before it
// have ended, and prints what they noticed.
func honest(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("honest", flag.ExitOnError)
	work := f.String("work", "", "folder of the run")
	address := f.String("address", "", "of the server")
	name := f.String("name", "", "begins the serials of the devices")
	every := f.Duration("every", 40*time.Millisecond, "between two devices")
	count := f.Int("count", 300, "devices")
	_ = f.Parse(args)
	p, err := findPlace(*work, *address)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // one for all: it is the server that is measured
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var took []flow
	var out noticed
	var all sync.WaitGroup
	tick := time.NewTicker(*every)
	defer tick.Stop()
	first := time.Now()
	for i := range *count {
		<-tick.C
		all.Go(func() {
			d := p.device(fmt.Sprintf("%s-%04d", *name, i))
			d.Key = key
			began := time.Now()
			result, conn, err := d.Provision(ctx)
			t := flow{at: began.Sub(first), took: time.Since(began)}
			if result != nil {
				t.stages = result.Stages
			}
			if conn != nil {
				conn.Close()
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, t)
			if err != nil {
				out.Failed++
				out.Error = err.Error()
			}
		})
	}
	all.Wait()
	slices.SortFunc(took, func(a, b flow) int { return cmp.Compare(a.took, b.took) })
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	out.Flows, out.P50, out.P99 = len(took), ms(took[len(took)/2].took), ms(took[len(took)*99/100].took)
	var worst []string
	for _, f := range took[len(took)*99/100:] {
		worst = append(worst, f.longest())
	}
	out.Worst = strings.Join(worst, ", ")
	return json.NewEncoder(os.Stdout).Encode(out)
}

// A flow is one device's, with the stages that it went through.
type flow struct {
	at     time.Duration // when it began, after the first one
	took   time.Duration
	stages []sim.Stage
}

// longest names the stage that took longest.
func (f flow) longest() string {
	if len(f.stages) == 0 {
		return fmt.Sprintf("at %v %v before anything", f.at.Round(time.Millisecond), f.took.Round(time.Millisecond))
	}
	s := slices.MaxFunc(f.stages, func(a, b sim.Stage) int { return cmp.Compare(a.Took, b.Took) })
	return fmt.Sprintf("at %v %s %v of %v", f.at.Round(time.Millisecond), s.Name, s.Took.Round(time.Millisecond), f.took.Round(time.Millisecond))
}
