package server

import (
	"context"
	"net/http"

	"github.com/slipway-iot/slipway/control"
)

// openControl makes the control plane and adds Slipway's own operations.
func (s *Server) openControl(context.Context) (err error) {
	s.control, err = control.New(control.Config{
		DB: s.db, Keys: s.seal, Issuer: s.issuer, Bulk: taskWorker{s.bulk, s}, Authorizers: s.authorize, Domains: s.hosts, Endpoint: s.hosts.Endpoint, Denied: s.trail.Denied, Deliver: s.deliver,
		Hosts: s.hosts.Machine(), Dev: s.cfg.Dev, Profile: s.cfg.Profile, Metrics: s.metrics, Log: s.cfg.Log, Now: s.cfg.Now, Rand: s.cfg.Rand,
	})
	if err != nil {
		return err
	}
	for _, e := range s.extensions() {
		s.control.Handle(e.method, e.path, e.action, e.answer)
	}
	for _, e := range s.dataPlane() {
		s.control.HandleData(e.method, e.path, e.action, e.answer)
	}
	return nil
}

// An extension is an operation that AWS does not have, under /slipway/.
type extension struct {
	method, path, action string
	answer               control.Handler
}

func (s *Server) extensions() []extension {
	return []extension{
		{http.MethodPost, "/slipway/claims", "slipway:CreateClaim", s.createClaim},
		{http.MethodGet, "/slipway/claims", "slipway:ListClaims", s.listClaims},
		{http.MethodPost, "/slipway/trusted-claims/{templateName}", "slipway:CreateTrustedClaim", s.createTrustedClaim},
		{http.MethodGet, "/slipway/device-codes", "slipway:ListDeviceCodes", s.listCodes},
		{http.MethodPost, "/slipway/device-codes/{code}/approve", "slipway:ApproveDeviceCode", s.approveCode},
		{http.MethodPost, "/slipway/device-codes/{code}/deny", "slipway:DenyDeviceCode", s.denyCode},
		{http.MethodPost, "/slipway/devices", "slipway:CreateDevice", s.createDevice},
		{http.MethodGet, "/slipway/endpoints", "slipway:DescribeEndpoints", s.describeEndpoints},
		{http.MethodGet, "/slipway/attempts", "slipway:ListAttempts", s.listAttempts},
		{http.MethodPut, "/slipway/functions/{name}", "slipway:PutFunction", s.putFunction},
		{http.MethodGet, "/slipway/functions", "slipway:ListFunctions", s.listFunctions},
		{http.MethodDelete, "/slipway/functions/{name}", "slipway:DeleteFunction", s.deleteFunction},
		{http.MethodPost, "/slipway/functions/{name}/test", "slipway:TestFunction", s.testFunction},
		{http.MethodPost, "/slipway/accounts", "slipway:AddAccount", s.addAccount},
		{http.MethodGet, "/slipway/accounts", "slipway:ListAccounts", s.listAccounts},
		{http.MethodGet, "/slipway/accounts/{account}/{region}", "slipway:DescribeAccount", s.describeAccount},
		{http.MethodPatch, "/slipway/accounts/{account}/{region}", "slipway:UpdateAccount", s.updateAccount},
		{http.MethodPost, "/slipway/keys", "slipway:AddKey", s.addKey},
		{http.MethodGet, "/slipway/keys", "slipway:ListKeys", s.listKeys},
		{http.MethodDelete, "/slipway/keys/{id}", "slipway:RevokeKey", s.revokeKey},
		{http.MethodPost, "/slipway/templates/{name}/preview", "slipway:PreviewTemplate", s.previewTemplate},
		{http.MethodGet, "/slipway/audit", "slipway:ListAudit", s.listAudit},
		{http.MethodGet, "/slipway/audit/verify", "slipway:VerifyAudit", s.verifyAudit},
		{http.MethodPut, "/slipway/buckets/{name}", "slipway:PutBucket", s.putBucket},
		{http.MethodGet, "/slipway/buckets", "slipway:ListBuckets", s.listBuckets},
		{http.MethodPost, "/slipway/buckets/{name}/links", "slipway:CreateBucketLink", s.createBucketLink},
		{http.MethodPost, "/slipway/policy/explain", "slipway:ExplainPolicy", s.explainPolicy},
	}
}
