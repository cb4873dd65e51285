package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/slipway-iot/slipway/client/api"
)

// An awsCertificate is what CreateCertificateFromCsr answers.
type awsCertificate struct {
	ID  string `json:"certificateId"`
	ARN string `json:"certificateArn"`
	PEM string `json:"certificatePem"`
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
	var c awsCertificate
	err := p.call(ctx, http.MethodPost, "/certificates", url.Values{"setAsActive": {"false"}}, map[string]string{"certificateSigningRequest": key.request}, &c)
	if gone := new(api.Unreachable); errors.As(err, &gone) {
		return madeDevice{}, fmt.Errorf("%w\nIt may have made a certificate that is INACTIVE and attached to nothing", err)
	}
	if err != nil {
		return madeDevice{}, err
	}
	at := api.Path("certificates", c.ID)
	done.add("certificate "+c.ID, func(ctx context.Context) error {
		return p.call(ctx, http.MethodDelete, at, nil, nil, nil)
	})
	if err := p.attach(ctx, w, c.ARN, done); err != nil {
		return madeDevice{}, err
	}
	made := madeDevice{id: c.ID, arn: c.ARN}
	last := []func() error{
		func() (err error) { made.files, err = b.shelf.put(w.name, key, c.PEM, b.where, c.ID); return err },
		func() error { return p.activate(ctx, at, c.ID, done) },
	}
	if !b.shelf.keeps() {
		slices.Reverse(last)
	}
	if err := last[0](); err != nil {
		return made, err
	}
	return made, last[1]()
}

func (p *plane) activate(ctx context.Context, at, id string, done *undo) error {
	done.add("activation of certificate "+id, func(ctx context.Context) error {
		return p.call(ctx, http.MethodPut, at, url.Values{"newStatus": {"INACTIVE"}}, nil, nil)
	})
	return p.call(ctx, http.MethodPut, at, url.Values{"newStatus": {"ACTIVE"}}, nil, nil)
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
