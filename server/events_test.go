package server

import (
	"context"
	"log/slog"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-iot/slipway/client"
)

// watch is a device that listens to topics, with a client id of its own.
func (s *site) watch(filters ...string) *client.Device {
	s.t.Helper()
	s.furnish()
	r, conn, err := s.device("watcher").Provision(context.Background())
	must(s.t, err)
	conn.Close()
	d, err := client.Dial(context.Background(), s.options(r.Cert, "lamp-watcher"))
	must(s.t, err)
	s.t.Cleanup(d.Close)
	must(s.t, d.Subscribe(filters...))
	s.settled() // the watcher itself was made before anything was switched on
	return d
}

// settled returns when what happened so far was told to everyone: the outbox
// forgets it then.
func (s *site) settled() {
	s.t.Helper()
	for {
		events, _, err := s.db.Outbox(context.Background(), 1)
		must(s.t, err)
		if len(events) == 0 {
			return
		}
		runtime.Gosched()
	}
}

var (
	anyUUID = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	anyTime = regexp.MustCompile(`\b1[0-9]{12}\b`)
)

// heard is the next message: its topic below $aws/events/, a space and its
// payload, in which UUIDs and moments are masked.
func heard(t *testing.T, d *client.Device) string {
	t.Helper()
	m, err := d.Receive()
	must(t, err)
	text := strings.TrimPrefix(m.Topic, "$aws/events/") + " " + string(m.Payload)
	return anyTime.ReplaceAllString(anyUUID.ReplaceAllString(text, "UUID"), "TIME")
}

// allRegistry switches every registry event on.
const allRegistry = `{"eventConfigurations":{"THING":{"Enabled":true},"THING_TYPE":{"Enabled":true},"THING_GROUP":{"Enabled":true},
 "THING_GROUP_MEMBERSHIP":{"Enabled":true},"THING_GROUP_HIERARCHY":{"Enabled":true},"THING_TYPE_ASSOCIATION":{"Enabled":true}}}`

var registryFilters = []string{
	"$aws/events/thing/#", "$aws/events/thingType/#", "$aws/events/thingTypeAssociation/#",
	"$aws/events/thingGroup/#", "$aws/events/thingGroupMembership/#", "$aws/events/thingGroupHierarchy/#",
}

// The payloads are those of hooks-and-events.md, section 6.1.
func TestRegistryEvents(t *testing.T) {
	s := start(t, t.TempDir())
	d := s.watch(registryFilters...)
	c := s.admin()
	_, err := call(c, "PATCH", "/event-configurations", allRegistry)
	must(t, err)
	head := func(kind, operation string) string {
		return `{"eventType":"` + kind + `_EVENT","eventId":"UUID","timestamp":TIME,"operation":"` + operation + `",`
	}
	account := `"accountId":"000000000000",`
	typeOf := func(operation, deprecated, at, description string) string {
		return head("THING_TYPE", operation) + account + `"thingTypeId":"UUID","thingTypeName":"pump","isDeprecated":` + deprecated +
			`,"deprecationDate":` + at + `,"searchableAttributes":["site"],"propagatingAttributes":[],"description":"` + description + `"}`
	}
	thing := func(operation, version, ty, attributes string) string {
		return head("THING", operation) + account + `"thingId":"UUID","thingName":"p1","versionNumber":` + version +
			`,"thingTypeName":` + ty + `,"attributes":` + attributes + `}`
	}
	association := func(operation string) string {
		return head("THING_TYPE_ASSOCIATION", operation) + `"thingId":"UUID","thingName":"p1","thingTypeName":"pump"}`
	}
	group := func(operation, name, version, parent, description, path string) string {
		id := `"UUID"`
		if parent == "null" {
			id = "null"
		}
		return head("THING_GROUP", operation) + account + `"thingGroupId":"UUID","thingGroupName":"` + name + `","versionNumber":` + version +
			`,"parentGroupName":` + parent + `,"parentGroupId":` + id + `,"description":"` + description + `","rootToParentThingGroups":[` + path +
			`],"attributes":{},"dynamicGroupMappingId":null}`
	}
	hierarchy := func(operation string) string {
		return head("THING_GROUP_HIERARCHY", operation) + account +
			`"thingGroupId":"UUID","thingGroupName":"site","childGroupId":"UUID","childGroupName":"hall"}`
	}
	member := func(operation string) string {
		return head("THING_GROUP_MEMBERSHIP", operation) + account + `"groupArn":"arn:aws:iot:us-east-1:000000000000:thinggroup/hall","groupId":"UUID",` +
			`"thingArn":"arn:aws:iot:us-east-1:000000000000:thing/p1","thingId":"UUID","membershipId":"UUID"}`
	}
	path := `{"groupArn":"arn:aws:iot:us-east-1:000000000000:thinggroup/site","groupId":"UUID"}`
	for _, step := range []struct {
		method, path, body string
		want               []string
	}{
		{"POST", "/thing-types/pump", `{"thingTypeProperties":{"searchableAttributes":["site"]}}`, []string{"thingType/pump/created " + typeOf("CREATED", "false", "null", "")}},
		{"POST", "/things/p1", `{"thingTypeName":"pump","attributePayload":{"attributes":{"serial":"A1"}}}`, []string{
			"thing/p1/created " + thing("CREATED", "1", `"pump"`, `{"serial":"A1"}`),
			"thingTypeAssociation/thing/p1/thingType/pump/added " + association("ADDED")}},
		{"POST", "/thing-groups/site", `{}`, []string{"thingGroup/site/created " + group("CREATED", "site", "1", "null", "", "")}},
		{"POST", "/thing-groups/hall", `{"parentGroupName":"site"}`, []string{
			"thingGroup/hall/created " + group("CREATED", "hall", "1", `"site"`, "", path),
			"thingGroupHierarchy/thingGroup/site/childThingGroup/hall/added " + hierarchy("ADDED")}},
		{"PUT", "/thing-groups/addThingToThingGroup", `{"thingGroupName":"hall","thingName":"p1"}`, []string{
			"thingGroupMembership/thingGroup/hall/thing/p1/added " + member("ADDED")}},
		{"PATCH", "/things/p1", `{"removeThingType":true}`, []string{
			"thing/p1/updated " + thing("UPDATED", "2", "null", `{"serial":"A1"}`),
			"thingTypeAssociation/thing/p1/thingType/pump/removed " + association("REMOVED")}},
		{"PATCH", "/thing-groups/hall", `{"thingGroupProperties":{"thingGroupDescription":"the hall"}}`, []string{
			"thingGroup/hall/updated " + group("UPDATED", "hall", "2", `"site"`, "the hall", path)}},
		{"DELETE", "/things/p1", "", []string{
			"thingGroupMembership/thingGroup/hall/thing/p1/removed " + member("REMOVED"),
			"thing/p1/deleted " + thing("DELETED", "2", "null", `{"serial":"A1"}`)}},
		{"DELETE", "/thing-groups/hall", "", []string{
			"thingGroup/hall/deleted " + group("DELETED", "hall", "2", `"site"`, "the hall", path),
			"thingGroupHierarchy/thingGroup/site/childThingGroup/hall/removed " + hierarchy("REMOVED")}},
		{"POST", "/thing-types/pump/deprecate", `{}`, []string{"thingType/pump/updated " + typeOf("UPDATED", "true", "TIME", "")}},
		{"DELETE", "/thing-types/pump", "", []string{"thingType/pump/deleted " + typeOf("DELETED", "true", "TIME", "")}},
	} {
		if _, err := call(c, step.method, step.path, step.body); err != nil {
			t.Fatalf("%s %s: %v", step.method, step.path, err)
		}
		for _, want := range step.want {
			if got := heard(t, d); got != want {
				t.Errorf("%s %s\n got %s\nwant %s", step.method, step.path, got, want)
			}
		}
	}
}

// A rule hears them too, and a switch that is off keeps its events in.
func TestRegistryEventsReachRulesAndStayOffByDefault(t *testing.T) {
	s := start(t, t.TempDir())
	d := s.watch("fleet/news", "$aws/events/thing/#", "$aws/events/thingGroup/#")
	c := s.admin()
	_, err := call(c, "POST", "/things/unseen", "")
	must(t, err)
	_, err = call(c, "POST", "/rules/news", `{"sql":"SELECT thingName, operation FROM '$aws/events/thing/+/created'",
	 "actions":[{"republish":{"topic":"fleet/news","roleArn":"arn:aws:iam::000000000000:role/r"}}]}`)
	must(t, err)
	s.settled() // what happened before the switch is told to nobody
	_, err = call(c, "PATCH", "/event-configurations", `{"eventConfigurations":{"THING":{"Enabled":true}}}`)
	must(t, err)
	_, err = call(c, "POST", "/thing-groups/unseen", "{}")
	must(t, err)
	_, err = call(c, "POST", "/things/seen", "")
	must(t, err)
	var got []string
	for range 2 {
		got = append(got, heard(t, d))
	}
	slices.Sort(got) // they come in any order
	if got[0] != `fleet/news {"operation":"CREATED","thingName":"seen"}` || !strings.HasPrefix(got[1], "thing/seen/created ") {
		t.Errorf("heard %q", got)
	}
}

// A device that provisions is told of like any other change.
func TestProvisioningIsTold(t *testing.T) {
	s := start(t, t.TempDir())
	d := s.watch("$aws/events/thing/+/created")
	_, err := call(s.admin(), "PATCH", "/event-configurations", `{"eventConfigurations":{"THING":{"Enabled":true}}}`)
	must(t, err)
	_, conn, err := s.device("7").Provision(context.Background())
	must(t, err)
	conn.Close()
	if got := heard(t, d); !strings.HasPrefix(got, "thing/lamp-7/created {\"eventType\":\"THING_EVENT\"") {
		t.Errorf("heard %s", got)
	}
}

// Lifecycle events reach a rule without any subscriber.
func TestLifecycleEventsReachRules(t *testing.T) {
	s := start(t, t.TempDir())
	d := s.watch("fleet/gone")
	_, err := call(s.admin(), "POST", "/rules/gone", `{"sql":"SELECT clientId, disconnectReason FROM '$aws/events/presence/disconnected/+'",
	 "actions":[{"republish":{"topic":"fleet/gone","roleArn":"arn:aws:iam::000000000000:role/r"}}]}`)
	must(t, err)
	must(t, s.drainOnce(context.Background()))
	_, conn, err := s.device("7").Provision(context.Background())
	must(t, err)
	conn.Close()
	for got := ""; !strings.Contains(got, `"lamp-7"`); { // the claim's connection is told of before
		if got = heard(t, d); !strings.HasPrefix(got, "fleet/gone {") {
			t.Fatalf("heard %s", got)
		}
	}
}

// What the store did not give when it was to be told is told when it does, and
// what came after it comes after it.
func TestAnEventThatTheStoreWithholdsIsToldLater(t *testing.T) {
	log := &buffer{}
	srv, err := made(t, t.TempDir(), func(c *Config) { c.Log = slog.New(slog.NewTextHandler(log, nil)) })
	must(t, err)
	l := &storeLever{DB: srv.bare}
	srv.bare = l // what the events are about; the rest of the server works
	s := run(t, srv, log)
	d := s.watch("$aws/events/thing/#")
	c := s.admin()
	_, err = call(c, "PATCH", "/event-configurations", allRegistry)
	must(t, err)
	s.settled()
	l.set(&l.noViews, true)
	for _, name := range []string{"p1", "p2"} {
		_, err = call(c, "POST", "/things/"+name, `{}`)
		must(t, err)
	}
	for !strings.Contains(log.String(), "was not published") {
		runtime.Gosched()
	}
	l.set(&l.noViews, false)
	var order []string
	for !slices.Contains(order, "p2") {
		topic, _, _ := strings.Cut(heard(t, d), "/created")
		if name := strings.TrimPrefix(topic, "thing/"); !slices.Contains(order, name) {
			order = append(order, name)
		}
	}
	if !slices.Equal(order, []string{"p1", "p2"}) {
		t.Errorf("heard of %v", order)
	}
	s.settled()
}
