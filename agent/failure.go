package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"github.com/slipway-iot/slipway/agent/mqttlink"
	"github.com/slipway-iot/slipway/mqtt"
	"github.com/slipway-iot/slipway/wire"
)

// A Class is a kind of failure that a person or a script tells apart. The
// first five are those of the field notes.
type Class string

const (
	ClaimExpired       Class = "claim certificate expired"
	TemplateNotFound   Class = "template not found"
	ClaimNotAuthorised Class = "claim not authorised"
	NetworkTimeout     Class = "network timeout"
	DuplicateSerial    Class = "duplicate serial"

	Refused            Class = "refused"                    // the function, or the template's state, said no
	BadRequest         Class = "request not accepted"       // the parameters or the CSR do not do
	TokenNotAccepted   Class = "ownership token refused"    // twice in a row
	IdentityRefused    Class = "new identity refused"       // registered, but may not connect
	ClosedSilently     Class = "closed without a word"      // no protocol says why
	ServerFailed       Class = "server failed or throttled" // 429 and 500 until patience ended
	AnswerNotUsable    Class = "answer not usable"          // the server's answer makes no sense
	ServerNotTrusted   Class = "server not trusted"         // its certificate does not prove its name
	ServerNotReachable Class = "server not reachable"       // nobody listens there
	ClockWrong         Class = "clock wrong"
	DeviceFailed       Class = "device failed" // disk, keys
	Interrupted        Class = "interrupted"
	Usage              Class = "usage"
)

// Exit codes of the command line (DESIGN.md, section 6).
const (
	ExitFailed      = 1
	ExitUsage       = 2
	ExitRefused     = 3
	ExitUnreachable = 4
)

// A Failure is how a run ended without an identity.
type Failure struct {
	Class Class
	Exit  int
	Text  string // what happened and what to do, for a person
	Said  string // what the server said, word for word; empty if it said nothing
	Err   error

	retry   bool // the same request may succeed later
	silent  bool // nothing came back: wait for the network, not for the server
	restart bool // the token buys nothing any more: ask for a new certificate
}

func (f *Failure) Error() string {
	if f.Said != "" {
		return fmt.Sprintf("%s: %s (the server: %s)", f.Class, f.Text, f.Said)
	}
	return fmt.Sprintf("%s: %s", f.Class, f.Text)
}

func (f *Failure) Unwrap() error { return f.Err }

func usage(format string, args ...any) *Failure {
	return &Failure{Class: Usage, Exit: ExitUsage, Text: fmt.Sprintf(format, args...)}
}

func broken(err error, format string, args ...any) *Failure {
	return &Failure{Class: DeviceFailed, Exit: ExitFailed, Err: err, Text: fmt.Sprintf(format, args...)}
}

func unusable(format string, args ...any) *Failure {
	return &Failure{Class: AnswerNotUsable, Exit: ExitFailed, Text: fmt.Sprintf(format, args...)}
}

// A rejected is a refusal that came as an answer of the provisioning API.
type rejected struct {
	op wire.Operation
	wire.Rejection
}

func (r *rejected) Error() string {
	return fmt.Sprintf("%d %s: %s", r.StatusCode, r.ErrorCode, r.ErrorMessage)
}

// judge gives every error of a stage its class. asThing says that the new
// identity was used, not the claim.
func (a *Agent) judge(ctx context.Context, err error, asThing bool) *Failure {
	var f *Failure
	var r *rejected
	var link *mqttlink.Error
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &r):
		return a.judgeRejection(r)
	case ctx.Err() != nil:
		return interrupted(ctx)
	case errors.As(err, &link):
		return a.judgeLink(link, asThing)
	}
	return broken(err, "%v.", err)
}

func interrupted(ctx context.Context) *Failure {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &Failure{Class: NetworkTimeout, Exit: ExitUnreachable, Err: ctx.Err(),
			Text: "The time for the whole run is over. Run again: what was reached is kept."}
	}
	return &Failure{Class: Interrupted, Exit: ExitFailed, Err: ctx.Err(),
		Text: "The run was interrupted. Run again: what was reached is kept."}
}

// judgeRejection applies provisioning-mqtt-api.md, section 5.3.
func (a *Agent) judgeRejection(r *rejected) *Failure {
	f := &Failure{Class: BadRequest, Exit: ExitRefused, Said: r.Error(), Err: r}
	switch {
	case r.StatusCode == 404:
		f.Class = TemplateNotFound
		f.Text = fmt.Sprintf("The server does not know template %q in this account and region. Check --template and --endpoint.", a.Config.Template)
	case r.StatusCode == 409:
		f.Class = DuplicateSerial
		f.Text = "A thing of this name exists already and may not be taken over: the serial number is in use. Check --param, or ask for the old device to be retired."
	case r.StatusCode == 403:
		f.Class, f.Text = forbidden(r.ErrorMessage)
	case r.StatusCode == 429, r.StatusCode >= 500:
		f.Class, f.retry = ServerFailed, true
		f.Text = "The server is overloaded or has failed. Run again later: what was reached is kept."
	case r.ErrorCode == "InvalidCertificateOwnershipToken":
		f.Class, f.restart = TokenNotAccepted, true
		f.Text = "The server does not take the ownership token that it gave out."
	case strings.HasPrefix(r.ErrorMessage, unresolved):
		name := strings.TrimPrefix(r.ErrorMessage, unresolved)
		f.Text = fmt.Sprintf("The template needs a value for %s: give it with --param %s=VALUE. Names of parameters are case sensitive.", name, name)
	default:
		f.Text = fmt.Sprintf("The server does not accept this %s. Change what it names; the same request will be refused again.", r.op)
	}
	return f
}

// unresolved begins what AWS IoT Core and Slipway say of a parameter that is
// missing.
const unresolved = "Cannot resolve reference value: "

// forbidden tells apart what all comes as 403.
func forbidden(message string) (Class, string) {
	message = strings.ToLower(message)
	switch {
	case strings.Contains(message, "claim") && strings.Contains(message, "expired"):
		return expiredText()
	case strings.Contains(message, "claim"):
		return ClaimNotAuthorised, fmt.Sprintf("This claim may not be used for this. %s", claimAdvice)
	}
	return Refused, "The server decided against this device: its pre-provisioning function refused, or the template is not open."
}

const claimAdvice = "Use the claim that was made for this template, and check that its certificate is ACTIVE and its policy allows the provisioning topics."

func expiredText() (Class, string) {
	return ClaimExpired, "The claim certificate has expired. Install a new claim on this device."
}

// judgeLink explains what happened to a connection.
func (a *Agent) judgeLink(e *mqttlink.Error, asThing bool) *Failure {
	f := &Failure{Exit: ExitRefused, Err: e, Said: e.Reason}
	switch e.Cause {
	case mqttlink.TimedOut:
		f.Class, f.Exit, f.retry, f.silent = NetworkTimeout, ExitUnreachable, true, true
		f.Text = fmt.Sprintf("%s: %s.", a.Config.Endpoint, e)
	case mqttlink.Unreachable:
		f.Class, f.Exit, f.retry = ServerNotReachable, ExitUnreachable, true
		f.Text = fmt.Sprintf("%s cannot be reached: %s. %s", a.Config.Endpoint, e, whereto(e))
	case mqttlink.Untrusted:
		f.Class, f.Exit = ServerNotTrusted, ExitFailed
		f.Text = fmt.Sprintf("%s does not prove that it is the server: %s. Check --root-ca, --endpoint and this device's clock, which says %s.", a.Config.Endpoint, e, a.date())
	case mqttlink.Closed:
		f.Class, f.retry, f.Text = ClosedSilently, true, closedText(e)
	default:
		a.judgeRefusal(f, e, asThing)
	}
	return f
}

// whereto says what to check when there is no connection.
func whereto(e *mqttlink.Error) string {
	var plain tls.RecordHeaderError
	if errors.As(e, &plain) {
		return "Something answers there, but not with TLS: --endpoint has to name the server's port for MQTT, such as 8883."
	}
	return "Check --endpoint, and that the server runs."
}

// closedText says what cannot be known.
func closedText(e *mqttlink.Error) string {
	if e.Version == mqttlink.V311 {
		return fmt.Sprintf("During %s the server closed the connection without a word. On MQTT 3.1.1 that is how a policy refusal, an unknown or an expired certificate look. Run with --mqtt 5, or ask `slipway trace` on the server.", e.Op)
	}
	return fmt.Sprintf("During %s the server closed the connection without a word. Ask `slipway trace` on the server.", e.Op)
}

// judgeRefusal explains a reason code or a TLS alert.
func (a *Agent) judgeRefusal(f *Failure, e *mqttlink.Error, asThing bool) {
	f.Said = e.Error()
	switch {
	case passing(e):
		f.Class, f.retry = ServerFailed, true
		f.Text = "The server does not take connections at the moment. Run again later: what was reached is kept."
	case asThing:
		// The real service needs some seconds before a new certificate is known
		// everywhere (methods.md, section 6, step 7).
		f.Class, f.retry = IdentityRefused, true
		f.Text = "The device is registered, but the server refuses the new certificate. The template's policy has to allow iot:Connect on the thing's name as client id. Run again once it does: nothing is asked for twice."
	case strings.Contains(strings.ToLower(e.Reason), "expired"):
		f.Class, f.Text = expiredText()
	case e.Cause == mqttlink.Alert, authorization(e.Code):
		f.Class, f.Text = ClaimNotAuthorised, "The server refuses the claim. "+claimAdvice
	default:
		f.Class, f.Text = BadRequest, "The server does not accept what the agent sent; the same will be refused again."
	}
}

// authorization says whether a reason code is about who we are. A 3.1.1 server
// has but one code for a refused filter.
func authorization(code mqtt.ReasonCode) bool {
	switch code {
	case mqtt.NotAuthorized, mqtt.BadUserNameOrPassword, mqtt.Banned, mqtt.UnspecifiedError:
		return true
	}
	return false
}

// passing says whether the reason is one that goes away by itself.
func passing(e *mqttlink.Error) bool {
	if e.Cause == mqttlink.Alert {
		return e.Reason == "internal error"
	}
	switch e.Code {
	case mqtt.ServerUnavailable, mqtt.ServerBusy, mqtt.ServerShuttingDown, mqtt.SessionTakenOver,
		mqtt.QuotaExceeded, mqtt.ConnectionRateExceeded:
		return true
	}
	return false
}
