package control

import (
	"context"

	"github.com/slipway-iot/slipway/certs"
	"github.com/slipway-iot/slipway/store"
)

// registerCertificate stores a certificate that a registered CA signed. The
// older setAsActive counts where no status is given.
func (s *Server) registerCertificate(ctx context.Context, c *Call, in *struct {
	PEM         string       `json:"certificatePem"`
	CAPEM       string       `json:"caCertificatePem"`
	SetAsActive bool         `json:"setAsActive"`
	Status      certs.Status `json:"status"`
}) (any, error) {
	leaf, err := certs.Read("The certificate", in.PEM)
	if err != nil {
		return nil, err
	}
	var ca *certs.Foreign
	if in.CAPEM != "" {
		if ca, err = certs.Read("The CA certificate", in.CAPEM); err != nil {
			return nil, err
		}
	}
	if in.Status == "" && in.SetAsActive {
		in.Status = certs.Active
	}
	return s.bring(ctx, c, func(ctx context.Context, tx store.Tx) (*certs.Certificate, error) {
		return certs.Register(ctx, tx, c.Tenant, leaf, ca, in.Status, s.cfg.Now())
	})
}

func (s *Server) registerCertificateWithoutCA(ctx context.Context, c *Call, in *struct {
	PEM    string       `json:"certificatePem"`
	Status certs.Status `json:"status"`
}) (any, error) {
	leaf, err := certs.Read("The certificate", in.PEM)
	if err != nil {
		return nil, err
	}
	return s.bring(ctx, c, func(ctx context.Context, tx store.Tx) (*certs.Certificate, error) {
		return certs.RegisterWithoutCA(ctx, tx, c.Tenant, leaf, in.Status, s.cfg.Now())
	})
}

func (s *Server) bring(ctx context.Context, c *Call, register func(context.Context, store.Tx) (*certs.Certificate, error)) (any, error) {
	var out certificateNames
	err := s.cfg.DB.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		cert, err := register(ctx, tx)
		if err != nil {
			return err
		}
		out = certificateNames{c.Tenant.Cert(cert.ID), cert.ID}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
