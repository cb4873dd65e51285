// Package fault says what kinds of failure Slipway knows and how each looks
// from outside.
//
// A package below the edges chooses a Kind and writes one sentence that a
// stranger may read. Only the edges know about HTTP and MQTT, and they read it
// here: one table gives each kind its REST face (status and exception name of
// the control plane), its MQTT face (statusCode and errorCode of the
// provisioning API) and the level of the one log event.
package fault

import (
	"errors"
	"fmt"
	"log/slog"
)

// A Kind is a class of failure. The zero value is Internal: what nobody
// classified is our own failure.
type Kind uint8

const (
	Internal           Kind = iota
	InvalidRequest          // a member is missing, malformed or out of bounds
	InvalidPayload          // the bytes are not the JSON or CBOR that was announced
	InvalidParameters       // a template cannot be evaluated with these parameters
	InvalidCSR              // the signing request cannot be signed
	BadToken                // the certificate ownership token does not buy anything
	Refused                 // the function, the template's state or the claim's record says no
	Missing                 // the named resource does not exist
	MissingPart             // a template names a resource that does not exist
	Exists                  // the name is taken, with other content
	Conflict                // an override setting says FAIL, or another writer won
	Throttled               // a rate limit was hit
	LimitExceeded           // a limit of size or count was hit
	TooLarge                // a message is larger than any may be
	VersionsLimit           // five versions exist already
	VersionConflict         // expectedVersion is not the version stored
	DeleteConflict          // something still refers to the resource
	NotConfigured           // a setting that the call needs was never made
	CertificateState        // the certificate's status does not allow it
	CertificateInvalid      // the certificate cannot be registered
	AmbiguousCA             // several registered CAs may have signed the certificate
	RegistrationCode        // the verification certificate does not carry the account's code
	MalformedPolicy         // the policy document is not valid
	MalformedSQL            // the SQL of a topic rule is not valid
	InvalidResponse         // a custom authorizer's function failed, or answered what cannot be used
	Unauthenticated         // no credentials
	UnknownKey              // no such access key
	ExpiredToken            // the time of a short-lived credential is over
	BadSignature            // the signature does not match, or is too old
	AccessDenied            // the caller's role does not include the action
	Unauthorized            // what AWS says of a rule or destination that is not there
	UnknownOperation        // no such path
	NotImplemented          // AWS has the operation, Slipway has it not yet
	Unavailable             // try again later
	Unconfirmed             // a device did not acknowledge in time what it was sent
	numKinds
)

// A Face is how a Kind looks from outside.
type Face struct {
	REST, MQTT int        // status on each edge
	Exception  string     // REST: x-amzn-ErrorType
	Code       string     // MQTT: errorCode
	Level      slog.Level // of the one log event
}

var faces = [numKinds]Face{
	Internal:           {500, 500, "InternalFailureException", "InternalFailure", slog.LevelError},
	InvalidRequest:     {400, 400, "InvalidRequestException", "InvalidParameters", slog.LevelInfo},
	InvalidPayload:     {400, 400, "SerializationException", "InvalidPayload", slog.LevelInfo},
	InvalidParameters:  {400, 400, "InvalidRequestException", "InvalidParameters", slog.LevelInfo},
	InvalidCSR:         {400, 400, "InvalidRequestException", "InvalidCSR", slog.LevelInfo},
	BadToken:           {400, 400, "InvalidRequestException", "InvalidCertificateOwnershipToken", slog.LevelInfo},
	Refused:            {403, 403, "AccessDeniedException", "AccessDenied", slog.LevelWarn},
	Missing:            {404, 404, "ResourceNotFoundException", "ResourceNotFound", slog.LevelInfo},
	MissingPart:        {400, 400, "ResourceRegistrationFailureException", "ResourceRegistrationFailure", slog.LevelWarn},
	Exists:             {409, 409, "ResourceAlreadyExistsException", "ResourceConflict", slog.LevelInfo},
	Conflict:           {409, 409, "ConflictingResourceUpdateException", "ResourceConflict", slog.LevelInfo},
	Throttled:          {400, 429, "ThrottlingException", "TooManyRequests", slog.LevelInfo},
	LimitExceeded:      {410, 400, "LimitExceededException", "LimitExceeded", slog.LevelInfo},
	TooLarge:           {413, 400, "RequestEntityTooLargeException", "LimitExceeded", slog.LevelInfo},
	VersionsLimit:      {409, 409, "VersionsLimitExceededException", "ResourceConflict", slog.LevelInfo},
	VersionConflict:    {409, 409, "VersionConflictException", "ResourceConflict", slog.LevelInfo},
	DeleteConflict:     {409, 409, "DeleteConflictException", "ResourceConflict", slog.LevelInfo},
	NotConfigured:      {404, 400, "NotConfiguredException", "NotConfigured", slog.LevelInfo},
	CertificateState:   {406, 400, "CertificateStateException", "InvalidCertificateState", slog.LevelInfo},
	CertificateInvalid: {400, 400, "CertificateValidationException", "InvalidCertificate", slog.LevelInfo},
	AmbiguousCA:        {409, 409, "CertificateConflictException", "ResourceConflict", slog.LevelInfo},
	RegistrationCode:   {400, 400, "RegistrationCodeValidationException", "InvalidCertificate", slog.LevelInfo},
	MalformedSQL:       {400, 400, "SqlParseException", "SqlParse", slog.LevelInfo},
	InvalidResponse:    {400, 400, "InvalidResponseException", "InvalidResponse", slog.LevelWarn},
	MalformedPolicy:    {400, 400, "MalformedPolicyException", "MalformedPolicy", slog.LevelInfo},
	Unauthenticated:    {403, 403, "MissingAuthenticationTokenException", "Forbidden", slog.LevelWarn},
	UnknownKey:         {403, 403, "UnrecognizedClientException", "Forbidden", slog.LevelWarn},
	ExpiredToken:       {403, 403, "ExpiredTokenException", "Forbidden", slog.LevelInfo},
	BadSignature:       {403, 403, "InvalidSignatureException", "Forbidden", slog.LevelWarn},
	AccessDenied:       {403, 403, "AccessDeniedException", "AccessDenied", slog.LevelWarn},
	Unauthorized:       {401, 403, "UnauthorizedException", "Forbidden", slog.LevelInfo},
	UnknownOperation:   {404, 404, "UnknownOperationException", "ResourceNotFound", slog.LevelInfo},
	NotImplemented:     {501, 500, "NotImplementedException", "NotImplemented", slog.LevelInfo},
	Unavailable:        {503, 500, "ServiceUnavailableException", "ServiceUnavailable", slog.LevelError},
	Unconfirmed:        {504, 500, "GatewayTimeoutException", "GatewayTimeout", slog.LevelInfo},
}

// Face gives how k looks from outside; an unknown kind looks Internal.
func (k Kind) Face() Face {
	if k >= numKinds {
		k = Internal
	}
	return faces[k]
}

// String is the REST exception name without its suffix, for logs and tests.
func (k Kind) String() string { return k.Face().Code }

// Error is a failure with a kind, a public sentence and a private cause.
type Error struct {
	Kind Kind
	Text string // for the caller: no SQL, no paths, no key material
	Err  error  // for the log: the cause, if there is one

	// ResourceID and ResourceARN name what exists already (kind Exists only).
	ResourceID, ResourceARN string
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Text + ": " + e.Err.Error()
	}
	return e.Text
}

func (e *Error) Unwrap() error { return e.Err }

// New makes an error of kind k whose public sentence is the formatted text.
func New(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Text: fmt.Sprintf(format, args...)}
}

// Wrap is New with a private cause.
func Wrap(k Kind, err error, format string, args ...any) *Error {
	return &Error{Kind: k, Text: fmt.Sprintf(format, args...), Err: err}
}

// Of gives the kind of err: that of the outermost *Error in its chain, else
// Internal.
func Of(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// Is says whether err is of kind k. A nil error is of no kind.
func Is(err error, k Kind) bool { return err != nil && Of(err) == k }

// Show gives the face of err and the sentence for the caller. What nobody
// classified shows a fixed sentence, so that no cause leaks.
func Show(err error) (Face, string) {
	var e *Error
	if errors.As(err, &e) && e.Text != "" {
		return e.Kind.Face(), e.Text
	}
	return Internal.Face(), "The server failed and has logged the cause; try again."
}
