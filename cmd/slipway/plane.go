package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/slipway-iot/slipway/client/api"
)

// call makes one call of the AWS API.
func (p *plane) call(ctx context.Context, method, path string, query url.Values, body, out any) error {
	return p.send(ctx, method, path, query, nil, body, out)
}

// send is call with headers.
func (p *plane) send(ctx context.Context, method, path string, query url.Values, header http.Header, body, out any) error {
	return p.told(operation(method, path), p.client.Do(ctx, method, path, query, header, body, out))
}

func (p *plane) get(ctx context.Context, path string, out any) error {
	return p.call(ctx, http.MethodGet, path, nil, nil, out)
}

// own makes a call of one of our own operations, which another control plane
// does not have.
func (p *plane) own(ctx context.Context, method, path string, query url.Values, body, out any) error {
	return p.needsSlipway(p.call(ctx, method, path, query, body, out))
}

// told adds to an error what the server could not say: where its address was
// found, if it cannot be reached, and which operation it lacks.
func (p *plane) told(operation string, err error) error {
	var gone *api.Unreachable
	if operation != "" && foreign(err) {
		return noOperation{p.client.Endpoint, operation, err}
	}
	if errors.As(err, &gone) && p.running != nil {
		return fmt.Errorf("%w (the address is that of %s; a server that was killed leaves it behind: start it again)", err, p.from)
	}
	if errors.As(err, &gone) {
		return fmt.Errorf("%w (the address is that of %s)", err, p.from)
	}
	return err
}

func (p *plane) needsSlipway(err error) error {
	var e *api.Error
	if errors.As(err, &e) && e.NoSuchOperation() {
		return fmt.Errorf("%s does not have this operation of Slipway's own: the verb needs a Slipway server (%w)", p.client.Endpoint, err)
	}
	return err
}

// A noOperation is the answer of a control plane that does not have an
// operation of AWS's API. Its class and exit code are those of the answer.
type noOperation struct {
	endpoint, name string
	err            error
}

func (e noOperation) Error() string {
	return fmt.Sprintf("%s does not have AWS IoT's operation %s, which this verb needs (%s)", e.endpoint, e.name, strings.TrimSuffix(e.err.Error(), "."))
}

func (e noOperation) Unwrap() error { return e.err }

// foreign says whether err is that of a control plane without our operations.
func foreign(err error) bool {
	var e *api.Error
	return errors.As(err, &e) && e.NoSuchOperation()
}

// all reads every page of a list.
func all[T any](ctx context.Context, p *plane, method, path string, query url.Values, member string) ([]T, error) {
	return allWith[T](ctx, p, method, path, query, nil, member)
}

// allWith is all with headers.
func allWith[T any](ctx context.Context, p *plane, method, path string, query url.Values, header http.Header, member string) ([]T, error) {
	out := []T{}
	for item, err := range api.List[T](ctx, p.client, method, path, query, header, member) {
		if err != nil {
			return nil, p.told(operation(method, path), err)
		}
		out = append(out, item)
	}
	return out, nil
}

// Queries for the longest pages, in both of AWS's styles.
func byToken() url.Values  { return url.Values{"maxResults": {"250"}} }
func byMarker() url.Values { return url.Values{"pageSize": {"250"}} }

// A refusal is a no that no call carried.
type refusal struct{ class, text string }

func (r refusal) Error() string { return r.text }
func (r refusal) Class() string { return r.class }
func (refusal) ExitCode() int   { return exitRefused }
