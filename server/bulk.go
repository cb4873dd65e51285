package server

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/bulk"
	"github.com/slipway-iot/slipway/provision"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
)

// openBulk makes the worker on thing registration tasks. What it registers is
// not in the audit trail line by line: who started the task is, and its reports
// hold the rest.
func (s *Server) openBulk(context.Context) error {
	worker, err := s.workerName()
	if err != nil {
		return err
	}
	s.bulk = bulk.New(bulk.Config{
		DB: s.bare, Register: s.registerLine, Bucket: s.bucket, Worker: worker, Spool: s.cfg.Data,
		Record: s.journal.Record, Metrics: s.metrics, Log: s.cfg.Log, Now: s.cfg.Now,
	})
	return nil
}

// registerLine is the engine as bulk registration sees it.
func (s *Server) registerLine(ctx context.Context, t arn.Tenant, body string, params map[string]string, hopeful bool,
	and func(context.Context, store.Tx, bulk.Registered) error) (bulk.Registered, error) {
	short := func(r *provision.Registered) bulk.Registered {
		return bulk.Registered{Thing: r.Thing, Certificate: r.CertificateID, ARNs: r.ARNs}
	}
	made, err := s.provision.RegisterAnd(ctx, t, body, params, hopeful, func(ctx context.Context, tx store.Tx, r *provision.Registered) error {
		return and(ctx, tx, short(r))
	})
	if err != nil {
		return bulk.Registered{}, err
	}
	return short(made), nil
}

// workerName is the same whenever a server runs on this data folder, which one
// does at a time.
func (s *Server) workerName() (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", err
	}
	folder, err := filepath.Abs(s.cfg.Data)
	return ref.ID(host, "server", folder, time.Time{}), err
}

// A taskWorker is what the control plane knows of bulk.
type taskWorker struct {
	*bulk.Service
	s *Server
}

// Link gives a signed link to a report.
func (w taskWorker) Link(ctx context.Context, t arn.Tenant, report string) (string, error) {
	return w.s.objectLink(ctx, t, bulk.ReportBucket, http.MethodGet, report)
}
