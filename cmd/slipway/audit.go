package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-iot/slipway/audit"
)

// auditCmd are the verbs about the audit trail.
type auditCmd struct {
	List   auditList   `cmd:"" help:"Search the trail: who changed what, when and from where."`
	Verify auditVerify `cmd:"" help:"Prove that no record of the trail was changed or removed."`
}

// auditList prints records, the newest first.
type auditList struct {
	target
	Who       string `help:"Access key id, or the name of the key." placeholder:"KEY"`
	Action    string `help:"Such as iot:CreateThing." placeholder:"ACTION"`
	Resource  string `help:"Name, certificate id or ARN of what was changed." placeholder:"NAME"`
	RequestID string `name:"request-id" help:"The request id that the caller was answered." placeholder:"ID"`
	Since     string `help:"From then on: 2026-03-01, 2026-03-01T12:00:00Z, or 24h for the last day." placeholder:"WHEN"`
	Until     string `help:"Up to then." placeholder:"WHEN"`
	Last      int    `help:"How many of the last records; 0 for all." default:"50" short:"n"`
	Changes   bool   `help:"Print each resource before and after." short:"c"`
	JSON      bool   `name:"json" help:"Print a JSON array."`
}

// auditItem is a record as the server answers it.
type auditItem struct {
	Sequence int64           `json:"sequence,omitempty"`
	Sealed   bool            `json:"sealed"`
	Previous string          `json:"previous,omitempty"`
	Hash     string          `json:"hash,omitempty"`
	Record   json.RawMessage `json:"record"`
}

func (c *auditList) query(now time.Time) (url.Values, error) {
	q := url.Values{}
	for name, value := range map[string]string{"who": c.Who, "action": c.Action, "resource": c.Resource, "requestId": c.RequestID} {
		if value != "" {
			q.Set(name, value)
		}
	}
	for name, text := range map[string]string{"since": c.Since, "until": c.Until} {
		if text == "" {
			continue
		}
		at, err := when(text, now)
		if err != nil {
			return nil, usageError{fmt.Errorf("--%s %q: expected a day such as 2026-03-01, a moment such as 2026-03-01T12:00:00Z, or a duration such as 24h", name, text)}
		}
		q.Set(name, at.UTC().Format(time.RFC3339Nano))
	}
	return q, nil
}

// when reads a day, a moment, or how long ago one was.
func when(text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(-d), nil
	}
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day, nil
	}
	return time.Parse(time.RFC3339, text)
}

// Run prints them.
func (c *auditList) Run(ctx context.Context, s streams) error {
	query, err := c.query(time.Now())
	if err != nil {
		return err
	}
	if c.Last < 0 {
		return usageError{fmt.Errorf("--last %d: expected a number, or 0 for all", c.Last)}
	}
	p, err := c.connect()
	if err != nil {
		return err
	}
	list, err := p.auditRecords(ctx, query, c.Last)
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(s.out, list)
	}
	if c.Changes {
		return printAudit(s, list)
	}
	return tableOfAudit(s, list)
}

// auditRecords reads pages until there are enough records; zero asks for all.
func (p *plane) auditRecords(ctx context.Context, query url.Values, last int) ([]auditItem, error) {
	list := []auditItem{}
	query.Set("maxResults", "250")
	for {
		var page struct {
			Records   []auditItem `json:"records"`
			NextToken string      `json:"nextToken"`
		}
		if err := p.own(ctx, http.MethodGet, "/slipway/audit", query, nil, &page); err != nil {
			return nil, err
		}
		list = append(list, page.Records...)
		if last > 0 && len(list) >= last {
			return list[:last], nil
		}
		if page.NextToken == "" {
			return list, nil
		}
		query.Set("nextToken", page.NextToken)
	}
}

// number is a record's place in the chain.
func (i auditItem) number() string {
	if !i.Sealed {
		return "unsealed"
	}
	return strconv.FormatInt(i.Sequence, 10)
}

// read gives the record. One that was damaged in the database is shown as such.
func (i auditItem) read() *audit.Record {
	r, err := audit.Open(i.Record)
	if err != nil {
		return &audit.Record{Action: "damaged", Outcome: "run `slipway audit verify`"}
	}
	return r
}

func whoOf(w audit.Who) string {
	if w.Name == "" {
		return w.Key
	}
	if w.Key == "" { // the server itself
		return w.Name
	}
	return w.Name + " (" + w.Key + ")"
}

// whatOf says which resources a record is about, and what became of each.
func whatOf(r *audit.Record) string {
	if r.Outcome == audit.Denied {
		return "denied"
	}
	var out []string
	for _, c := range r.Changes {
		out = append(out, changeName(c))
	}
	if n := len(out) - 3 + r.More; len(out) > 3 {
		out = append(out[:3], fmt.Sprintf("and %d more", n))
	}
	return strings.Join(out, ", ")
}

// changeName is a change in few words: + for what was made, - for what was
// removed.
func changeName(c audit.Change) string {
	sign := "~"
	switch {
	case absent(c.Before):
		sign = "+"
	case absent(c.After):
		sign = "-"
	}
	name := sign + c.Kind + " " + shortName(c.Name)
	if c.To != "" {
		name += " → " + shortName(c.To)
	}
	return name
}

func absent(state json.RawMessage) bool { return len(state) == 0 || string(state) == "null" }

// shortName cuts what nobody reads of an ARN, and of a certificate id.
func shortName(name string) string {
	name = name[strings.LastIndexByte(name, '/')+1:]
	if len(name) == 64 {
		return name[:8] + "…"
	}
	return name
}

func tableOfAudit(s streams, list []auditItem) error {
	var rows []string
	for _, item := range list {
		r := item.read()
		rows = append(rows, strings.Join([]string{item.number(), auditTime(r.At), whoOf(r.Who), r.From, r.Action, whatOf(r)}, "\t"))
	}
	return writeTable(s.out, "RECORD\tTIME\tWHO\tFROM\tACTION\tWHAT", rows)
}

func auditTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000 UTC") }

// printAudit prints whole records.
func printAudit(s streams, list []auditItem) error {
	for n, item := range list {
		if n > 0 {
			fmt.Fprintln(s.out)
		}
		r := item.read()
		fmt.Fprintf(s.out, "record %s, %s\n", item.number(), auditTime(r.At))
		out := sheet{s.out, 10}
		out.line("  action", r.Action+", "+string(r.Outcome))
		out.line("  who", whoOf(r.Who)+either(r.Who.Role != "", ", "+r.Who.Role)+either(r.From != "", ", from "+r.From))
		out.line("  request", r.RequestID)
		out.line("  reason", r.Reason)
		out.line("  hash", item.Hash)
		for _, c := range r.Changes {
			fmt.Fprintf(s.out, "  %s\n", changeName(c))
			printState(s, "before", c.Before)
			printState(s, "after", c.After)
		}
		if r.More > 0 {
			fmt.Fprintf(s.out, "  and %s more\n", plural(r.More, "link"))
		}
	}
	return nil
}

func printState(s streams, name string, state json.RawMessage) {
	if !absent(state) {
		fmt.Fprintf(s.out, "    %-7s %s\n", name+":", strings.ReplaceAll(indentJSON(string(state)), "\n", "\n            "))
	}
}
