package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/slipway-iot/slipway/client/api"
)

// claimItem is a claim in a list.
type claimItem struct {
	CertificateID string `json:"certificateId"`
	Template      string `json:"templateName"`
	MadeBy        string `json:"madeBy"`
	Temporary     bool   `json:"temporary"`
	Status        string `json:"status"`
	Created       epoch  `json:"creationDate"`
	Expiration    epoch  `json:"expiration"`
}

// state is the status, with what the status does not say: that the time of an
// ACTIVE claim is over.
func (c *claimItem) state(now time.Time) string {
	return c.Status + either(c.Expiration != 0 && c.Expiration.time().Before(now), ", expired")
}

func (p *plane) claims(ctx context.Context) ([]claimItem, error) {
	list, err := all[claimItem](ctx, p, http.MethodGet, "/slipway/claims", byToken(), "claims")
	return list, p.needsSlipway(err)
}

// claimList prints all claims.
type claimList struct {
	target
	JSON bool `name:"json" help:"Print a JSON array."`
}

// Run prints them.
func (c *claimList) Run(ctx context.Context, s streams) error {
	p, err := c.connect()
	if err != nil {
		return err
	}
	list, err := p.claims(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(s.out, list)
	}
	var rows []string
	for _, item := range list {
		by := item.MadeBy + either(item.Temporary, " (temporary)")
		rows = append(rows, strings.Join([]string{item.CertificateID, item.Template, item.state(time.Now()), item.Created.String(), item.Expiration.String(), by}, "\t"))
	}
	return writeTable(s.out, "CERTIFICATE\tTEMPLATE\tSTATUS\tMADE\tEXPIRES\tBY", rows)
}

// claimKill revokes claims.
type claimKill struct {
	target
	ID []string `arg:"" help:"Certificate id of the claim, or the beginning of one, or its ARN."`
}

// Run revokes them, and ends at the first that cannot be.
func (c *claimKill) Run(ctx context.Context, s streams) error {
	p, err := c.connect()
	if err != nil {
		return err
	}
	for _, text := range c.ID {
		id, err := p.claimNamed(ctx, text)
		if err != nil {
			return err
		}
		if err := p.revoke(ctx, id); err != nil {
			return err
		}
		fmt.Fprintf(s.out, "Claim %s is REVOKED: nothing connects with it any more. Devices that it provisioned are untouched; they have certificates of their own.\n", id)
	}
	return nil
}

func (p *plane) revoke(ctx context.Context, id string) error {
	return p.call(ctx, http.MethodPut, api.Path("certificates", id), url.Values{"newStatus": {"REVOKED"}}, nil, nil)
}

// claimNamed finds a claim, so that nobody revokes a device by mistake.
func (p *plane) claimNamed(ctx context.Context, text string) (string, error) {
	prefix := strings.ToLower(text[strings.LastIndexByte(text, '/')+1:])
	list, err := p.claims(ctx)
	if err != nil {
		return "", err
	}
	var found []string
	for _, item := range list {
		if prefix != "" && strings.HasPrefix(item.CertificateID, prefix) {
			found = append(found, item.CertificateID)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", refusal{api.Missing, fmt.Sprintf("%s is no claim; `slipway claim list` shows them. A device's certificate is revoked with `aws iot update-certificate --new-status REVOKED --certificate-id …`", text)}
	}
	return "", usageError{fmt.Errorf("%s is the beginning of %d claims: write more of it", text, len(found))}
}
