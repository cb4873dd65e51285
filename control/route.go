package control

import (
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
)

// A router finds the operation of a request by method and escaped path.
//
// Names in paths are percent-encoded, slashes included, so the path is split
// before it is decoded. Nothing is cleaned and nothing redirected: //, .. and
// a slash at the end are names that no operation has, except where AWS's
// pattern itself ends in a slash, which may then be left out.
type router struct {
	routes map[string][]*route // by method, the most literal first
}

type route struct {
	segments []segment
	action   string
	handle   Handler // nil: not there yet
	data     bool    // of the data plane, whose errors look otherwise
}

type segment struct {
	text   string // literal, or the name of what it stands for
	name   bool
	greedy bool
}

func (r *router) add(method, pattern string, rt *route) {
	if r.routes == nil {
		r.routes = map[string][]*route{}
	}
	for part := range strings.SplitSeq(strings.Trim(pattern, "/"), "/") {
		inner, name := strings.CutPrefix(part, "{")
		inner = strings.TrimSuffix(inner, "}")
		inner, greedy := strings.CutSuffix(inner, "+")
		rt.segments = append(rt.segments, segment{inner, name, greedy})
	}
	if strings.HasSuffix(pattern, "/") && pattern != "/" {
		with := *rt
		with.segments = append(slices.Clone(rt.segments), segment{})
		r.routes[method] = append(r.routes[method], &with)
	}
	r.routes[method] = append(r.routes[method], rt)
	slices.SortStableFunc(r.routes[method], moreLiteral)
}

// moreLiteral orders routes so that the first one that fits is the right one:
// /thing-groups/addThingToThingGroup stands before /thing-groups/{name}.
func moreLiteral(a, b *route) int {
	return slices.CompareFunc(a.segments, b.segments, func(x, y segment) int { return x.rank() - y.rank() })
}

func (s segment) rank() int {
	switch {
	case s.greedy:
		return 2
	case s.name:
		return 1
	}
	return 0
}

// find gives the route and the decoded names of its path.
func (r *router) find(method, escaped string) (*route, map[string]string, error) {
	parts := strings.Split(strings.TrimPrefix(escaped, "/"), "/")
	for _, rt := range r.routes[method] {
		if rt.fits(parts) {
			names, err := rt.names(parts)
			return rt, names, err
		}
	}
	return nil, nil, fault.New(fault.UnknownOperation, "There is no operation %s %s here; Slipway has those of AWS IoT's control plane, and GetCallerIdentity of STS.", method, arn.Clip(escaped, 80))
}

func (rt *route) fits(parts []string) bool {
	for i, s := range rt.segments {
		switch {
		case i >= len(parts):
			return false
		case s.greedy:
			return parts[i] != ""
		case s.name && parts[i] == "", !s.name && parts[i] != s.text:
			return false
		}
	}
	return len(parts) == len(rt.segments)
}

func (rt *route) names(parts []string) (map[string]string, error) {
	names := map[string]string{}
	for i, s := range rt.segments {
		if !s.name {
			continue
		}
		text := parts[i]
		if s.greedy {
			text = strings.Join(parts[i:], "/")
		}
		decoded, err := url.PathUnescape(text)
		if err != nil || !utf8.ValidString(decoded) {
			return nil, fault.New(fault.InvalidRequest, "%s in the path is not percent-encoded UTF-8.", s.text)
		}
		names[s.text] = decoded
	}
	return names, nil
}
