package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/slipway-iot/slipway/arn"
)

// A subject is one registry, its server, and what was measured there.
type subject struct {
	fleet
	child  *child
	base   *base
	loaded time.Duration

	thingBytes, bytes int64 // on disk: the things; all

	middle, last string // tokens of the pages that begin in the middle and near the end
	pick         *rand.Rand
	took         []time.Duration
	used         time.Duration // CPU at the last mark
}

func newSubject(bases *bases, data string, things int) (*subject, error) {
	base, err := bases.create(data)
	if err != nil {
		return nil, err
	}
	return &subject{
		fleet: fleet{things}, base: base, child: &child{data: data, store: base.store},
		pick: rand.New(rand.NewPCG(1, 2)), // the same calls in every run
	}, nil
}

// A probe is one kind of call. It looks at what it gets: a call that is quick
// and wrong is worth nothing.
type probe struct {
	name string
	call func(s *subject, ctx context.Context, i int) error // i is a thing of the fleet
}

var probes = []probe{
	{"DescribeThing", (*subject).describeThing},
	{"DescribeCertificate", (*subject).describeCertificate},
	{"ListThingPrincipals", (*subject).listPrincipals},
	{"ListThings, the first page", (*subject).firstPage},
	{"ListThings, a page in the middle", (*subject).middlePage},
	{"ListThings, the last page", (*subject).lastPage},
	{"ListThings, 20 by an attribute", (*subject).bySite},
	{"ListThings, 10 by how an attribute begins", (*subject).byPrefix},
	{"ListThings, 20 by their type", (*subject).byType},
	{"ListThings, 20 by type and attribute", (*subject).byBoth},
	{"ListPrincipalThings", (*subject).listThingsOf},
	{"ListTargetsForPolicy", (*subject).listTargets},
	{"ListCertificates", (*subject).listCertificates},
	{"AttachPolicy and DetachPolicy", (*subject).attach},
	{"CreateThing and DeleteThing", (*subject).create},
}

// mark notes what the server used up to now.
func (s *subject) mark() (err error) {
	s.used, err = s.cpu()
	return err
}

// cpu is what the server used, and the database if it is one of its own
// processes on this machine.
func (s *subject) cpu() (time.Duration, error) {
	own, err := s.child.cpu()
	if err != nil || s.base.name == "" {
		return own, err
	}
	theirs, err := backendTime(s.base.name)
	return own + theirs, err
}

func (s *subject) calls(ctx context.Context, p probe, n int) error {
	for range n {
		i := s.pick.IntN(s.things)
		began := time.Now()
		if err := p.call(s, ctx, i); err != nil {
			return err
		}
		s.took = append(s.took, time.Since(began))
	}
	return nil
}

// cost is that of the calls since the mark.
func (s *subject) cost() (cost, error) {
	now, err := s.cpu()
	return cost{P50: micros(median(s.took)), CPU: micros(now-s.used) / float64(len(s.took))}, err
}

func (s *subject) get(ctx context.Context, path string, query url.Values, header http.Header, out any) error {
	return s.child.api.Do(ctx, http.MethodGet, path, query, header, nil, out)
}

func (s *subject) describeThing(ctx context.Context, i int) error {
	var got struct{ Attributes map[string]string }
	err := s.get(ctx, "/things/"+s.name(i), nil, nil, &got)
	return expect(err, got.Attributes["serial"], s.serial(i))
}

func (s *subject) describeCertificate(ctx context.Context, i int) error {
	id := s.certificate(i * perThing)
	var got struct {
		Description struct{ CertificateID arn.CertID } `json:"certificateDescription"`
	}
	err := s.get(ctx, "/certificates/"+string(id), nil, nil, &got)
	return expect(err, got.Description.CertificateID, id)
}

func (s *subject) listPrincipals(ctx context.Context, i int) error {
	var got struct{ Principals []string }
	err := s.get(ctx, "/things/"+s.name(i)+"/principals", nil, nil, &got)
	return expect(err, slices.Contains(got.Principals, s.arnOf(i)) && len(got.Principals) == perThing, true)
}

func (s *subject) arnOf(i int) string { return arn.Default.Cert(s.certificate(i * perThing)) }

// A thingPage is what ListThings answers.
type thingPage struct {
	Things []struct {
		ThingName  string
		Attributes map[string]string
	}
	NextToken string
}

func (s *subject) page(ctx context.Context, token string) error {
	var got thingPage
	query := url.Values{}
	if token != "" {
		query.Set("nextToken", token)
	}
	return expect(s.get(ctx, "/things", query, nil, &got), len(got.Things), 25)
}

func (s *subject) firstPage(ctx context.Context, _ int) error  { return s.page(ctx, "") }
func (s *subject) middlePage(ctx context.Context, _ int) error { return s.page(ctx, s.middle) }
func (s *subject) lastPage(ctx context.Context, _ int) error   { return s.page(ctx, s.last) }

func (s *subject) find(ctx context.Context, query url.Values, count int) error {
	var got thingPage
	return expect(s.get(ctx, "/things", query, nil, &got), len(got.Things), count)
}

func (s *subject) bySite(ctx context.Context, i int) error {
	return s.find(ctx, url.Values{"attributeName": {"site"}, "attributeValue": {s.site(i)}}, hits)
}

func (s *subject) byPrefix(ctx context.Context, i int) error {
	beginning := s.serial(i)
	return s.find(ctx, url.Values{"attributeName": {"serial"}, "attributeValue": {beginning[:len(beginning)-1]},
		"usePrefixAttributeValue": {"true"}}, alike)
}

func (s *subject) byType(ctx context.Context, _ int) error {
	return s.find(ctx, url.Values{"thingTypeName": {"gateway"}}, hits)
}

// byBoth asks for the gateways of the site where all of them are.
func (s *subject) byBoth(ctx context.Context, _ int) error {
	return s.find(ctx, url.Values{"thingTypeName": {"gateway"}, "attributeName": {"site"}, "attributeValue": {s.site(0)}}, hits)
}

func (s *subject) attach(ctx context.Context, i int) error {
	target := map[string]string{"target": s.arnOf(i)}
	for _, method := range []string{http.MethodPut, http.MethodPost} { // attach, detach
		if err := s.child.api.Do(ctx, method, "/target-policies/extra", nil, nil, target, nil); err != nil {
			return err
		}
	}
	return nil
}

func (s *subject) listThingsOf(ctx context.Context, i int) error {
	var got struct{ Things []string }
	err := s.get(ctx, "/principals/things", nil, http.Header{"X-Amzn-Principal": {s.arnOf(i)}}, &got)
	return expect(err, fmt.Sprint(got.Things), fmt.Sprint([]string{s.name(i)}))
}

func (s *subject) listTargets(ctx context.Context, _ int) error {
	var got struct{ Targets []string }
	err := s.child.api.Do(ctx, http.MethodPost, "/policy-targets/fleet", nil, nil, nil, &got)
	return expect(err, len(got.Targets), 25)
}

func (s *subject) listCertificates(ctx context.Context, _ int) error {
	var got struct {
		Certificates []struct{ CertificateID string }
	}
	return expect(s.get(ctx, "/certificates", nil, nil, &got), len(got.Certificates), 25)
}

// create makes a thing beside another one, and deletes it.
func (s *subject) create(ctx context.Context, i int) error {
	path := "/things/" + s.name(i) + "-new"
	body := map[string]any{"thingTypeName": "sensor", "attributePayload": map[string]any{
		"attributes": map[string]string{"serial": s.serial(i) + "-new", "site": s.site(i), "model": "m"}}}
	if err := s.child.api.Do(ctx, http.MethodPost, path, nil, nil, body, nil); err != nil {
		return err
	}
	return s.child.api.Do(ctx, http.MethodDelete, path, nil, nil, nil, nil)
}

// walk reads the whole list once, counts it, and keeps the tokens of pages on
// its way.
func (s *subject) walk(ctx context.Context) error {
	const longest = 250
	seen := 0
	for token := ""; ; {
		var got thingPage
		query := url.Values{"maxResults": {fmt.Sprint(longest)}}
		if token != "" {
			query.Set("nextToken", token)
		}
		if err := s.get(ctx, "/things", query, nil, &got); err != nil {
			return err
		}
		seen += len(got.Things)
		if token = got.NextToken; token == "" {
			break
		}
		if seen == s.things/2/longest*longest {
			s.middle = token
		}
		if seen == s.things-longest {
			s.last = token
		}
	}
	if seen != s.things {
		return fmt.Errorf("the list has %d things, not %d", seen, s.things)
	}
	return s.toLast(ctx)
}

// toLast goes on from the last page of the walk to the last of short pages.
func (s *subject) toLast(ctx context.Context) error {
	for range 9 {
		var got thingPage
		if err := s.get(ctx, "/things", url.Values{"nextToken": {s.last}}, nil, &got); err != nil {
			return err
		}
		s.last = got.NextToken
	}
	return nil
}

// expect makes an error of an answer that is not the one it should be.
func expect[T comparable](err error, got, want T) error {
	if err == nil && got != want {
		err = fmt.Errorf("the answer holds %v, not %v", got, want)
	}
	return err
}
