package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/slipway-iot/slipway/client/api"
)

// An awsCertificate is what CreateCertificateFromCsr answers, and with a key
// CreateKeysAndCertificate.
type awsCertificate struct {
	ID   string `json:"certificateId"`
	ARN  string `json:"certificateArn"`
	PEM  string `json:"certificatePem"`
	Keys struct {
		Private string `json:"PrivateKey"`
	} `json:"keyPair"`
}

// makeElsewhere makes a device by AWS's operations, step by step, and takes
// back what it made if a step fails.
func (b *batch) makeElsewhere(ctx context.Context, w wantedDevice, key *deviceKey) (madeDevice, error) {
	var done undo
	done.add("files of "+w.name, func(context.Context) error { return b.shelf.drop(w.name, key) })
	made, err := b.steps(ctx, w, key, &done)
	if there := new(refusal); errors.As(err, there) && there.class == "ResourceAlreadyExistsException" {
		return madeDevice{how: wasThere}, b.shelf.drop(w.name, key)
	}
	if err != nil {
		return made, done.all(ctx, err)
	}
	return made, nil
}

// steps are in an order that lets nobody in early: the certificate becomes
// ACTIVE last. An archive takes no file back, so that it gets a device's files
// when all else is done.
func (b *batch) steps(ctx context.Context, w wantedDevice, key *deviceKey, done *undo) (madeDevice, error) {
	p := b.plane
	if err := p.thing(ctx, w, done); err != nil {
		return madeDevice{}, err
	}
	c, err := p.certificate(ctx, key, done)
	if err != nil {
		return madeDevice{}, err
	}
	if err := p.attach(ctx, w, c.ARN, done); err != nil {
		return madeDevice{}, err
	}
	made := madeDevice{id: c.ID, arn: c.ARN}
	last := []func() error{
		func() (err error) { made.files, err = b.shelf.put(w.name, key, c.PEM, b.where, c.ID); return err },
		func() error { return p.setStatus(ctx, c.ID, "ACTIVE") },
	}
	if !b.shelf.keeps() {
		slices.Reverse(last)
	}
	if err := last[0](); err != nil {
		return made, err
	}
	return made, last[1]()
}

// certificate gets an INACTIVE certificate for the device's key. An emulator
// may certify a key of its own instead, which fits nothing: then both come from
// there.
func (p *plane) certificate(ctx context.Context, key *deviceKey, done *undo) (*awsCertificate, error) {
	c, err := p.newCertificate(ctx, "/certificates", map[string]string{"certificateSigningRequest": key.request}, done)
	if err != nil {
		return nil, err
	}
	if _, err := tls.X509KeyPair([]byte(c.PEM), []byte(key.pem)); err == nil {
		return c, nil
	}
	if err := done.last(ctx); err != nil {
		return nil, err
	}
	if c, err = p.newCertificate(ctx, "/keys-and-certificate", nil, done); err != nil {
		return nil, err
	}
	key.pem, key.theirs = c.Keys.Private, true
	return c, nil
}

// newCertificate makes one. It counts as ACTIVE when it is taken back, since an
// answer that was lost may have been a yes, and an emulator may not know
// setAsActive.
func (p *plane) newCertificate(ctx context.Context, path string, request any, done *undo) (*awsCertificate, error) {
	var c awsCertificate
	err := p.call(ctx, http.MethodPost, path, url.Values{"setAsActive": {"false"}}, request, &c)
	if gone := new(api.Unreachable); errors.As(err, &gone) {
		return nil, fmt.Errorf("%w\nIt may have made a certificate that is INACTIVE and attached to nothing", err)
	}
	if err != nil {
		return nil, err
	}
	done.add("certificate "+c.ID, func(ctx context.Context) error {
		if err := p.setStatus(ctx, c.ID, "INACTIVE"); err != nil {
			return err
		}
		return p.call(ctx, http.MethodDelete, api.Path("certificates", c.ID), nil, nil, nil)
	})
	return &c, nil
}

func (p *plane) setStatus(ctx context.Context, id, status string) error {
	return p.call(ctx, http.MethodPut, api.Path("certificates", id), url.Values{"newStatus": {status}}, nil, nil)
}

// thing makes the thing and puts it into its groups. CreateThing of a thing
// that exists may succeed, so it is asked for first: what was there before is
// not ours to take back.
func (p *plane) thing(ctx context.Context, w wantedDevice, done *undo) error {
	at := api.Path("things", w.name)
	err := p.get(ctx, at, nil)
	if err == nil {
		return thereAlready(w.name, false)
	}
	if !api.IsType(err, api.Missing) {
		return err
	}
	request := map[string]any{}
	if w.kind != "" {
		request["thingTypeName"] = w.kind
	}
	if len(w.attributes) > 0 {
		request["attributePayload"] = map[string]any{"attributes": w.attributes}
	}
	err = p.call(ctx, http.MethodPost, at, nil, request, nil)
	if gone := new(api.Unreachable); err == nil || errors.As(err, &gone) {
		done.add("thing "+w.name, func(ctx context.Context) error { return p.call(ctx, http.MethodDelete, at, nil, nil, nil) })
	}
	if err != nil {
		return fmt.Errorf("thing %s%s: %w", w.name, either(w.kind != "", " of type "+w.kind), err)
	}
	for _, group := range w.groups {
		err := p.call(ctx, http.MethodPut, "/thing-groups/addThingToThingGroup", nil, map[string]string{"thingName": w.name, "thingGroupName": group}, nil)
		if err != nil {
			return fmt.Errorf("thing group %s: %w", group, err)
		}
	}
	return nil
}

// attach gives the certificate its thing and its policies. What undoes a step is
// noted before the step: an answer that was lost may have been a yes.
func (p *plane) attach(ctx context.Context, w wantedDevice, certificate string, done *undo) error {
	at, principal := api.Path("things", w.name, "principals"), http.Header{"X-Amzn-Principal": {certificate}}
	done.add("attachment of the certificate to the thing", func(ctx context.Context) error {
		return p.send(ctx, http.MethodDelete, at, nil, principal, nil, nil)
	})
	if err := p.send(ctx, http.MethodPut, at, nil, principal, nil, nil); err != nil {
		return err
	}
	for _, policy := range w.policies {
		at, to := api.Path("target-policies", policy), map[string]string{"target": certificate}
		done.add("attachment of policy "+policy, func(ctx context.Context) error { return p.call(ctx, http.MethodPost, at, nil, to, nil) })
		if err := p.call(ctx, http.MethodPut, at, nil, to, nil); err != nil {
			return fmt.Errorf("policy %s: %w", policy, err)
		}
	}
	return nil
}
