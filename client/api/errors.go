package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Exit codes of a program that fails with one of this package's errors.
const (
	ExitRefused     = 3
	ExitUnreachable = 4
)

// An Error is a server's no.
type Error struct {
	Status    int
	Type      string // such as ResourceNotFoundException; perhaps empty
	Message   string
	RequestID string
}

// Error is the server's sentence.
func (e *Error) Error() string {
	if e.Message != "" {
		return e.Message
	}
	return fmt.Sprintf("the server answered %d %s without a message", e.Status, http.StatusText(e.Status))
}

// Class is what a script may compare: the type, or else the status.
func (e *Error) Class() string {
	if e.Type != "" {
		return e.Type
	}
	return fmt.Sprintf("HTTP %d", e.Status)
}

// ExitCode is that of a program that ends with this error.
func (e *Error) ExitCode() int { return ExitRefused }

// NoSuchOperation says that the server does not know the path, or knows it and
// has not implemented it. A front end of AWS answers a path that it does not
// know as if the signature were missing. An emulator may fall over it: its 500
// is no error of AWS's, which has a type.
func (e *Error) NoSuchOperation() bool {
	switch e.Type {
	case "UnknownOperationException", "NotImplementedException", "MissingAuthenticationTokenException":
		return true
	case "":
		return e.Status == http.StatusNotFound || e.Status == http.StatusMethodNotAllowed || e.Status == http.StatusInternalServerError || e.Status == http.StatusNotImplemented
	}
	return e.Status == http.StatusNotImplemented
}

// IsType says whether err is a server's no of this type.
func IsType(err error, name string) bool {
	var e *Error
	return errors.As(err, &e) && e.Type == name
}

// Missing is the type of what does not exist.
const Missing = "ResourceNotFoundException"

// refusal reads AWS's error envelope (rest-api.md, section 3.1). What stands
// before the API, a proxy perhaps, may answer anything.
func refusal(r *http.Response, body []byte) *Error {
	e := &Error{Status: r.StatusCode, RequestID: r.Header.Get("X-Amzn-RequestId")}
	var in struct {
		Message string `json:"message"` // encoding/json takes Message too
		Type    string `json:"__type"`
	}
	_ = json.Unmarshal(body, &in)
	e.Message, e.Type = in.Message, r.Header.Get("X-Amzn-ErrorType")
	if e.Type == "" {
		e.Type = in.Type
	}
	e.Type, _, _ = strings.Cut(e.Type, ":") // AWS may add the URI of a namespace
	if i := strings.LastIndexByte(e.Type, '#'); i >= 0 {
		e.Type = e.Type[i+1:]
	}
	if strings.ContainsFunc(e.Type, func(r rune) bool { return r > 'z' || !unreserved(byte(r)) }) {
		e.Type = "" // nothing that a script could compare
	}
	return e
}

// Unreachable says that the server gave no answer.
type Unreachable struct {
	Endpoint string
	Err      error
}

func (e *Unreachable) Error() string {
	return fmt.Sprintf("could not reach %s: %v", e.Endpoint, e.Err)
}

func (e *Unreachable) Unwrap() error { return e.Err }

// ExitCode is that of a program that ends with this error.
func (e *Unreachable) ExitCode() int { return ExitUnreachable }

// unreachable keeps the caller's own interruption apart from the network's
// failures, and drops the URL, which carries the query.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var inner *url.Error
	if errors.As(err, &inner) {
		err = inner.Err
	}
	return &Unreachable{c.Endpoint, err}
}

func unreserved(ch byte) bool {
	return ch >= 'a' && ch <= 'z' || ch >= 'A' && ch <= 'Z' || ch >= '0' && ch <= '9' || strings.IndexByte("-._~", ch) >= 0
}
