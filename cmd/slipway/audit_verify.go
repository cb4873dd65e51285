package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/slipway-iot/slipway/audit"
)

// auditVerify proves the chain.
type auditVerify struct {
	target
	Head string `help:"Hash that an earlier run printed: proves that what was there then still is." placeholder:"HASH"`
	JSON bool   `name:"json" help:"Print a JSON object."`
}

// A chainBroken is a trail that somebody changed.
type chainBroken struct{ text string }

func (b chainBroken) Error() string { return "the audit trail is broken. " + b.text }

// auditVerdict is what the server found up to a record.
type auditVerdict struct {
	audit.Report
	Complete bool  `json:"complete"`
	Unsealed int64 `json:"unsealed"`
}

// Run verifies step by step, so that no call takes long.
func (c *auditVerify) Run(ctx context.Context, s streams) error {
	if c.Head != "" {
		if _, err := audit.ParseHash(c.Head); err != nil {
			return usageError{err}
		}
	}
	p, err := c.connect()
	if err != nil {
		return err
	}
	var v auditVerdict
	for !v.Complete {
		q := url.Values{"kept": {strconv.FormatBool(v.Kept)}}
		if c.Head != "" {
			q.Set("head", c.Head)
		}
		if v.Sequence > 0 {
			q.Set("sequence", strconv.FormatInt(v.Sequence, 10))
			q.Set("from", v.Hash.String())
		}
		if err := p.own(ctx, http.MethodGet, "/slipway/audit/verify", q, nil, &v); err != nil {
			return err
		}
	}
	return c.print(s, v)
}

func (c *auditVerify) print(s streams, v auditVerdict) error {
	if c.JSON {
		if err := writeJSON(s.out, v); err != nil {
			return err
		}
	} else if v.Broken == nil {
		out := sheet{s.out, 9}
		if v.Sequence == 0 && c.Head == "" {
			out.line("empty", "0 records: nothing was changed yet, or all was removed; --head with a hash kept earlier tells which")
			return nil
		}
		out.line("sound", plural(int(v.Sequence), "record")+", none changed, missing or moved")
		if v.Unsealed > 0 {
			out.line("unsealed", plural(int(v.Unsealed), "record")+" not in the chain yet")
		}
		out.line("head", v.Hash.String())
		fmt.Fprintln(s.out, "Keep the head elsewhere: `slipway audit verify --head HASH` proves later that nothing up to it was cut off or written anew.")
	}
	if v.Broken != nil {
		return chainBroken{v.Broken.Text}
	}
	return nil
}
