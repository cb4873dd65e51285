package control

import (
	"context"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
)

// certificate reads a certificate that people may see: temporary claims are
// hidden (methods.md, section 7).
func certificate(ctx context.Context, tx store.Tx, t arn.Tenant, id arn.CertID) (*certs.Certificate, error) {
	c, err := tx.Certificate(ctx, t, id)
	if err == nil && c.Hidden {
		err = fault.New(fault.Missing, "hidden")
	}
	return c, absent(err, "Certificate %s does not exist.", id)
}

// issued is the answer that every way of making a certificate begins with.
type issued struct {
	ARN string     `json:"certificateArn"`
	ID  arn.CertID `json:"certificateId"`
	PEM string     `json:"certificatePem"`
}

func issuedOf(t arn.Tenant, c *certs.Certificate) issued {
	return issued{t.Cert(c.ID), c.ID, c.PEM}
}

type keyPair struct {
	PublicKey  string `json:"PublicKey"`
	PrivateKey string `json:"PrivateKey"`
}

func (s *Server) createKeysAndCertificate(ctx context.Context, c *Call, in *struct {
	SetAsActive bool `json:"setAsActive"`
}) (any, error) {
	cert, key, pub, err := s.cfg.Issuer.IssueKeys(ctx, c.Tenant, in.SetAsActive)
	if err != nil {
		return nil, err
	}
	return struct {
		issued
		KeyPair keyPair `json:"keyPair"`
	}{issuedOf(c.Tenant, cert), keyPair{pub, key}}, nil
}

func (s *Server) createCertificateFromCSR(ctx context.Context, c *Call, in *struct {
	CSR         string `json:"certificateSigningRequest"`
	SetAsActive bool   `json:"setAsActive"`
}) (any, error) {
	cert, err := s.cfg.Issuer.IssueFromCSR(ctx, c.Tenant, in.CSR, in.SetAsActive)
	if err != nil {
		return nil, err
	}
	return issuedOf(c.Tenant, cert), nil
}

type certificateID struct {
	ID string `json:"certificateId"`
}

type certificateDescription struct {
	ARN        string       `json:"certificateArn"`
	ID         arn.CertID   `json:"certificateId"`
	CAID       string       `json:"caCertificateId,omitempty"`
	Status     certs.Status `json:"status"`
	PEM        string       `json:"certificatePem"`
	OwnedBy    string       `json:"ownedBy"`
	Created    seconds      `json:"creationDate"`
	Modified   seconds      `json:"lastModifiedDate"`
	Version    int          `json:"customerVersion"`
	Generation string       `json:"generationId"`
	Validity   validity     `json:"validity"`
	Mode       string       `json:"certificateMode"`
}

type validity struct {
	NotBefore seconds `json:"notBefore"`
	NotAfter  seconds `json:"notAfter"`
}

func (s *Server) describeCertificate(ctx context.Context, c *Call, in *certificateID) (any, error) {
	id, err := arn.ParseCertID(in.ID)
	if err != nil {
		return nil, err
	}
	var cert *certs.Certificate
	err = s.view(ctx, func(ctx context.Context, tx store.Tx) error {
		if cert, err = certificate(ctx, tx, c.Tenant, id); err != nil {
			return err
		}
		return forgetMissingCA(ctx, tx, cert)
	})
	if err != nil {
		return nil, err
	}
	return struct {
		Description certificateDescription `json:"certificateDescription"`
	}{certificateDescription{
		ARN: c.Tenant.Cert(cert.ID), ID: cert.ID, CAID: cert.CAID, Status: cert.Status, PEM: cert.PEM,
		OwnedBy: c.Tenant.Account, Created: seconds{cert.Created}, Modified: seconds{cert.Modified},
		Version: cert.Version, Generation: cert.Generation, Mode: cert.Mode,
		Validity: validity{seconds{cert.NotBefore}, seconds{cert.NotAfter}},
	}}, nil
}

// forgetMissingCA takes the CA from a certificate whose CA is not registered
// any more: descriptions name those alone that are (certificates-lifecycle.md,
// section 1).
func forgetMissingCA(ctx context.Context, tx store.Tx, cert *certs.Certificate) error {
	if cert.CAID == "" {
		return nil
	}
	_, err := tx.Authority(ctx, cert.Tenant, arn.CertID(cert.CAID))
	if fault.Is(err, fault.Missing) {
		cert.CAID, err = "", nil
	}
	return err
}

// updateCertificate answers after the commit, so that a caller who reads the
// answer knows that no new connection is admitted; the event of the same
// commit cuts those that live.
func (s *Server) updateCertificate(ctx context.Context, c *Call, in *struct {
	certificateID
	NewStatus certs.Status `json:"newStatus"`
}) (any, error) {
	return s.onCertificate(ctx, c, in.ID, func(ctx context.Context, tx store.Tx, cert *certs.Certificate) error {
		return certs.SetStatus(ctx, tx, cert, in.NewStatus, s.cfg.Now())
	})
}

func (s *Server) deleteCertificate(ctx context.Context, c *Call, in *struct {
	certificateID
	Force bool `json:"forceDelete"`
}) (any, error) {
	return s.onCertificate(ctx, c, in.ID, func(ctx context.Context, tx store.Tx, cert *certs.Certificate) error {
		return certs.Delete(ctx, tx, cert, in.Force)
	})
}

func (s *Server) onCertificate(ctx context.Context, c *Call, text string, do func(context.Context, store.Tx, *certs.Certificate) error) (any, error) {
	id, err := arn.ParseCertID(text)
	if err != nil {
		return nil, err
	}
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		cert, err := certificate(ctx, tx, c.Tenant, id)
		if err != nil {
			return err
		}
		return do(ctx, tx, cert)
	})
}

type certificateSummary struct {
	ARN     string       `json:"certificateArn"`
	ID      arn.CertID   `json:"certificateId"`
	Status  certs.Status `json:"status"`
	Mode    string       `json:"certificateMode"`
	Created seconds      `json:"creationDate"`
}

// listCertificates gives the newest first unless asked otherwise.
func (s *Server) listCertificates(ctx context.Context, c *Call, in *byMarker) (any, error) {
	return s.pageOfCertificates(ctx, c, *in, func(ctx context.Context, tx store.Tx, p ref.Page) ([]*certs.Certificate, string, error) {
		return tx.ListCertificates(ctx, c.Tenant, p)
	})
}

func (s *Server) newestFirst(c *Call, in byMarker) (ref.Page, error) {
	p, err := s.markerPage(c, in)
	p.Descending = in.AscendingOrder == nil || !*in.AscendingOrder
	return p, err
}

func (s *Server) pageOfCertificates(ctx context.Context, c *Call, in byMarker, find func(context.Context, store.Tx, ref.Page) ([]*certs.Certificate, string, error)) (any, error) {
	p, err := s.newestFirst(c, in)
	if err != nil {
		return nil, err
	}
	list := []certificateSummary{}
	var next string
	err = s.view(ctx, func(ctx context.Context, tx store.Tx) error {
		found, after, err := find(ctx, tx, p)
		for _, cert := range found {
			list = append(list, certificateSummary{c.Tenant.Cert(cert.ID), cert.ID, cert.Status, cert.Mode, seconds{cert.Created}})
		}
		next = after
		return err
	})
	return struct {
		Certificates []certificateSummary `json:"certificates"`
		NextMarker   string               `json:"nextMarker,omitempty"`
	}{list, s.seal(c, next)}, err
}
