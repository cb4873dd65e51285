package process

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/http"
	"strconv"
	"strings"

	"github.com/slipway-iot/slipway/functions"
)

const (
	version = "2018-06-01" // of the Runtime API

	// maxHeader leaves room for the error cause that Go's Lambda library
	// repeats in a header, of up to 1 MiB.
	maxHeader = 2 << 20
	// maxReport bounds the report of an error.
	maxReport = 256 << 10
	// maxCounted is how far an answer above the limit is read to know its size.
	maxCounted = 64 << 20
)

// A call is one payload on its way through a process.
type call struct {
	id, arn, trace string
	deadline       int64 // in milliseconds since 1970
	payload        []byte

	done    chan struct{} // closed when out and failure are set
	out     []byte
	failure *functions.Failure
}

func (c *child) newCall(ctx context.Context, payload []byte) (*call, error) {
	p := c.program
	r, err := p.random(36)
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline() // the time limit of every call
	return &call{
		id:       r[:8] + "-" + r[8:12] + "-4" + r[13:16] + "-a" + r[17:20] + "-" + r[20:32],
		arn:      functions.ARN(p.tenant, p.spec.Name),
		trace:    fmt.Sprintf("Root=1-%08x-%s;Parent=%s;Sampled=0", p.driver.Now().Unix(), r[32:56], r[56:72]),
		deadline: deadline.UnixMilli(),
		payload:  payload,
		done:     make(chan struct{}),
	}, nil
}

func (k *call) finish(out []byte, f *functions.Failure) {
	k.out, k.failure = out, f
	close(k.done)
}

// answer gives what finish was told.
func (k *call) answer() ([]byte, error) {
	if k.failure != nil {
		return nil, k.failure
	}
	return k.out, nil
}

// ServeHTTP is the Runtime API of one process, below its secret.
func (c *child) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secret, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if subtle.ConstantTimeCompare([]byte(secret), []byte(c.secret)) != 1 {
		w.Header().Set("Connection", "close")
		reply(w, http.StatusForbidden, "Forbidden", "this Runtime API serves another process")
		return
	}
	if path == "credentials" && r.Method == http.MethodGet && c.program.driver.Grant != nil {
		c.credentials(w)
		return
	}
	path, ok := strings.CutPrefix(path, version+"/runtime/")
	id, verb, _ := strings.Cut(strings.TrimPrefix(path, "invocation/"), "/")
	switch {
	case !ok:
		reply(w, http.StatusNotFound, "NotFound", "there is no such path")
	case r.Method == http.MethodGet && path == "invocation/next":
		c.next(w, r)
	case r.Method == http.MethodPost && path == "init/error":
		c.initError(w, r)
	case r.Method == http.MethodPost && verb == "response":
		c.response(w, r, id)
	case r.Method == http.MethodPost && verb == "error":
		c.callError(w, r, id)
	default:
		reply(w, http.StatusNotFound, "NotFound", "there is no such path")
	}
}

// next waits for a call and hands it over.
func (c *child) next(w http.ResponseWriter, r *http.Request) {
	c.once.Do(func() {
		c.slow.Stop()
		close(c.ready)
	})
	var k *call
	select {
	case k = <-c.offers:
	case <-r.Context().Done():
		return
	}
	c.mu.Lock()
	c.current = k
	c.mu.Unlock()
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(k.payload)))
	h.Set("Lambda-Runtime-Aws-Request-Id", k.id)
	h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(k.deadline, 10))
	h.Set("Lambda-Runtime-Invoked-Function-Arn", k.arn)
	h.Set("Lambda-Runtime-Trace-Id", k.trace)
	w.Write(k.payload)
}

// claim gives the call under way if id names it, and only once.
func (c *child) claim(w http.ResponseWriter, id string) *call {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.current
	if k == nil || k.id != id {
		reply(w, http.StatusBadRequest, "InvalidRequestID", "no call of this id is under way")
		return nil
	}
	c.current = nil
	return k
}

// response takes the answer of a call. An answer that breaks off ends the
// process: what state it is in, nobody knows.
func (c *child) response(w http.ResponseWriter, r *http.Request, id string) {
	k := c.claim(w, id)
	if k == nil {
		return
	}
	name := c.program.spec.Name
	out, err := io.ReadAll(io.LimitReader(r.Body, functions.MaxBytes+1))
	switch {
	case err != nil:
		c.kill()
	case len(out) > functions.MaxBytes:
		more, _ := io.Copy(io.Discard, io.LimitReader(r.Body, maxCounted))
		k.finish(nil, functions.Oversized(name, "answered", int64(len(out))+more))
		reply(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "an answer has at most 6 MiB")
	case r.Trailer.Get("Lambda-Runtime-Function-Error-Type") != "":
		report, _ := base64.StdEncoding.DecodeString(r.Trailer.Get("Lambda-Runtime-Function-Error-Body"))
		k.finish(nil, functions.Thrown(name, report))
		accepted(w)
	default:
		k.finish(out, nil)
		accepted(w)
	}
}

// callError takes the report of a call that failed in the function.
func (c *child) callError(w http.ResponseWriter, r *http.Request, id string) {
	k := c.claim(w, id)
	if k == nil {
		return
	}
	f := functions.Thrown(c.program.spec.Name, report(r))
	f.Output = c.output.String()
	k.finish(nil, f)
	accepted(w)
}

// initError takes the report of a process that cannot become ready, and ends
// it.
func (c *child) initError(w http.ResponseWriter, r *http.Request) {
	select {
	case <-c.ready:
		reply(w, http.StatusForbidden, "InvalidStateTransition", "the process has been ready before")
		return
	default:
	}
	f := functions.Thrown(c.program.spec.Name, report(r))
	f.Reason = functions.InitFailed
	accepted(w)
	c.fail(f)
}

// report reads as much of an error report as is worth reading.
func report(r *http.Request) []byte {
	b, _ := io.ReadAll(io.LimitReader(r.Body, maxReport))
	return b
}

func accepted(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	io.WriteString(w, `{"status":"OK"}`)
}

// reply answers with an error in the form of the Runtime API.
func reply(w http.ResponseWriter, status int, kind, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"errorType":%q,"errorMessage":%q}`, kind, text)
}

// quiet drops what net/http would log about broken connections: below the
// edges nothing logs, and a process that breaks one fails its call.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
