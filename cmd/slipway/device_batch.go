package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-iot/slipway/client/api"
)

// A batch is one run of `device create`.
type batch struct {
	cmd       *deviceCreate
	plane     *plane
	shelf     shelf
	progress  *progress
	ours      bool // the server is Slipway's
	where     connectsTo
	documents map[string]string

	mu      sync.Mutex
	made    int
	skipped []skippedDevice
	failed  error // the first failure; no more are begun
}

// How one device ended.
type outcome uint8

const (
	wasMade  outcome = iota
	wasWhole         // its files are here, complete
	wasThere         // the server has it, and its key is not here
)

// A madeDevice is what became of a wantedDevice.
type madeDevice struct {
	how     outcome
	id, arn string
	files   []string
}

type skippedDevice struct {
	Name string `json:"thingName"`
	Why  string `json:"why"`
}

// connectsTo is what a device has to know of its server.
type connectsTo struct {
	Host   string `json:"endpointAddress"`
	Port   string `json:"mqttPort"`
	RootCA string `json:"rootCa"`
}

func (w connectsTo) known() bool     { return w.Host != "" }
func (w connectsTo) address() string { return net.JoinHostPort(w.Host, w.Port) }

// prepare learns which kind of server it is, and where devices reach it.
func (b *batch) prepare(ctx context.Context) (err error) {
	if b.documents, err = b.cmd.policyDocuments(); err != nil {
		return err
	}
	b.where, b.ours, err = b.plane.endpoints(ctx)
	if err != nil || b.ours {
		return err
	}
	if b.cmd.Renew || b.documents != nil {
		return usageError{fmt.Errorf("--renew and --policy-document need a Slipway server; %s is none", b.plane.client.Endpoint)}
	}
	return nil
}

// endpoints says where devices reach the server: ours tells, another is asked
// as on AWS.
func (p *plane) endpoints(ctx context.Context) (w connectsTo, ours bool, err error) {
	err = p.call(ctx, http.MethodGet, "/slipway/endpoints", nil, nil, &w)
	if err == nil || !foreign(err) {
		return w, err == nil, err
	}
	w = connectsTo{RootCA: p.rootCA()}
	if host, port, err := net.SplitHostPort(p.deviceAddress(ctx)); err == nil {
		w.Host, w.Port = host, port
		return w, false, nil
	}
	var endpoint struct {
		Address string `json:"endpointAddress"`
	}
	// A server without the operation still makes devices; their configuration then lacks the name.
	if err := p.call(ctx, http.MethodGet, "/endpoint", url.Values{"endpointType": {"iot:Data-ATS"}}, nil, &endpoint); err == nil {
		w.Host, w.Port = endpoint.Address, "8883"
	}
	return w, false, nil
}

// make makes one device, whole or not at all.
func (b *batch) make(ctx context.Context, w wantedDevice) (madeDevice, error) {
	key, whole, err := b.shelf.key(w.name, b.cmd.KeyType, b.cmd.replaces())
	if err != nil || whole {
		return madeDevice{how: wasWhole}, err
	}
	if !b.ours {
		return b.makeElsewhere(ctx, w, key)
	}
	var out struct {
		ID  string `json:"certificateId"`
		ARN string `json:"certificateArn"`
		PEM string `json:"certificatePem"`
	}
	err = b.plane.call(ctx, http.MethodPost, "/slipway/devices", nil, map[string]any{
		"thingName": w.name, "thingTypeName": w.kind, "attributes": w.attributes, "thingGroups": w.groups, "policies": w.policies,
		"policyDocuments": b.documentsOf(w), "certificateSigningRequest": key.request, "renew": b.cmd.Renew,
	}, &out)
	if api.IsType(err, "ResourceAlreadyExistsException") {
		return madeDevice{how: wasThere}, b.shelf.drop(w.name, key)
	}
	if lost := new(api.Unreachable); errors.As(err, &lost) && b.shelf.keeps() {
		return madeDevice{}, fmt.Errorf("%s: %w\nWhether it was made is not known. Its key is kept: the same command again brings it to its end", w.name, err)
	} else if err != nil {
		return madeDevice{}, errors.Join(fmt.Errorf("%s: %w", w.name, err), b.shelf.drop(w.name, key))
	}
	files, err := b.shelf.put(w.name, key, out.PEM, b.where, out.ID)
	return madeDevice{wasMade, out.ID, out.ARN, files}, err
}

func (b *batch) documentsOf(w wantedDevice) map[string]string {
	for _, name := range w.policies {
		if text, ok := b.documents[name]; ok {
			return map[string]string{name: text}
		}
	}
	return nil
}

// all makes them side by side. What was begun is brought to its end, also when
// the run is interrupted or a neighbour fails.
func (b *batch) all(ctx context.Context, s streams, wanted []wantedDevice) error {
	started := time.Now()
	var workers errgroup.Group
	workers.SetLimit(b.cmd.Workers)
	for _, w := range wanted {
		if ctx.Err() != nil || b.over() {
			break
		}
		workers.Go(func() error { b.note(w, context.WithoutCancel(ctx)); return nil })
	}
	_ = workers.Wait()
	b.progress.end()
	files, err := b.shelf.finish()
	err = errors.Join(b.failed, err)
	if err == nil && ctx.Err() != nil {
		err = errors.New("interrupted; the same command again goes on where this one ended")
	}
	return errors.Join(err, b.report(s, files, time.Since(started)))
}

func (b *batch) over() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failed != nil
}

func (b *batch) note(w wantedDevice, ctx context.Context) {
	made, err := b.make(ctx, w)
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case err != nil && b.failed == nil:
		b.failed = err
	case err != nil:
	case made.how == wasMade:
		b.made++
	case made.how == wasWhole:
		b.skipped = append(b.skipped, skippedDevice{w.name, "its files are here"})
	default:
		b.skipped = append(b.skipped, skippedDevice{w.name, "it exists on the server, with a key that is not here"})
	}
	b.progress.step(b.made + len(b.skipped))
}

func (b *batch) report(s streams, files []string, took time.Duration) error {
	rate := float64(b.made) / max(took.Seconds(), 0.001)
	if b.cmd.JSON {
		return writeJSON(s.out, map[string]any{
			"made": b.made, "skipped": append([]skippedDevice{}, b.skipped...),
			"seconds": took.Seconds(), "perSecond": rate, "files": append([]string{}, files...),
		})
	}
	fmt.Fprintf(s.out, "%s made in %.1f s (%.0f a second)\n", plural(b.made, "device"), took.Seconds(), rate)
	for _, f := range files {
		fmt.Fprintln(s.out, "archive:", f)
	}
	if len(b.skipped) == 0 {
		return nil
	}
	slices.SortFunc(b.skipped, func(x, y skippedDevice) int { return strings.Compare(x.Name, y.Name) })
	fmt.Fprintf(s.out, "%s skipped:\n", strconv.Itoa(len(b.skipped)))
	for i, d := range b.skipped {
		if i == 10 {
			fmt.Fprintf(s.out, "  … and %d more; --json lists all\n", len(b.skipped)-i)
			break
		}
		fmt.Fprintf(s.out, "  %s: %s\n", d.Name, d.Why)
	}
	return nil
}
