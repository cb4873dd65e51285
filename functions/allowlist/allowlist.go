// Package allowlist is the function that needs no program: a CSV file of
// serial numbers, as a factory hands it over.
//
//	serial,Site,Batch
//	K1,berlin,7
//	K2,,8
//
// It answers a pre-provisioning hook request (hooks-and-events.md, section 1):
// a serial on the list is allowed, and the other cells of its line that are not
// empty override the parameters of the same names. Any other serial is refused,
// with a member "reason" that AWS ignores and Slipway shows in the attempt.
//
// A file is looked at before every call and read again when it has changed.
// While it cannot be read or is wrong, every call fails: a list that somebody
// shortened must not live on in memory because of a slip elsewhere in it.
package allowlist

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/functions"
	"github.com/slipway-iot/slipway/wire/strict"
)

// maxFile bounds a list: about a million serials with attributes.
const maxFile = 64 << 20

// List is a live allowlist.
type List struct {
	spec  functions.Spec
	calls *functions.Calls

	mu    sync.Mutex // guards all below
	table *table
	err   error       // why there is no table
	seen  fs.FileInfo // what table or err was read from; nil if nothing was
}

// Open makes an allowlist. It is a [functions.Opener]. A list given inline is
// read at once, and an error in it is returned; one in a file is read at the
// first call.
func Open(_ arn.Tenant, s functions.Spec) (functions.Function, error) {
	s = s.WithDefaults()
	l := &List{spec: s, calls: functions.NewCalls(s)}
	if s.CSV == "" {
		return l, nil
	}
	var err error
	if l.table, err = parse([]byte(s.CSV), l.spec.Parameter); err != nil {
		return nil, l.broken(err)
	}
	return l, nil
}

// Invoke answers a hook request.
func (l *List) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	_, end, err := l.calls.Begin(ctx, payload)
	if err != nil {
		return nil, err
	}
	defer end()
	t, err := l.current()
	if err != nil {
		return nil, err
	}
	serial, found, err := parameter(payload, l.spec.Parameter)
	if err != nil {
		return nil, functions.Fail(functions.Threw, l.spec.Name, err, "was called with something that is not a hook request.")
	}
	return json.Marshal(l.judge(t, serial, found))
}

// Close waits for the calls under way and makes later ones fail.
func (l *List) Close() error {
	l.calls.Close()
	return nil
}

// An answer is that of hooks-and-events.md, section 1.3, and the reason of a
// refusal.
type answer struct {
	AllowProvisioning  bool              `json:"allowProvisioning"`
	ParameterOverrides map[string]string `json:"parameterOverrides"`
	Reason             string            `json:"reason,omitempty"`
}

func (l *List) judge(t *table, serial string, found bool) answer {
	a := answer{ParameterOverrides: map[string]string{}}
	if !found {
		a.Reason = fmt.Sprintf("Parameter %s is missing; the list %s looks it up.", l.spec.Parameter, l.spec.Name)
		return a
	}
	overrides, ok := t.overrides(serial)
	if !ok {
		a.Reason = fmt.Sprintf("Serial %s is not on the list %s.", functions.Quote(serial), l.spec.Name)
		return a
	}
	return answer{AllowProvisioning: true, ParameterOverrides: overrides}
}

// parameter gives the named member of the request's parameters. The answer
// grants something, so the request is read strictly.
func parameter(payload []byte, name string) (value string, found bool, err error) {
	v, err := strict.Parse(payload)
	if err != nil {
		return "", false, err
	}
	p := v.Get("parameters")
	if p == nil || p.Kind != strict.Object {
		return "", false, errors.New("parameters: expected an object")
	}
	p = p.Get(name)
	if p == nil {
		return "", false, nil
	}
	if p.Kind != strict.String {
		return "", false, fmt.Errorf("%s: expected a string, found %s", p.Where(), p.Kind)
	}
	return p.Text, true, nil
}

// current gives the table, read anew if the file has changed. A wrong file is
// not read again until it changes.
func (l *List) current() (*table, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.spec.CSV == "" && !l.unchanged() {
		l.table, l.seen, l.err = read(l.spec.Path, l.spec.Parameter)
	}
	if l.err != nil {
		return nil, l.broken(l.err)
	}
	return l.table, nil
}

func (l *List) unchanged() bool {
	if l.seen == nil {
		return false
	}
	now, err := os.Stat(l.spec.Path)
	return err == nil && functions.SameFile(l.seen, now)
}

// read gives the table in a file and the file's state before it was read, so
// that a change during the reading is noticed at the next call. The state is
// nil if the file was not read to its end.
func read(path, parameter string) (*table, fs.FileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, errors.New("is not a regular file")
	}
	if info.Size() > maxFile {
		return nil, info, errors.New("is larger than 64 MiB")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, nil, err
	}
	t, err := parse(data, parameter)
	return t, info, err
}

// broken is the failure of a list that cannot be used. A *fs.PathError holds a
// path, which is for the log only.
func (l *List) broken(err error) *functions.Failure {
	var path *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return functions.Fail(functions.InitFailed, l.spec.Name, err, "cannot be used: its file does not exist.")
	case errors.As(err, &path):
		return functions.Fail(functions.InitFailed, l.spec.Name, err, "cannot be used: its file cannot be read.")
	}
	return functions.Fail(functions.InitFailed, l.spec.Name, nil, "cannot be used: the list %s.", err)
}
