package server

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/control"
	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/functions"
	"github.com/slipway-iot/slipway/functions/allowlist"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/tenants"
)

// putFunction: PUT /slipway/functions/{name} with the spec as body. The spec
// may hold secrets, so it is stored sealed and shown without them.
func (s *Server) putFunction(ctx context.Context, c *control.Call) (any, error) {
	var spec functions.Spec
	if err := decodeBody(c.Body, &spec); err != nil {
		return nil, err
	}
	if spec.Name != "" && spec.Name != c.Path["name"] {
		return nil, fault.New(fault.InvalidRequest, "name %q: the path says %q; leave it out, or say the same.", functions.Quote(spec.Name), functions.Quote(c.Path["name"]))
	}
	spec.Name = c.Path["name"]
	if err := spec.Check(); err != nil {
		return nil, err
	}
	if err := s.mayReach(c, spec); err != nil {
		return nil, err
	}
	if spec.Kind == functions.Allowlist { // a list that cannot be read is refused now, not when a device comes
		f, err := allowlist.Open(c.Tenant, spec)
		if functions.ReasonOf(err) != "" {
			_, text := fault.Show(err)
			return nil, fault.Wrap(fault.InvalidRequest, err, "%s", text)
		}
		if err != nil {
			return nil, err
		}
		_ = f.Close()
	}
	sealed, err := s.sealSpec(spec)
	if err != nil {
		return nil, err
	}
	err = s.db.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		if err := tx.PutDocument(ctx, c.Tenant, store.FunctionDocument, spec.Name, sealed); err != nil {
			return err
		}
		tx.Emit(event.Event{Kind: event.FunctionChanged, Tenant: c.Tenant, ID: spec.Name, At: s.cfg.Now()})
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.functions.Invalidate(c.Tenant, spec.Name) // the caller's next request sees it
	return functionItem(c.Tenant, spec), nil
}

// mayReach refuses a function that reaches into the machine the server runs on:
// its programs, its files, its network. Whoever may add one of those can read
// every account's keys, so it takes an admin of the default account, which is
// the server's own.
func (s *Server) mayReach(c *control.Call, spec functions.Spec) error {
	what := ""
	switch {
	case spec.Kind == functions.Process:
		what = "runs a program on the server"
	case spec.Path != "":
		what = "reads a file of the server; give its text as csv"
	case spec.AllowPrivate:
		what = "reaches the server's own network (allowPrivate)"
	}
	if what == "" || s.cfg.Dev || c.Key.Role == tenants.Admin && c.Key.Account == arn.Default.Account {
		return nil
	}
	return fault.New(fault.AccessDenied, "Function %s %s; that takes an admin key of account %s.", spec.Name, what, arn.Default.Account)
}

type functionAnswer struct {
	functions.Spec
	ARN string `json:"functionArn"`
}

func (f functionAnswer) MarshalJSON() ([]byte, error) {
	b, err := json.Marshal(f.Spec)
	if err != nil {
		return nil, err
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, err
	}
	m["functionArn"] = f.ARN
	return json.Marshal(m)
}

func functionItem(t arn.Tenant, spec functions.Spec) functionAnswer {
	return functionAnswer{spec.Redacted(), functions.ARN(t, spec.Name)}
}

// listFunctions: GET /slipway/functions.
func (s *Server) listFunctions(ctx context.Context, c *control.Call) (any, error) {
	p, err := pageFrom(c.Query)
	if err != nil {
		return nil, err
	}
	var bodies [][]byte
	var out struct {
		Functions []functionAnswer `json:"functions"`
		NextToken string           `json:"nextToken,omitempty"`
	}
	err = s.db.View(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		_, bodies, out.NextToken, err = tx.ListDocuments(ctx, c.Tenant, store.FunctionDocument, p)
		return err
	})
	if err != nil {
		return nil, err
	}
	out.Functions = []functionAnswer{}
	for _, sealed := range bodies {
		spec, err := s.unsealSpec(sealed)
		if err != nil {
			return nil, err
		}
		out.Functions = append(out.Functions, functionItem(c.Tenant, *spec))
	}
	return out, nil
}

// deleteFunction: DELETE /slipway/functions/{name}.
func (s *Server) deleteFunction(ctx context.Context, c *control.Call) (any, error) {
	name := c.Path["name"]
	err := s.db.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		if err := tx.DeleteDocument(ctx, c.Tenant, store.FunctionDocument, name); err != nil {
			return err
		}
		tx.Emit(event.Event{Kind: event.FunctionChanged, Tenant: c.Tenant, ID: name, At: s.cfg.Now()})
		return nil
	})
	s.functions.Invalidate(c.Tenant, name)
	return nil, err
}

// testFunction: POST /slipway/functions/{name}/test calls it with the body.
func (s *Server) testFunction(ctx context.Context, c *control.Call) (any, error) {
	f, err := s.functions.Resolve(ctx, c.Tenant, c.Path["name"])
	if err != nil {
		return nil, err
	}
	out, err := f.Invoke(ctx, c.Body)
	var failed *functions.Failure
	if errors.As(err, &failed) {
		return nil, fault.Wrap(fault.InvalidRequest, err, "%s", failed.Text)
	}
	if err != nil {
		return nil, err
	}
	return control.Raw{ContentType: "application/json", Body: out}, nil
}

// sealSpec writes a spec as the store keeps it: base64 of its sealed JSON.
func (s *Server) sealSpec(spec functions.Spec) ([]byte, error) {
	plain, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	return []byte(base64.StdEncoding.EncodeToString(s.seal.Seal("function", plain))), nil
}

func (s *Server) unsealSpec(stored []byte) (*functions.Spec, error) {
	sealed, err := base64.StdEncoding.DecodeString(string(stored))
	if err != nil {
		return nil, err
	}
	plain, err := s.seal.Unseal("function", sealed)
	if err != nil {
		return nil, err
	}
	var spec functions.Spec
	return &spec, json.Unmarshal(plain, &spec)
}

// viewFunction shows a stored spec to the audit trail, without its secrets.
func (s *Server) viewFunction(stored []byte) (any, error) {
	spec, err := s.unsealSpec(stored)
	if err != nil {
		return nil, err
	}
	return spec.Redacted(), nil
}
