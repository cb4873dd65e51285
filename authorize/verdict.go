package authorize

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/functions"
	"github.com/slipway-iot/slipway/policy"
	"github.com/slipway-iot/slipway/wire/strict"
)

// A Verdict is what an authorizer's function said.
type Verdict struct {
	Authorizer    string
	Authenticated bool
	Principal     string

	// Disconnect and Refresh are how long the connection may live and how long
	// its policies hold; a day where the function did not say.
	Disconnect, Refresh time.Duration

	Documents []string       // as JSON
	Policies  []policy.Named // the same, compiled

	// Caching is the authorizer's enableCachingForHttp: requests on one HTTP
	// connection need not ask again before Refresh.
	Caching bool
}

// maxDocuments bounds the policies of an answer; maxDocument, their characters.
const (
	maxDocuments = 10
	maxDocument  = 2048
)

var principalForm = regexp.MustCompile(`^[A-Za-z0-9]{1,128}$`)

// read checks what the function of the named authorizer answered.
//
// The answer is foreign bytes that grant something, so it is read strictly: a
// member that stands twice, or in another case, grants nothing. When the
// function does not authenticate, the rest of its answer does not count.
func read(name string, out []byte) (*Verdict, error) {
	root, err := strict.Parse(out)
	if err != nil {
		return nil, invalid(name, "it is not JSON that can be read (%s)", functions.Quote(err.Error()))
	}
	if root.Kind != strict.Object {
		return nil, invalid(name, "it is %s, and an object was expected", root.Kind)
	}
	v := &Verdict{Authorizer: name}
	switch yes := root.Get("isAuthenticated"); {
	case yes == nil:
		return nil, invalid(name, "isAuthenticated is missing")
	case yes.Kind != strict.Bool:
		return nil, invalid(name, "isAuthenticated is %s, and a boolean was expected", yes.Kind)
	case !yes.Bool:
		return v, nil
	}
	v.Authenticated = true
	if v.Principal, err = principalOf(name, root.Get("principalId")); err != nil {
		return nil, err
	}
	if v.Disconnect, err = span(name, root, "disconnectAfterInSeconds"); err != nil {
		return nil, err
	}
	if v.Refresh, err = span(name, root, "refreshAfterInSeconds"); err != nil {
		return nil, err
	}
	return v, v.collect(name, root.Get("policyDocuments"), out)
}

func invalid(name, format string, args ...any) error {
	return fault.New(fault.InvalidResponse, "The function of authorizer %s gave an answer that cannot be used: %s.", name, fmt.Sprintf(format, args...))
}

func principalOf(name string, p *strict.Value) (string, error) {
	if p == nil {
		return "", invalid(name, "principalId is missing")
	}
	if p.Kind != strict.String || !principalForm.MatchString(p.Text) {
		return "", invalid(name, "principalId must be 1 to 128 letters and digits, and nothing else")
	}
	return p.Text, nil
}

// The bounds of the two times that a function may answer, in seconds. The
// greater is what holds when it says nothing.
const (
	minSeconds = 300
	maxSeconds = 86_400
)

// span reads a time of the answer.
func span(name string, root *strict.Value, member string) (time.Duration, error) {
	n := root.Get(member)
	if n == nil || n.Kind == strict.Null {
		return maxSeconds * time.Second, nil
	}
	seconds, err := strconv.Atoi(n.Text)
	if n.Kind != strict.Number || err != nil || seconds < minSeconds || seconds > maxSeconds {
		return 0, invalid(name, "%s must be a whole number from %d to %d", member, minSeconds, maxSeconds)
	}
	return time.Duration(seconds) * time.Second, nil
}

// collect reads the documents. AWS's own examples write each as an object, its
// model as a string that holds one; both are taken.
func (v *Verdict) collect(name string, list *strict.Value, out []byte) error {
	if list == nil || list.Kind != strict.Array {
		return invalid(name, "policyDocuments must be a list")
	}
	if len(list.Items) > maxDocuments {
		return invalid(name, "policyDocuments holds %d documents, and at most %d are allowed", len(list.Items), maxDocuments)
	}
	raw, err := elements(out, "policyDocuments")
	if err != nil {
		return err
	}
	for i, item := range list.Items {
		text := string(raw[i])
		switch item.Kind {
		case strict.String:
			text = item.Text
		case strict.Object:
		default:
			return invalid(name, "policyDocuments[%d] is %s, and a policy document was expected", i, item.Kind)
		}
		if err := v.add(name, i, text); err != nil {
			return err
		}
	}
	return nil
}

// elements gives the elements of a list as they stand in an object. The object
// was read strictly before, so each name stands in it once.
func elements(object []byte, member string) (list []json.RawMessage, err error) {
	var members map[string]json.RawMessage // a map keeps the case of names
	if err := json.Unmarshal(object, &members); err != nil {
		return nil, err
	}
	return list, json.Unmarshal(members[member], &list)
}

// add compiles one document.
func (v *Verdict) add(name string, i int, text string) error {
	text = strings.TrimSpace(text)
	if n := utf8.RuneCountInString(text); n > maxDocument {
		return invalid(name, "policyDocuments[%d] has %d characters, and at most %d are allowed", i, n, maxDocument)
	}
	doc, err := policy.Parse(text)
	if err != nil {
		_, why := fault.Show(err)
		return invalid(name, "policyDocuments[%d]: %s", i, strings.TrimSuffix(why, "."))
	}
	v.Documents = append(v.Documents, text)
	v.Policies = append(v.Policies, policy.Named{Name: fmt.Sprintf("policyDocuments[%d] of authorizer %s", i, name), Compiled: doc.Compile()})
	return nil
}
