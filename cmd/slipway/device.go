package main

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/slipway-iot/slipway/client/api"
)

// deviceCmd are the verbs about devices.
type deviceCmd struct {
	Create deviceCreate `cmd:"" help:"Make a device: a thing with a certificate, its key and policies, as files."`
	List   deviceList   `cmd:"" help:"List the devices."`
	Show   deviceShow   `cmd:"" help:"Show a device: thing, type, attributes, groups, certificates, policies, last tries."`

	Codes   deviceCodes   `cmd:"" help:"List the devices that show a code and wait for an installer."`
	Approve deviceApprove `cmd:"" help:"Approve a device by the code that it shows: it may fetch a claim for its own key."`
	Deny    deviceDeny    `cmd:"" help:"Refuse a device by the code that it shows."`
}

// deviceList prints things.
type deviceList struct {
	target
	Type      string `help:"Only things of this type." placeholder:"NAME"`
	Attribute string `help:"Only things with this attribute." placeholder:"NAME=VALUE"`
	JSON      bool   `name:"json" help:"Print a JSON array."`
}

type deviceItem struct {
	Name       string            `json:"thingName"`
	Type       string            `json:"thingTypeName,omitempty"`
	ARN        string            `json:"thingArn"`
	Attributes map[string]string `json:"attributes"`
	Version    int64             `json:"version"`
}

// Run prints them.
func (c *deviceList) Run(ctx context.Context, s streams) error {
	query := byToken()
	if c.Type != "" {
		query.Set("thingTypeName", c.Type)
	}
	if c.Attribute != "" {
		name, value, ok := strings.Cut(c.Attribute, "=")
		if !ok || name == "" || value == "" {
			return usageError{errors.New("--attribute: expected NAME=VALUE")}
		}
		query.Set("attributeName", name)
		query.Set("attributeValue", value)
	}
	p, err := c.connect()
	if err != nil {
		return err
	}
	list, err := all[deviceItem](ctx, p, http.MethodGet, "/things", query, "things")
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(s.out, list)
	}
	var rows []string
	for _, d := range list {
		attributes := pairs(d.Attributes)
		for i := range attributes {
			attributes[i] = strings.Replace(attributes[i], " = ", "=", 1)
		}
		rows = append(rows, d.Name+"\t"+d.Type+"\t"+strings.Join(attributes, " "))
	}
	return writeTable(s.out, "THING\tTYPE\tATTRIBUTES", rows)
}

// A device is a thing with everything that hangs on it.
type device struct {
	Name         string            `json:"thingName"`
	ID           string            `json:"thingId,omitempty"`
	ARN          string            `json:"thingArn"`
	Type         string            `json:"thingTypeName,omitempty"`
	Attributes   map[string]string `json:"attributes"`
	Version      int64             `json:"version"`
	BillingGroup string            `json:"billingGroupName,omitempty"`
	Groups       []string          `json:"thingGroups"`
	Certificates []credential      `json:"principals"`
	Attempts     []attempt         `json:"attempts"`
}

// A credential is what a device proves itself with.
type credential struct {
	Principal string   `json:"principal"`
	ID        string   `json:"certificateId,omitempty"`
	Status    string   `json:"status,omitempty"`
	Expires   epoch    `json:"notAfter,omitempty"`
	Policies  []string `json:"policies"`
}

// device reads a thing and its groups.
func (p *plane) device(ctx context.Context, name string) (*device, error) {
	d := &device{}
	if err := p.get(ctx, api.Path("things", name), d); err != nil {
		return nil, err
	}
	groups, err := all[struct {
		Name string `json:"groupName"`
	}](ctx, p, http.MethodGet, api.Path("things", name, "thing-groups"), byToken(), "thingGroups")
	if err != nil {
		return nil, err
	}
	d.Groups = []string{}
	for _, g := range groups {
		d.Groups = append(d.Groups, g.Name)
	}
	return d, nil
}

func (p *plane) credentials(ctx context.Context, thing string) ([]credential, error) {
	principals, err := all[string](ctx, p, http.MethodGet, api.Path("things", thing, "principals"), byToken(), "principals")
	out := []credential{}
	for _, principal := range principals {
		c, err := p.credential(ctx, principal)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, err
}

func (p *plane) credential(ctx context.Context, principal string) (credential, error) {
	c := credential{Principal: principal, Policies: []string{}}
	policies, err := all[struct {
		Name string `json:"policyName"`
	}](ctx, p, http.MethodPost, api.Path("attached-policies", principal), byMarker(), "policies")
	if err != nil {
		return c, err
	}
	for _, policy := range policies {
		c.Policies = append(c.Policies, policy.Name)
	}
	_, id, ok := strings.Cut(principal, ":cert/")
	if !ok {
		return c, nil
	}
	var out struct {
		Certificate struct {
			Status   string `json:"status"`
			Validity struct {
				NotAfter epoch `json:"notAfter"`
			} `json:"validity"`
		} `json:"certificateDescription"`
	}
	err = p.get(ctx, api.Path("certificates", id), &out)
	c.ID, c.Status, c.Expires = id, out.Certificate.Status, out.Certificate.Validity.NotAfter
	return c, err
}

// deviceShow prints one device.
type deviceShow struct {
	target
	Name string `arg:"" help:"Name of the thing."`
	Last int    `help:"How many of its last tries." default:"3"`
	JSON bool   `name:"json" help:"Print a JSON object."`
}

// Run prints it.
func (c *deviceShow) Run(ctx context.Context, s streams) error {
	p, err := c.connect()
	if err != nil {
		return err
	}
	d, err := p.device(ctx, c.Name)
	if err != nil {
		return err
	}
	if d.Certificates, err = p.credentials(ctx, c.Name); err != nil {
		return err
	}
	d.Attempts, err = p.attempts(ctx, c.Name, c.Last)
	known := !foreign(err)
	if err != nil && known {
		return err
	}
	if c.JSON {
		return writeJSON(s.out, d)
	}
	d.print(s, known)
	return nil
}

func (d *device) print(s streams, attemptsKnown bool) {
	out := sheet{s.out, 14}
	out.line("thing", d.Name)
	out.line("type", d.Type)
	out.line("attributes", pairs(d.Attributes)...)
	out.line("groups", strings.Join(d.Groups, ", "))
	out.line("billing group", d.BillingGroup)
	for _, c := range d.Certificates {
		if c.ID == "" {
			out.line("principal", c.Principal)
		} else {
			out.line("certificate", c.ID, c.Status+", good until "+c.Expires.String())
		}
		out.line("  policies", strings.Join(c.Policies, ", ")+either(len(c.Policies) == 0, "none: it may not even connect"))
	}
	if len(d.Certificates) == 0 {
		out.line("certificate", "none: nothing can connect as this thing")
	}
	var tries []string
	for _, a := range d.Attempts {
		tries = append(tries, a.Opened.UTC().Format("2006-01-02 15:04:05 UTC")+"  "+a.headline())
	}
	if attemptsKnown && len(tries) == 0 {
		tries = []string{"nothing recorded; an ordinary reconnect is not"}
	}
	out.line("last tries", tries...)
}
