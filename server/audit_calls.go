package server

import (
	"context"
	"encoding/json"
	"iter"
	"log/slog"
	"net/url"
	"strconv"
	"time"

	"github.com/slipway-iot/slipway/audit"
	"github.com/slipway-iot/slipway/control"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/store"
)

type auditItem struct {
	Sequence int64           `json:"sequence,omitempty"` // none: not sealed yet
	Sealed   bool            `json:"sealed"`
	Previous *audit.Hash     `json:"previous,omitempty"`
	Hash     *audit.Hash     `json:"hash,omitempty"`
	Record   json.RawMessage `json:"record"`
}

// listAudit: GET /slipway/audit?who=&action=&resource=&requestId=&since=&until=,
// the newest first.
func (s *Server) listAudit(ctx context.Context, c *control.Call) (any, error) {
	p, err := pageFrom(c.Query)
	if err != nil {
		return nil, err
	}
	f, err := auditFilter(c.Query)
	if err != nil {
		return nil, err
	}
	s.sealSoon(ctx)
	var out struct {
		Records   []auditItem `json:"records"`
		NextToken string      `json:"nextToken,omitempty"`
	}
	err = s.db.View(ctx, func(ctx context.Context, tx store.Tx) error {
		entries, next, err := tx.FindAudit(ctx, c.Tenant, f, p)
		out.Records, out.NextToken = []auditItem{}, next
		for _, e := range entries {
			out.Records = append(out.Records, auditItemOf(e))
		}
		return err
	})
	return out, err
}

func auditItemOf(e audit.Entry) auditItem {
	item := auditItem{Sequence: e.Sequence, Sealed: e.Sequence > 0, Record: e.Body}
	if item.Sealed {
		item.Previous, item.Hash = &e.Previous, &e.Hash
	}
	if !json.Valid(e.Body) { // somebody changed it; as a text it can be looked at
		item.Record, _ = json.Marshal(string(e.Body))
	}
	return item
}

// sealSoon seals what was just written, since whoever asks wants to find it. A
// failure shows in the answer: the records are listed as unsealed.
func (s *Server) sealSoon(ctx context.Context) {
	if err := s.sealer.run(ctx); err != nil {
		s.cfg.Log.ErrorContext(ctx, "audit records stay unsealed for now", slog.Any("err", err))
	}
}

func auditFilter(q url.Values) (f audit.Filter, err error) {
	f = audit.Filter{Who: q.Get("who"), Action: q.Get("action"), Resource: q.Get("resource"), RequestID: q.Get("requestId")}
	for name, at := range map[string]*time.Time{"since": &f.Since, "until": &f.Until} {
		text := q.Get(name)
		if text == "" {
			continue
		}
		if *at, err = time.Parse(time.RFC3339Nano, text); err != nil {
			return f, fault.New(fault.InvalidRequest, "%s %q: expected a moment such as 2026-03-01T12:00:00Z.", name, text)
		}
	}
	return f, nil
}

// verifyStep is how many records one request verifies: a second's work or two.
const verifyStep = 20_000

// verifyPage is how many of them are held in memory at once.
const verifyPage = 250

type auditVerdict struct {
	audit.Report
	Complete bool  `json:"complete"` // false: ask again, from here on
	Unsealed int64 `json:"unsealed"` // records that wait to be sealed
}

// verifyAudit: GET /slipway/audit/verify?head=&sequence=&from=&kept=. head is
// one that the auditor kept; the others go on where an incomplete answer ended.
func (s *Server) verifyAudit(ctx context.Context, c *control.Call) (any, error) {
	out, kept, err := verifyFrom(c.Query)
	if err != nil {
		return nil, err
	}
	if out.Sequence == 0 {
		s.sealSoon(ctx)
	}
	w := &chainWalk{sealer: s.sealer, after: out.Sequence, until: out.Sequence + verifyStep}
	if err := out.Verify(w.entries(ctx), kept); err != nil {
		return nil, err
	}
	out.Complete = w.ended || out.Broken != nil
	if w.ended {
		out.Unsealed = w.unsealed
		out.Ends(w.head, kept)
		if out.Broken == nil && !s.sealer.vouches(w.head) {
			out.Broken = &audit.Break{Sequence: out.Sequence, Text: "The end of the chain was not sealed with this server's key: somebody else wrote it."}
		}
	}
	return out, nil
}

// verifyFrom reads where a verification begins.
func verifyFrom(q url.Values) (out auditVerdict, kept audit.Hash, err error) {
	if text := q.Get("head"); text != "" {
		if kept, err = audit.ParseHash(text); err != nil {
			return out, kept, err
		}
	}
	if text := q.Get("sequence"); text != "" {
		if out.Sequence, err = strconv.ParseInt(text, 10, 64); err != nil || out.Sequence < 0 {
			return out, kept, fault.New(fault.InvalidRequest, "sequence %q: expected the number of the record after which to go on.", text)
		}
		out.Hash, err = audit.ParseHash(q.Get("from"))
	}
	out.Kept = q.Get("kept") == "true"
	return out, kept, err
}

// A chainWalk reads the chain page by page, each in a View of its own, so that
// it holds nothing up however long the chain is.
type chainWalk struct {
	sealer       *sealer
	after, until int64

	// Once it has ended, read together with the last page:
	ended    bool
	head     audit.Head
	unsealed int64
}

func (w *chainWalk) entries(ctx context.Context) iter.Seq2[audit.Entry, error] {
	return func(yield func(audit.Entry, error) bool) {
		for !w.ended && w.after < w.until {
			page, err := w.page(ctx)
			if err != nil {
				yield(audit.Entry{}, err)
				return
			}
			for _, e := range page {
				if !yield(e, nil) {
					return
				}
				w.after = e.Sequence
			}
		}
	}
}

func (w *chainWalk) page(ctx context.Context) (page []audit.Entry, err error) {
	err = w.sealer.db.View(ctx, func(ctx context.Context, tx store.Tx) error {
		if page, err = tx.SealedAudit(ctx, w.after, verifyPage); err != nil || len(page) == verifyPage {
			return err
		}
		w.ended = true
		if w.head, err = tx.AuditHead(ctx); err != nil {
			return err
		}
		w.unsealed, err = tx.CountUnsealedAudit(ctx)
		return err
	})
	return page, err
}
