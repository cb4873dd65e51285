package server

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"path/filepath"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/buckets"
	"github.com/slipway-iot/slipway/buckets/folder"
	"github.com/slipway-iot/slipway/buckets/s3"
	"github.com/slipway-iot/slipway/control"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/tenants"
)

// bucketDocument is the kind of the documents that say where buckets are.
const bucketDocument = "bucket"

// bucket finds a tenant's bucket by name: where it was mapped to, else a folder
// below DATA/buckets.
func (s *Server) bucket(ctx context.Context, t arn.Tenant, name string) (buckets.Bucket, error) {
	if err := buckets.CheckName(name); err != nil {
		return nil, err
	}
	spec, err := s.bucketSpec(ctx, t, name)
	switch {
	case err != nil:
		return nil, err
	case spec == nil:
		return folder.New(s.ownFolder(t, name)), nil
	case spec.Kind == buckets.S3:
		return s3.Open(*spec, s.cfg.Data), nil
	}
	return folder.New(spec.Folder), nil
}

// ownFolder is DATA/buckets/NAME for the default tenant. The others have
// folders below one that no bucket can be named after.
func (s *Server) ownFolder(t arn.Tenant, name string) string {
	at := filepath.Join(s.cfg.Data, "buckets")
	if t != arn.Default {
		at = filepath.Join(at, "@"+t.Account, t.Region)
	}
	return filepath.Join(at, name)
}

func (s *Server) bucketSpec(ctx context.Context, t arn.Tenant, name string) (*buckets.Spec, error) {
	var body []byte
	err := s.db.View(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		body, err = tx.Document(ctx, t, bucketDocument, name)
		return err
	})
	if fault.Is(err, fault.Missing) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s.unsealBucket(body)
}

// putBucket: PUT /slipway/buckets/{name} with the spec as body. It holds a
// secret, so it is stored sealed. A bucket reaches into the server's machine and
// network, so mapping one takes an admin of the default account, as a function
// that does so takes.
func (s *Server) putBucket(ctx context.Context, c *control.Call) (any, error) {
	if !s.cfg.Dev && (c.Key.Role != tenants.Admin || c.Key.Account != arn.Default.Account) {
		return nil, fault.New(fault.AccessDenied, "Mapping a bucket reaches into the server's files and network; it takes an admin key of account %s.", arn.Default.Account)
	}
	var in struct {
		buckets.Spec
		Account string `json:"account"` // whose bucket it is; empty: the caller's
	}
	if err := decodeBody(c.Body, &in); err != nil {
		return nil, err
	}
	spec, t := in.Spec, c.Tenant
	spec.Name = c.Path["name"]
	if in.Account != "" {
		t.Account = in.Account
	}
	if err := spec.Check(); err != nil {
		return nil, err
	}
	if spec.Kind == buckets.Folder && !filepath.IsAbs(spec.Folder) {
		return nil, fault.New(fault.InvalidRequest, "folder: expected an absolute path on the server.")
	}
	sealed, err := s.sealBucket(spec)
	if err != nil {
		return nil, err
	}
	err = s.db.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		if _, err := tx.Tenant(ctx, t); err != nil {
			return err
		}
		return tx.PutDocument(ctx, t, bucketDocument, spec.Name, sealed)
	})
	if err != nil {
		return nil, err
	}
	return spec.Redacted(), nil
}

// listBuckets: GET /slipway/buckets.
func (s *Server) listBuckets(ctx context.Context, c *control.Call) (any, error) {
	p, err := pageFrom(c.Query)
	if err != nil {
		return nil, err
	}
	var bodies [][]byte
	out := struct {
		Buckets   []buckets.Spec `json:"buckets"`
		NextToken string         `json:"nextToken,omitempty"`
	}{Buckets: []buckets.Spec{}}
	err = s.db.View(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		_, bodies, out.NextToken, err = tx.ListDocuments(ctx, c.Tenant, bucketDocument, p)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, body := range bodies {
		spec, err := s.unsealBucket(body)
		if err != nil {
			return nil, err
		}
		out.Buckets = append(out.Buckets, spec.Redacted())
	}
	return out, nil
}

// linkLife is how long a link to an object can be used.
const linkLife = time.Hour

// createBucketLink: POST /slipway/buckets/{name}/links {key, method}. Whoever
// has the answer's url may get or put that object, so that large files need no
// signature over all of their bytes.
func (s *Server) createBucketLink(ctx context.Context, c *control.Call) (any, error) {
	var in struct {
		Key    string `json:"key"`
		Method string `json:"method"`
	}
	if err := decodeBody(c.Body, &in); err != nil {
		return nil, err
	}
	if in.Method != http.MethodGet && in.Method != http.MethodPut {
		return nil, fault.New(fault.InvalidRequest, "method: expected GET or PUT.")
	}
	url, err := s.objectLink(ctx, c.Tenant, c.Path["name"], in.Method, in.Key)
	if err != nil {
		return nil, err
	}
	return struct {
		URL     string `json:"url"`
		Expires int64  `json:"expires"`
	}{url, s.cfg.Now().Add(linkLife).Unix()}, nil
}

// objectLink is the service's own link where there is one.
func (s *Server) objectLink(ctx context.Context, t arn.Tenant, bucket, method, key string) (string, error) {
	b, err := s.bucket(ctx, t, bucket)
	if err != nil {
		return "", err
	}
	if err := buckets.CheckKey(key); err != nil {
		return "", err
	}
	if l, ok := b.(buckets.Linker); ok {
		return l.Link(ctx, method, key, linkLife)
	}
	return s.signedLink(ctx, t, bucket, method, key)
}

// sealBucket writes a spec as the store keeps it: base64 of its sealed JSON.
func (s *Server) sealBucket(spec buckets.Spec) ([]byte, error) {
	plain, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	return []byte(base64.StdEncoding.EncodeToString(s.seal.Seal(bucketDocument, plain))), nil
}

func (s *Server) unsealBucket(stored []byte) (*buckets.Spec, error) {
	sealed, err := base64.StdEncoding.DecodeString(string(stored))
	if err != nil {
		return nil, err
	}
	plain, err := s.seal.Unseal(bucketDocument, sealed)
	if err != nil {
		return nil, err
	}
	var spec buckets.Spec
	return &spec, json.Unmarshal(plain, &spec)
}

// viewBucket shows a stored spec to the audit trail, without its secret.
func (s *Server) viewBucket(stored []byte) (any, error) {
	spec, err := s.unsealBucket(stored)
	if err != nil {
		return nil, err
	}
	return spec.Redacted(), nil
}
