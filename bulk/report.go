package bulk

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/store"
)

// A reportLine is one line of a report (methods.md, section 9).
type reportLine struct {
	Number   int   `json:"lineNumber"`
	Offset   int64 `json:"offset"`
	Response any   `json:"response"`
}

type result struct {
	CertificatePEM string            `json:"CertificatePem,omitempty"`
	ARNs           map[string]string `json:"ResourceArns"`
}

type failure struct {
	Code    string `json:"errorCode"`
	Message string `json:"errorMessage"`
}

// The two reports of a task.
type report struct{ results, errors *reportFile }

// A reportFile is a report on its way: it is gathered in a file without a name
// before it goes to its bucket.
type reportFile struct {
	key   string // empty: it has no line, and there is no report
	file  *os.File
	out   *bufio.Writer
	lines int
}

// report writes both from what is remembered of the task's lines, in their
// order. Done again, it writes the same.
func (j *job) report(ctx context.Context) (*report, error) {
	r := &report{}
	for _, f := range []**reportFile{&r.results, &r.errors} {
		made, err := newReportFile(j.Spool)
		if err != nil {
			return nil, err
		}
		defer made.file.Close()
		*f = made
	}
	if err := j.gather(ctx, r); err != nil {
		return nil, err
	}
	if err := j.save(ctx, r.results, j.task.ID+"/results.jsonl"); err != nil {
		return nil, err
	}
	return r, j.save(ctx, r.errors, j.task.ID+"/errors.jsonl")
}

func newReportFile(dir string) (*reportFile, error) {
	f, err := os.CreateTemp(dir, "report-")
	if err == nil {
		err = os.Remove(f.Name())
	}
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "The report cannot be written.")
	}
	return &reportFile{file: f, out: bufio.NewWriter(f)}, nil
}

// gather reads a page of answers and then, in one transaction, their
// certificates.
func (j *job) gather(ctx context.Context, r *report) error {
	for m := (&memory{db: j.DB, tenant: j.t, task: j.task.ID}); !m.ended; {
		if err := m.more(ctx); err != nil {
			return err
		}
		pems := map[arn.CertID]string{}
		err := j.DB.View(ctx, func(ctx context.Context, tx store.Tx) error { return certificates(ctx, tx, j.t, m.ahead, pems) })
		if err != nil {
			return err
		}
		for _, a := range m.ahead {
			if err := r.add(a, pems[a.Certificate]); err != nil {
				return fault.Wrap(fault.Unavailable, err, "The report cannot be written.")
			}
		}
		m.ahead = m.ahead[:0]
	}
	return nil
}

// certificates reads those of the answers. One that was deleted since has none.
func certificates(ctx context.Context, tx store.Tx, t arn.Tenant, all answers, pems map[arn.CertID]string) error {
	return tx.Each(ctx, len(all), func(ctx context.Context, tx store.Tx, i int) error {
		id := all[i].Certificate
		if id == "" {
			return nil
		}
		c, err := tx.Certificate(ctx, t, id)
		if fault.Is(err, fault.Missing) {
			return nil
		}
		if err == nil {
			pems[id] = c.PEM
		}
		return err
	})
}

func (r *report) add(a *answer, pem string) error {
	if a.Code != "" {
		return r.errors.write(reportLine{a.Number, a.Offset, failure{a.Code, a.Message}})
	}
	return r.results.write(reportLine{a.Number, a.Offset, result{pem, a.ARNs}})
}

func (f *reportFile) write(l reportLine) error {
	f.lines++
	enc := json.NewEncoder(f.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(l)
}

// save puts a report that has lines into the bucket of reports.
func (j *job) save(ctx context.Context, f *reportFile, key string) error {
	if f.lines == 0 {
		return nil
	}
	err := f.out.Flush()
	if err == nil {
		_, err = f.file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "The report cannot be written.")
	}
	b, err := j.Bucket(ctx, j.t, ReportBucket)
	if err == nil {
		err = b.Create(ctx, key, f.file)
	}
	if err == nil {
		f.key = key
	}
	return err
}
