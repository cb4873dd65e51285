package functions

import (
	"encoding/json"
	"errors"
)

// Thrown is the failure of a function that reported an error of its own. Body
// is the report in Lambda's form, {"errorMessage", "errorType", "stackTrace"};
// one in another form still is a failure.
//
// Go's Lambda library adds a stack trace, whose frames are objects, only when
// the handler panicked. Other runtimes give frames as text for any error.
func Thrown(name string, body []byte) *Failure {
	var report struct {
		ErrorMessage string            `json:"errorMessage"`
		ErrorType    string            `json:"errorType"`
		StackTrace   []json.RawMessage `json:"stackTrace"`
	}
	if err := json.Unmarshal(body, &report); err != nil || report.ErrorMessage+report.ErrorType == "" {
		return Fail(Threw, name, errors.New(Quote(string(body))), "failed without saying why.")
	}
	verb, what := "failed", Quote(report.ErrorMessage)
	if len(report.StackTrace) > 0 && len(report.StackTrace[0]) > 0 && report.StackTrace[0][0] == '{' {
		verb = "panicked"
	} else if what == "" {
		what = Quote(report.ErrorType)
	}
	return Fail(Threw, name, errors.New(Quote(report.ErrorType)), "%s: %s (reported by the function).", verb, what)
}
