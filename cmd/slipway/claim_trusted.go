package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/slipway-iot/slipway/client/api"
	"github.com/slipway-iot/slipway/cmd/internal/qrcode"
	"github.com/slipway-iot/slipway/wire/handover"
)

// trusted makes a temporary claim, as an installer's app does on AWS (methods.md,
// section 7), and hands it over.
func (c *claimNew) trusted(ctx context.Context, s streams) error {
	if time.Duration(c.ValidFor) > 5*time.Minute {
		return usageError{errors.New("--valid-for: a temporary claim is good for at most five minutes")}
	}
	if c.QR && c.Stdout != "" {
		return usageError{errors.New("--qr and --stdout exclude each other")}
	}
	toFiles := !c.QR && c.Stdout == ""
	if toFiles {
		if err := c.room(); err != nil {
			return err
		}
	}
	p, err := c.connect()
	if err != nil {
		return err
	}
	where, _, err := p.endpoints(ctx)
	if err != nil {
		return err
	}
	claim, err := c.temporary(ctx, p)
	if err != nil {
		return err
	}
	handed := handover.Claim{
		Endpoint: where.address(), Template: c.Template, Certificate: claim.CertificatePEM,
		PrivateKey: claim.PrivateKey, RootCA: where.RootCA, Expiration: float64(claim.Expiration),
	}
	switch {
	case toFiles:
		return c.trustedFiles(ctx, s, p, claim, where)
	case c.QR:
		return c.show(s, handed, claim)
	}
	text, err := handed.JSON()
	if c.Stdout == "pem" {
		text, err = handed.PEM()
	}
	if err != nil {
		return err
	}
	_, err = s.out.Write(text)
	return err
}

// temporary asks by AWS's operation, unless what is asked for is Slipway's own.
func (c *claimNew) temporary(ctx context.Context, p *plane) (*newClaim, error) {
	out := &newClaim{}
	if c.ValidFor != 0 || c.Devices != 0 {
		err := p.own(ctx, http.MethodPost, api.Path("slipway", "trusted-claims", c.Template), nil,
			map[string]any{"validForSeconds": int64(time.Duration(c.ValidFor).Seconds()), "devices": c.Devices}, out)
		return out, err
	}
	var aws struct {
		ID   string `json:"certificateId"`
		PEM  string `json:"certificatePem"`
		Keys struct {
			Private string `json:"PrivateKey"`
		} `json:"keyPair"`
		Expiration epoch `json:"expiration"`
	}
	err := p.call(ctx, http.MethodPost, api.Path("provisioning-templates", c.Template, "provisioning-claim"), nil, nil, &aws)
	*out = newClaim{CertificateID: aws.ID, CertificatePEM: aws.PEM, PrivateKey: aws.Keys.Private, Template: c.Template, Expiration: aws.Expiration}
	return out, err
}

// trustedFiles writes the three files of a claim. A claim that could not be
// written ends by itself, within minutes.
func (c *claimNew) trustedFiles(ctx context.Context, s streams, p *plane, claim *newClaim, where connectsTo) error {
	files, err := c.write(p, claim)
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(s.out, map[string]any{
			"certificateId": claim.CertificateID, "templateName": claim.Template, "expiration": claim.Expiration, "files": files,
		})
	}
	c.print(s, p, claim, files)
	if where.known() {
		fmt.Fprintf(s.out, "\nOn the device: %s\n", c.next(ctx, p, where.address()))
	}
	return nil
}

// show draws the claim as a QR code. The root is not in it: it would make the
// code half as large again, and a device that scans has it from the factory.
func (c *claimNew) show(s streams, handed handover.Claim, claim *newClaim) error {
	text, err := handed.Compact()
	if err != nil {
		return err
	}
	code, err := qrcode.New(text)
	if err != nil {
		return err
	}
	if width := columns(s.out); width > 0 && width < code.Columns() {
		return fmt.Errorf("the QR code needs %d columns and %d lines; this terminal has %d columns. Make it larger, or its letters smaller, or use --stdout", code.Columns(), code.Rows(), width)
	}
	if _, err := code.WriteTo(s.out); err != nil {
		return err
	}
	_, err = io.WriteString(s.out, fmt.Sprintf("template %s, good until %s\n", c.Template, claim.Expiration))
	return err
}
