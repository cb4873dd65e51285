package server

import (
	"context"
	"net/url"
	"strconv"
	"time"

	"github.com/slipway-iot/slipway/attempts"
	"github.com/slipway-iot/slipway/control"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/provision"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
)

// pageFrom reads maxResults (1 to 250, default 25) and nextToken.
func pageFrom(q url.Values) (ref.Page, error) {
	p := ref.Page{After: q.Get("nextToken"), Limit: 25}
	if text := q.Get("maxResults"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 250 {
			return p, fault.New(fault.InvalidRequest, "maxResults %q: expected a number between 1 and 250.", text)
		}
		p.Limit = n
	}
	return p, nil
}

type claimAnswer struct {
	CertificateID  string  `json:"certificateId"`
	CertificateARN string  `json:"certificateArn"`
	CertificatePEM string  `json:"certificatePem"`
	PrivateKey     string  `json:"privateKey"`
	TemplateName   string  `json:"templateName"`
	Expiration     float64 `json:"expiration"` // seconds since the epoch
}

// createClaim: POST /slipway/claims {templateName, validForSeconds}.
func (s *Server) createClaim(ctx context.Context, c *control.Call) (any, error) {
	var in struct {
		TemplateName    string `json:"templateName"`
		ValidForSeconds int64  `json:"validForSeconds"`
	}
	if err := decodeBody(c.Body, &in); err != nil {
		return nil, err
	}
	if in.ValidForSeconds < 0 || in.ValidForSeconds > 100*365*24*3600 {
		return nil, fault.New(fault.InvalidRequest, "validForSeconds %d: expected 0 (as long as AWS's) to a hundred years.", in.ValidForSeconds)
	}
	cert, key, _, err := s.issuer.Claim(ctx, c.Tenant, provision.NewClaim{
		Template: in.TemplateName, ValidFor: time.Duration(in.ValidForSeconds) * time.Second, MadeBy: c.Key.ID,
	})
	if err != nil {
		return nil, err
	}
	return claimAnswer{
		CertificateID: string(cert.ID), CertificateARN: c.Tenant.Cert(cert.ID), CertificatePEM: cert.PEM,
		PrivateKey: key, TemplateName: in.TemplateName, Expiration: seconds(cert.NotAfter),
	}, nil
}

// createTrustedClaim: POST /slipway/trusted-claims/{templateName}
// {validForSeconds, devices}: CreateProvisioningClaim for who wants it shorter,
// or for fewer devices.
func (s *Server) createTrustedClaim(ctx context.Context, c *control.Call) (any, error) {
	var in struct {
		ValidForSeconds int64 `json:"validForSeconds"`
		Devices         int   `json:"devices"`
	}
	if err := decodeBody(c.Body, &in); err != nil {
		return nil, err
	}
	if in.ValidForSeconds < 0 || in.ValidForSeconds > 300 {
		return nil, fault.New(fault.InvalidRequest, "validForSeconds %d: expected 0 (five minutes) to 300.", in.ValidForSeconds)
	}
	name := c.Path["templateName"]
	cert, key, _, err := s.issuer.TrustedClaim(ctx, c.Tenant, provision.NewClaim{
		Template: name, ValidFor: time.Duration(in.ValidForSeconds) * time.Second, MadeBy: c.Key.ID, Devices: in.Devices,
	})
	if err != nil {
		return nil, err
	}
	return claimAnswer{
		CertificateID: string(cert.ID), CertificateARN: c.Tenant.Cert(cert.ID), CertificatePEM: cert.PEM,
		PrivateKey: key, TemplateName: name, Expiration: seconds(cert.NotAfter),
	}, nil
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

type claimItem struct {
	CertificateID string  `json:"certificateId"`
	TemplateName  string  `json:"templateName"`
	MadeBy        string  `json:"madeBy"`
	Temporary     bool    `json:"temporary"`
	Status        string  `json:"status"`
	CreationDate  float64 `json:"creationDate"`
	Expiration    float64 `json:"expiration"`
}

// listClaims: GET /slipway/claims.
func (s *Server) listClaims(ctx context.Context, c *control.Call) (any, error) {
	p, err := pageFrom(c.Query)
	if err != nil {
		return nil, err
	}
	var out struct {
		Claims    []claimItem `json:"claims"`
		NextToken string      `json:"nextToken,omitempty"`
	}
	err = s.db.View(ctx, func(ctx context.Context, tx store.Tx) error {
		records, next, err := tx.ListClaims(ctx, c.Tenant, p)
		out.Claims, out.NextToken = []claimItem{}, next
		for _, r := range records {
			item := claimItem{
				CertificateID: string(r.CertID), TemplateName: r.Template, MadeBy: r.MadeBy, Temporary: r.Trusted,
				Status: "DELETED", CreationDate: seconds(r.Created), Expiration: seconds(r.Expires),
			}
			cert, err := tx.Certificate(ctx, c.Tenant, r.CertID)
			if err != nil && !fault.Is(err, fault.Missing) {
				return err
			}
			if err == nil {
				item.Status = string(cert.Status)
			}
			out.Claims = append(out.Claims, item)
		}
		return err
	})
	return out, err
}

// listAttempts: GET /slipway/attempts?what=SERIAL|CERTIFICATE|THING|CLIENT|ADDRESS.
func (s *Server) listAttempts(ctx context.Context, c *control.Call) (any, error) {
	p, err := pageFrom(c.Query)
	if err != nil {
		return nil, err
	}
	s.journal.Flush(ctx) // what was just refused is worth seeing now
	var out struct {
		Attempts  []*attempts.Attempt `json:"attempts"`
		NextToken string              `json:"nextToken,omitempty"`
	}
	err = s.db.View(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		out.Attempts, out.NextToken, err = tx.FindAttempts(ctx, c.Tenant, c.Query.Get("what"), p)
		return err
	})
	if out.Attempts == nil {
		out.Attempts = []*attempts.Attempt{}
	}
	return out, err
}
