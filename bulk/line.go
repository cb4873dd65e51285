package bulk

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/attempts"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/internal/crash"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/wire/strict"
)

// maxLine is how many characters a line may have (methods.md, section 9).
const maxLine = 256_000

// A line is one line of the file.
type line struct {
	number int   // from 1; empty lines count, and are passed over
	offset int64 // of its first byte
	bytes  int   // its length, with the end of the line
	text   []byte
	long   bool // it has more characters than a line may have, and text is empty
}

// A reader reads lines, and holds one at a time.
type reader struct {
	in     *bufio.Reader
	number int
	offset int64
}

func newReader(in io.Reader) *reader { return &reader{in: bufio.NewReaderSize(in, 64<<10)} }

// next gives the next line that is not blank; io.EOF after the last.
func (r *reader) next() (line, error) {
	for {
		l, err := r.line()
		if err != nil || l.long || len(bytes.TrimSpace(l.text)) > 0 {
			return l, err
		}
	}
}

// line reads to the end of the line. Of one that is too long it keeps nothing.
func (r *reader) line() (line, error) {
	r.number++
	l := line{number: r.number, offset: r.offset}
	for {
		part, err := r.in.ReadSlice('\n')
		l.bytes += len(part)
		if l.bytes > maxLine*utf8.UTFMax+2 {
			l.long, l.text = true, nil
		} else {
			l.text = append(l.text, part...)
		}
		if err == bufio.ErrBufferFull {
			continue
		}
		r.offset += int64(l.bytes)
		if err == io.EOF && l.bytes > 0 {
			err = nil
		}
		l.text = bytes.TrimRight(l.text, "\r\n")
		if l.long = l.long || utf8.RuneCount(l.text) > maxLine; l.long {
			l.text = nil
		}
		return l, err
	}
}

// parameters reads the line as what a template takes. Of one that is refused it
// gives what could be read, for the attempt to be found by.
func (l line) parameters() (params map[string]string, refused error) {
	if l.long {
		return nil, fault.New(fault.InvalidRequest, "The line has more than %d characters.", maxLine)
	}
	tree, err := strict.Parse(l.text)
	if err != nil {
		return nil, fault.Wrap(fault.InvalidRequest, err, "The line is not well-formed JSON: %s.", arn.Clip(err.Error(), 200))
	}
	if tree.Kind != strict.Object {
		return nil, fault.New(fault.InvalidRequest, "The line is %s; a JSON object of parameters is expected.", tree.Kind)
	}
	params = make(map[string]string, len(tree.Members))
	for _, m := range tree.Members {
		if m.Value.Kind == strict.String {
			params[m.Key] = m.Value.Text
		} else if refused == nil {
			refused = fault.New(fault.InvalidRequest, "Parameter %s is %s; a string is expected.", arn.Clip(m.Key, 80), m.Value.Kind)
		}
	}
	return params, refused
}

// The pauses before a line is tried again that the store could not write. They
// double.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 2 * time.Second
)

// some does a batch of lines, and remembers what became of each. An error is
// none of theirs; what of them was done is remembered.
func (j *job) some(ctx context.Context, batch []line) error {
	began := j.Now()
	lines := make([]*Line, len(batch))
	for i, l := range batch {
		params, err := l.parameters()
		lines[i] = &Line{Number: l.number, Offset: l.offset, Params: params, Refused: err}
	}
	err := j.register(ctx, lines)
	for i, l := range lines {
		if l.Done {
			crash.Point("bulk.applied")
			j.count(batch[i], l.Refused == nil)
			j.tell(began, l)
		}
	}
	return err
}

// register has lines registered, again where the store did not answer.
func (j *job) register(ctx context.Context, lines []*Line) error {
	join := j.remember
	for wait := firstPause; ; wait *= 2 {
		left := slices.DeleteFunc(slices.Clone(lines), func(l *Line) bool { return l.Done })
		vain, err := j.Register(ctx, j.t, j.task.Template, j.hope(), left, join)
		j.learn(vain || err != nil)
		if !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Throttled) || wait > lastPause {
			return err
		}
		join = j.rememberOnce(firstLeft(left))
		rest(ctx, wait)
	}
}

// firstLeft is the number of the first line that is not done.
func firstLeft(lines []*Line) int {
	for _, l := range lines {
		if !l.Done {
			return l.Number
		}
	}
	return 0
}

// remember writes what became of lines, in the transaction that does them.
func (j *job) remember(ctx context.Context, tx store.Tx, lines []*Line) error {
	if err := answersOf(lines).put(ctx, tx, j.t, j.task.ID); err != nil {
		return err
	}
	for range lines {
		crash.Point("bulk.applying")
	}
	return nil
}

// errBefore undoes a line that was done after all.
var errBefore = errors.New("the line was done before")

// rememberOnce is remember after a commit of unknown outcome: it may have been
// lost on its way to us, not on its way to the disk. What that transaction
// remembered is found by its first line. Lines that it did are written no
// second time: they fail here, until one of them comes alone and refused.
func (j *job) rememberOnce(first int) Join {
	return func(ctx context.Context, tx store.Tx, lines []*Line) error {
		before, err := find(ctx, tx, j.t, j.task.ID, first)
		if err != nil {
			return err
		}
		for _, a := range before {
			for _, l := range lines {
				if l.Number != a.Number {
					continue
				}
				if len(lines) > 1 || l.Refused == nil {
					return errBefore
				}
				l.Made, l.Refused = a.outcome()
				return nil
			}
		}
		return j.remember(ctx, tx, lines)
	}
}

// tell leaves an attempt, so that `slipway trace` finds the device by any of
// its parameters.
func (j *job) tell(began time.Time, l *Line) {
	a := &attempts.Attempt{
		Tenant: j.t, ID: ref.ID(j.t.String(), Door, fmt.Sprint(j.task.ID, "/", l.Number), began),
		Opened: began, Closed: j.Now(), Door: Door, Count: 1,
		Remote: attempts.Plain(fmt.Sprintf("%s/%s:%d", j.task.Bucket, j.task.Key, l.Number), maxKey),
		Keys:   []string{j.task.ID},
	}
	text := fmt.Sprintf("Line %d of %s/%s, task %s.", l.Number, j.task.Bucket, j.task.Key, j.task.ID)
	a.Steps = []attempts.Step{{Name: "read", Text: attempts.Plain(text, 512)}}
	last := attempts.Step{After: a.Closed.Sub(began), Name: "register"}
	if l.Refused != nil {
		_, said := fault.Show(l.Refused)
		a.Outcome, a.Reason = attempts.Refused, attempts.Plain(said, 512)
		last.Text, last.Refused = a.Reason, true
	} else {
		a.Outcome, a.Thing, a.NewCert = attempts.Provisioned, l.Made.Thing, l.Made.Certificate
		last.Text = attempts.Plain("Registered "+strings.Join(slices.Sorted(maps.Values(l.Made.ARNs)), ", ")+".", 512)
		a.Keys = append(a.Keys, l.Made.Thing, string(l.Made.Certificate))
	}
	a.Steps = append(a.Steps, last)
	for _, name := range slices.Sorted(maps.Keys(l.Params)) {
		if v := l.Params[name]; len(v) <= maxKey && len(a.Keys) < maxKeys {
			a.Keys = append(a.Keys, v)
		}
	}
	a.Keys = slices.DeleteFunc(a.Keys, func(k string) bool { return k == "" })
	j.Metrics.Attempt(Door, string(a.Outcome))
	if j.Record != nil {
		j.Record(a)
	}
}

// What an attempt is found by: no signing requests, and not without bound.
const (
	maxKey  = 256
	maxKeys = 16
)
