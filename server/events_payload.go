package server

import (
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/slipway-iot/slipway/event"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/things"
)

// A message is a registry event as it is published.
type message struct {
	topic   string
	payload []byte
}

// news makes messages of one event. It reads what the event is about as it is
// now; what is gone, the event brings along.
type news struct {
	event.Event
	tx   store.Tx
	rand io.Reader
}

// head begins every payload (hooks-and-events.md, section 6.1).
type head struct {
	Type      string `json:"eventType"`
	ID        string `json:"eventId"`
	Timestamp int64  `json:"timestamp"`
	Operation string `json:"operation"`
	Account   string `json:"accountId,omitempty"`
}

// message gives the event for one of the switches; nil if it is none.
func (n *news) message(ctx context.Context, name string) (*message, error) {
	switch name {
	case "THING":
		return n.thing(ctx)
	case "THING_TYPE_ASSOCIATION":
		return n.association(ctx)
	case "THING_TYPE":
		return n.thingType(ctx)
	case "THING_GROUP":
		return n.group(ctx)
	case "THING_GROUP_HIERARCHY":
		return n.hierarchy(ctx)
	}
	return n.membership(ctx)
}

func (n *news) head(kind, operation string) (head, error) {
	id, err := uuid.NewRandomFromReader(n.rand)
	if err != nil {
		return head{}, fault.Wrap(fault.Internal, err, "No event id could be made.")
	}
	return head{kind, id.String(), n.At.UnixMilli(), strings.ToUpper(operation), n.Tenant.Account}, nil
}

func publish(topic, operation string, payload any) (*message, error) {
	body, err := json.Marshal(payload)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "An event cannot be written.")
	}
	return &message{"$aws/events/" + topic + "/" + operation, body}, nil
}

// last reads what the event brings along of something that is gone, or asks
// the registry.
func last[T any](n *news, read func() (*T, error)) (*T, error) {
	if n.Detail != event.Deleted {
		return read()
	}
	v := new(T)
	if err := json.Unmarshal([]byte(n.Body), v); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "The last state of %s cannot be read.", n.ID)
	}
	return v, nil
}

func (n *news) theThing(ctx context.Context) (*things.Thing, error) {
	return last(n, func() (*things.Thing, error) { return n.tx.Thing(ctx, n.Tenant, n.ID) })
}

func (n *news) theGroup(ctx context.Context) (*things.Group, error) {
	return last(n, func() (*things.Group, error) { return n.tx.Group(ctx, n.Tenant, n.ID) })
}

func (n *news) thing(ctx context.Context) (*message, error) {
	th, err := n.theThing(ctx)
	if err != nil {
		return nil, err
	}
	h, err := n.head("THING_EVENT", n.Detail)
	if err != nil {
		return nil, err
	}
	return publish("thing/"+n.ID, n.Detail, struct {
		head
		ThingID    string            `json:"thingId"`
		Name       string            `json:"thingName"`
		Version    int64             `json:"versionNumber"`
		Type       *string           `json:"thingTypeName"`
		Attributes map[string]string `json:"attributes"`
	}{h, th.ID, th.Name, th.Version, orNull(th.Type), orEmpty(th.Attributes)})
}

// association tells that a thing took a type or left it; a thing that is made
// with one took it.
func (n *news) association(ctx context.Context) (*message, error) {
	what, name, _ := strings.Cut(n.Detail, " ")
	th, err := n.theThing(ctx)
	switch {
	case err != nil:
		return nil, err
	case n.Kind == event.ThingChanged && (n.Detail != event.Created || th.Type == ""):
		return nil, nil
	case n.Kind == event.ThingChanged:
		what, name = event.Added, th.Type
	}
	h, err := n.head("THING_TYPE_ASSOCIATION_EVENT", what)
	if err != nil {
		return nil, err
	}
	h.Account = "" // as AWS has it
	return publish("thingTypeAssociation/thing/"+n.ID+"/thingType/"+name, what, struct {
		head
		ThingID string `json:"thingId"`
		Name    string `json:"thingName"`
		Type    string `json:"thingTypeName"`
	}{h, th.ID, th.Name, name})
}

func (n *news) thingType(ctx context.Context) (*message, error) {
	if n.Detail == "" {
		return nil, nil
	}
	ty, err := last(n, func() (*things.Type, error) { return n.tx.ThingType(ctx, n.Tenant, n.ID) })
	if err != nil {
		return nil, err
	}
	h, err := n.head("THING_TYPE_EVENT", n.Detail)
	if err != nil {
		return nil, err
	}
	return publish("thingType/"+n.ID, n.Detail, struct {
		head
		TypeID       string               `json:"thingTypeId"`
		Name         string               `json:"thingTypeName"`
		Deprecated   bool                 `json:"isDeprecated"`
		DeprecatedAt *int64               `json:"deprecationDate"`
		Searchable   []string             `json:"searchableAttributes"`
		Propagating  []things.Propagation `json:"propagatingAttributes"`
		Description  string               `json:"description"`
	}{h, ty.ID, ty.Name, ty.Deprecated, orNever(ty.DeprecatedAt), orNone(ty.Searchable), orNone(ty.Propagating), ty.Description})
}

// A groupRef names a group on the way down from the root.
type groupRef struct {
	ARN string `json:"groupArn"`
	ID  string `json:"groupId"`
}

func (n *news) group(ctx context.Context) (*message, error) {
	if n.Detail == "" {
		return nil, nil
	}
	g, err := n.theGroup(ctx)
	if err != nil {
		return nil, err
	}
	path, err := n.above(ctx, g)
	if err != nil {
		return nil, err
	}
	h, err := n.head("THING_GROUP_EVENT", n.Detail)
	if err != nil {
		return nil, err
	}
	parent := ""
	if len(path) > 0 {
		parent = path[len(path)-1].ID
	}
	return publish("thingGroup/"+n.ID, n.Detail, struct {
		head
		GroupID     string            `json:"thingGroupId"`
		Name        string            `json:"thingGroupName"`
		Version     int64             `json:"versionNumber"`
		Parent      *string           `json:"parentGroupName"`
		ParentID    *string           `json:"parentGroupId"`
		Description string            `json:"description"`
		Path        []groupRef        `json:"rootToParentThingGroups"`
		Attributes  map[string]string `json:"attributes"`
		Mapping     *string           `json:"dynamicGroupMappingId"` // every group is static
	}{h, g.ID, g.Name, g.Version, orNull(g.Parent), orNull(parent), g.Description, path, orEmpty(g.Attributes), nil})
}

// above is the way from the root to the group's parent, as far as it still
// stands.
func (n *news) above(ctx context.Context, g *things.Group) ([]groupRef, error) {
	up, err := things.Ancestors(ctx, n.tx, n.Tenant, g.Parent)
	if err != nil && !fault.Is(err, fault.Missing) {
		return nil, err
	}
	path := []groupRef{}
	for _, a := range slices.Backward(up) {
		path = append(path, groupRef{n.Tenant.Resource("thinggroup", a.Name), a.ID})
	}
	return path, nil
}

// hierarchy tells that a group stands below another, or does no more: when it
// was made, and when it went.
func (n *news) hierarchy(ctx context.Context) (*message, error) {
	what := map[string]string{event.Created: event.Added, event.Deleted: event.Removed}[n.Detail]
	if what == "" {
		return nil, nil
	}
	g, err := n.theGroup(ctx)
	if err != nil || g.Parent == "" {
		return nil, err
	}
	parent, err := n.tx.Group(ctx, n.Tenant, g.Parent)
	if err != nil {
		return nil, err
	}
	h, err := n.head("THING_GROUP_HIERARCHY_EVENT", what)
	if err != nil {
		return nil, err
	}
	return publish("thingGroupHierarchy/thingGroup/"+parent.Name+"/childThingGroup/"+g.Name, what, struct {
		head
		ID      string `json:"thingGroupId"`
		Name    string `json:"thingGroupName"`
		ChildID string `json:"childGroupId"`
		Child   string `json:"childGroupName"`
	}{h, parent.ID, parent.Name, g.ID, g.Name})
}

func (n *news) membership(ctx context.Context) (*message, error) {
	what, group, _ := strings.Cut(n.Detail, " ")
	var gone things.Gone
	if n.Body != "" {
		if err := json.Unmarshal([]byte(n.Body), &gone); err != nil {
			return nil, fault.Wrap(fault.Internal, err, "The ids of a membership cannot be read.")
		}
	}
	if gone.Group == "" {
		g, err := n.tx.Group(ctx, n.Tenant, group)
		if err != nil {
			return nil, err
		}
		gone.Group = g.ID
	}
	if gone.Thing == "" {
		th, err := n.tx.Thing(ctx, n.Tenant, n.ID)
		if err != nil {
			return nil, err
		}
		gone.Thing = th.ID
	}
	h, err := n.head("THING_GROUP_MEMBERSHIP_EVENT", what)
	if err != nil {
		return nil, err
	}
	return publish("thingGroupMembership/thingGroup/"+group+"/thing/"+n.ID, what, struct {
		head
		GroupARN   string `json:"groupArn"`
		GroupID    string `json:"groupId"`
		ThingARN   string `json:"thingArn"`
		ThingID    string `json:"thingId"`
		Membership string `json:"membershipId"`
	}{h, n.Tenant.Resource("thinggroup", group), gone.Group, n.Tenant.Thing(n.ID), gone.Thing,
		ref.ID(n.Tenant.String(), "membership", gone.Group+"/"+gone.Thing, time.Time{})})
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func orNever(at time.Time) *int64 {
	if at.IsZero() {
		return nil
	}
	ms := at.UnixMilli()
	return &ms
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

func orNone[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
