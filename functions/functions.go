// Package functions stands where AWS has Lambda.
//
// A function is a named piece of the operator's code that Slipway calls: a
// pre-provisioning hook, a rule's action, a signer of CSRs. It takes bytes and
// answers bytes within five seconds, or it fails, and a failure always refuses
// (hooks-and-events.md, section 1.4). Templates and rules name a function by a
// Lambda ARN. The ARN is stored unchecked, whatever account it names; here it
// is resolved at use, by its last part, in the tenant of the caller.
//
// Three drivers implement [Function], and all pass functiontest.Run:
//
//	process    a local program that speaks the AWS Lambda Runtime API
//	http       an HTTP endpoint of the Lambda invoke form
//	allowlist  a CSV file of serial numbers and attributes
//
// A [Set] holds the live functions of a node.
package functions

import (
	"context"
	"io/fs"
	"os"

	"github.com/slipway-iot/slipway/arn"
)

// MaxBytes bounds a payload and an answer each, as Lambda does for a
// synchronous call.
const MaxBytes = 6 << 20

// A Function is one live function. Its methods may be called concurrently.
type Function interface {
	// Invoke hands payload to the function and gives its answer. It returns
	// no later than the function's timeout, or than ctx if that ends earlier.
	// An error of the function or of the way to it is a *[Failure].
	Invoke(ctx context.Context, payload []byte) ([]byte, error)

	// Close ends the calls that are under way and gives back everything the
	// function holds: processes, connections, goroutines. Calls after Close
	// fail with the reason Closed. Close may be called more than once.
	Close() error
}

// An Opener makes a live function of a checked spec. It does not wait for the
// operator's code: a process starts, and an endpoint is dialled, at the first
// call.
type Opener func(t arn.Tenant, s Spec) (Function, error)

// SameFile says whether two looks at a path saw the same content, as far as
// identity, size and time of change can tell. The drivers that read files
// notice a replaced one by it.
func SameFile(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
