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
		DB: s.bare, Register: s.registerLines, Bucket: s.bucket, Worker: worker, Spool: s.cfg.Data,
		Record: s.journal.Record, Metrics: s.metrics, Log: s.cfg.Log, Now: s.cfg.Now,
	})
	return nil
}

// registerLines is the engine as bulk registration sees it.
func (s *Server) registerLines(ctx context.Context, t arn.Tenant, body string, hopeful bool, lines []*bulk.Line, join bulk.Join) (vain bool, err error) {
	same := make([]*provision.Line, len(lines))
	for i, l := range lines {
		same[i] = &provision.Line{Number: i, Params: l.Params, Refused: l.Refused}
	}
	vain, err = s.provision.RegisterMany(ctx, t, body, hopeful, same, func(ctx context.Context, tx store.Tx, some []*provision.Line) error {
		out := make([]*bulk.Line, len(some))
		for i, l := range some {
			out[i] = lines[l.Number]
			out[i].Refused, out[i].Made = l.Refused, bulk.Registered{}
			if r := l.Made; r != nil {
				out[i].Made = bulk.Registered{Thing: r.Thing, Certificate: r.CertificateID, ARNs: r.ARNs}
			}
		}
		return join(ctx, tx, out)
	})
	for i, l := range same {
		lines[i].Done = l.Done
	}
	return vain, err
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
