package server

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/functions"
	httpfn "github.com/slipway-iot/slipway/functions/http"
)

// deliver posts a confirmation message to the endpoint of a topic rule
// destination, in the time and under the guard that http functions have.
func (s *Server) deliver(ctx context.Context, t arn.Tenant, at string, message []byte) error {
	const name = "destination"
	f, err := httpfn.Driver{OwnPorts: s.ownPorts, Now: s.cfg.Now}.Open(t, functions.Spec{Name: name, Kind: functions.HTTP, URL: at, AllowPrivate: s.privateURL(at)})
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Invoke(ctx, message); err != nil {
		_, text := fault.Show(err)
		return fault.Wrap(fault.Unavailable, err, "%s", strings.Replace(text, "Function "+name, "The endpoint", 1))
	}
	return nil
}

// private says whether endpoints of rules with this host name may have private
// addresses: the operator of the server named it. Our own ports stay closed.
func (s *Server) private(host string) bool {
	return slices.ContainsFunc(s.cfg.PrivateEndpoints, func(name string) bool { return strings.EqualFold(name, host) })
}

func (s *Server) privateURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && s.private(u.Hostname())
}
