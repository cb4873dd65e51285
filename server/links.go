package server

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/buckets"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/store"
)

// objectPath begins the paths of signed links:
// /slipway/buckets/ACCOUNT/REGION/BUCKET/KEY?expires=…&signature=…
const objectPath = "/slipway/buckets/"

// maxUpload bounds what one signed link may bring.
const maxUpload = 8 << 30

// linkKeyDocument holds the key that signs links. It is the default tenant's,
// and shared by all servers of the store.
const linkKeyDocument = "link-key"

// linkKey gives the key that signs links, and makes it at the first link.
func (s *Server) linkKey(ctx context.Context) ([]byte, error) {
	var stored []byte
	read := func(ctx context.Context, tx store.Tx) (err error) {
		stored, err = tx.Document(ctx, arn.Default, linkKeyDocument, "current")
		return err
	}
	err := s.bare.View(ctx, read)
	if fault.Is(err, fault.Missing) {
		err = s.makeLinkKey(ctx)
		if err == nil {
			err = s.bare.View(ctx, read)
		}
	}
	if err != nil {
		return nil, err
	}
	sealed, err := base64.StdEncoding.DecodeString(string(stored))
	if err != nil {
		return nil, err
	}
	return s.seal.Unseal(linkKeyDocument, sealed)
}

// makeLinkKey stores a new key unless another call was faster.
func (s *Server) makeLinkKey(ctx context.Context) error {
	key := make([]byte, sha256.Size)
	if _, err := io.ReadFull(s.cfg.Rand, key); err != nil {
		return err
	}
	sealed := base64.StdEncoding.EncodeToString(s.seal.Seal(linkKeyDocument, key))
	return s.bare.Update(context.WithoutCancel(ctx), func(ctx context.Context, tx store.Tx) error {
		_, err := tx.Document(ctx, arn.Default, linkKeyDocument, "current")
		if fault.Is(err, fault.Missing) {
			return tx.PutDocument(ctx, arn.Default, linkKeyDocument, "current", []byte(sealed))
		}
		return err
	})
}

// linkSignature binds a link to its method, its path and its end.
func linkSignature(key []byte, method, path, expires string) []byte {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "slipway link 1\n%s\n%s\n%s", method, path, expires)
	return mac.Sum(nil)
}

// signedLink makes a link to an object that this server serves.
func (s *Server) signedLink(ctx context.Context, t arn.Tenant, bucket, method, key string) (string, error) {
	secret, err := s.linkKey(ctx)
	if err != nil {
		return "", err
	}
	path := objectPath + t.Account + "/" + t.Region + "/" + bucket
	for part := range strings.SplitSeq(key, "/") {
		path += "/" + url.PathEscape(part)
	}
	expires := strconv.FormatInt(s.cfg.Now().Add(linkLife).Unix(), 10)
	signature := hex.EncodeToString(linkSignature(secret, method, path, expires))
	return s.linkBase() + path + "?" + url.Values{"expires": {expires}, "signature": {signature}}.Encode(), nil
}

// linkBase is the control port as others reach it: by the server's name where
// it listens on every address.
func (s *Server) linkBase() string {
	tcp, ok := s.listeners["control"].Addr().(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return s.controlURL()
	}
	return "https://" + net.JoinHostPort(s.hosts.Endpoint(arn.Default), strconv.Itoa(tcp.Port))
}

// linked says whether a request carries a link, and no signature of a caller.
func linked(r *http.Request) bool {
	return strings.HasPrefix(r.URL.EscapedPath(), objectPath) && r.URL.Query().Has("signature")
}

// serveLink serves GET and PUT of a signed link.
func (s *Server) serveLink(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Security-Policy", "sandbox; default-src 'none'")
	status, err := http.StatusOK, s.followLink(w, r)
	if err != nil {
		face, text := fault.Show(err)
		status = face.REST
		http.Error(w, text, status)
	}
	s.cfg.Log.LogAttrs(r.Context(), slog.LevelInfo, "link", slog.String("method", r.Method), slog.String("path", arn.Clip(r.URL.EscapedPath(), 200)),
		slog.Int("status", status), slog.Any("err", err))
}

func (s *Server) followLink(w http.ResponseWriter, r *http.Request) error {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if err := s.checkLink(r.Context(), r, method); err != nil {
		return err
	}
	b, key, err := s.linkTarget(r)
	if err != nil {
		return err
	}
	// A large file takes longer than a call may.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
	if method == http.MethodPut {
		return b.Create(r.Context(), key, http.MaxBytesReader(w, r.Body, maxUpload))
	}
	file, o, err := b.Open(r.Context(), key)
	if err != nil {
		return err
	}
	defer file.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(o.Size, 10))
	if r.Method == http.MethodGet {
		_, _ = io.Copy(w, file) // the length tells the reader of one that was cut
	}
	return nil
}

func (s *Server) checkLink(ctx context.Context, r *http.Request, method string) error {
	q := r.URL.Query()
	secret, err := s.linkKey(ctx)
	if err != nil {
		return err
	}
	given, err := hex.DecodeString(q.Get("signature"))
	if err != nil || !hmac.Equal(given, linkSignature(secret, method, r.URL.EscapedPath(), q.Get("expires"))) {
		return fault.New(fault.AccessDenied, "The link is not signed by this server, or was changed.")
	}
	expires, err := strconv.ParseInt(q.Get("expires"), 10, 64)
	if err != nil || s.cfg.Now().Unix() > expires {
		return fault.New(fault.AccessDenied, "The link has expired; ask for a new one.")
	}
	return nil
}

// linkTarget reads the path, which was signed as it is.
func (s *Server) linkTarget(r *http.Request) (buckets.Bucket, string, error) {
	parts := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), objectPath), "/")
	for i, part := range parts {
		decoded, err := url.PathUnescape(part)
		if err != nil {
			return nil, "", fault.Wrap(fault.InvalidRequest, err, "The link is not percent-encoded as it should be.")
		}
		parts[i] = decoded
	}
	if len(parts) < 4 {
		return nil, "", fault.New(fault.UnknownOperation, "The link names no object.")
	}
	b, err := s.bucket(r.Context(), arn.Tenant{Account: parts[0], Region: parts[1]}, parts[2])
	return b, strings.Join(parts[3:], "/"), err
}
