package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/smithy-go"
)

// AWS's SDK calls every operation and finds in its own types all that was
// answered. What only looks has its input from isolation_table_test.go; the
// others follow one another in sdk_table_test.go.
func TestTheSDKReadsEveryAnswer(t *testing.T) {
	mail := &mailbox{}
	s := open(t, func(c *Config) { c.Dev = true; c.Deliver = mail.deliver })
	o := newOwner(t, s, mail, 0)
	sdk := newSDK(s, o.tenant.Account)
	for _, name := range slices.Sorted(maps.Keys(samples)) {
		if reads(name) {
			t.Run(name, func(t *testing.T) { sdk.call(t, name, o.fill(samples[name])) })
		}
	}
	for _, step := range journey {
		t.Run(step.operation, func(t *testing.T) {
			body := sdk.call(t, step.operation, o.fill(step.input))
			for name, member := range step.keep {
				o.names[name] = dig(body, member)
			}
		})
	}
	for name := range s.operations() {
		if !sdk.called[name] {
			t.Errorf("The SDK did not call %s: add a step to sdk_table_test.go.", name)
		}
	}
}

func TestTheSDKKnowsExceptions(t *testing.T) {
	s := open(t, nil)
	sdk := newSDK(s, keyOf("admin"))
	unknown := strings.Repeat("0", 64)
	for _, input := range []string{
		`CreateThing {"thingName":"lamp"}`, `CreateProvisioningTemplate ` + fill(`{"templateName":"lamp","templateBody":`+aTemplate+`,"provisioningRoleArn":`+aRole+`}`),
		`CreatePolicy ` + fill(`{"policyName":"lamp","policyDocument":`+aDocument+`}`),
	} {
		name, members, _ := strings.Cut(input, " ")
		sdk.call(t, name, members)
	}
	for _, c := range []struct {
		operation, input, exception string
	}{
		{"CreateThing", `{"thingName":"lamp","attributePayload":{"attributes":{"a":"b"}}}`, "*types.ResourceAlreadyExistsException"},
		{"DescribeThing", `{"thingName":"none"}`, "*types.ResourceNotFoundException"},
		{"UpdateThing", `{"thingName":"lamp","expectedVersion":9}`, "*types.VersionConflictException"},
		{"DescribeThing", `{"thingName":"a b"}`, "*types.InvalidRequestException"},
		{"DeleteCertificate", `{"certificateId":"` + unknown + `"}`, "*types.ResourceNotFoundException"},
		{"CreatePolicy", `{"policyName":"bad","policyDocument":"{}"}`, "*types.MalformedPolicyException"},
		{"RegisterCertificateWithoutCA", `{"certificatePem":"nothing"}`, "*types.CertificateValidationException"},
		{"DeleteProvisioningTemplateVersion", `{"templateName":"lamp","versionId":1}`, "*types.DeleteConflictException"},
		{"GetTopicRule", `{"ruleName":"none"}`, "*types.UnauthorizedException"},
		{"GetV2LoggingOptions", `{}`, "*types.NotConfiguredException"},
		// Of these AWS's model says nothing, so that its SDK has no type.
		{"ListJobs", `{}`, "*smithy.GenericAPIError"},
	} {
		t.Run(c.operation+" "+c.exception, func(t *testing.T) {
			_, err := sdk.do(t, c.operation, c.input)
			var api smithy.APIError
			if !errors.As(err, &api) || fmt.Sprintf("%T", api) != c.exception || api.ErrorMessage() == "" {
				t.Errorf("got %T %v", api, err)
			}
		})
	}
}

// What is refused because of a resource that is not there, is another account's
// or is in the way, is refused with an exception that the operation has in AWS's
// model: then the SDK has a type for it.
func TestTheSDKHasATypeForEveryRefusal(t *testing.T) {
	mail := &mailbox{}
	s := open(t, func(c *Config) { c.Dev = true; c.Deliver = mail.deliver })
	o := newOwner(t, s, mail, 0)
	for i, name := range slices.Sorted(maps.Keys(samples)) {
		t.Run(name, func(t *testing.T) {
			stranger := fmt.Sprintf("3%011d", i)
			own := o.fill(samples[name])
			for _, c := range []struct{ account, input string }{
				{stranger, own}, {stranger, strings.ReplaceAll(own, o.tenant.Account, stranger)}, {o.tenant.Account, own}, {o.tenant.Account, own},
			} {
				_, err := newSDK(s, c.account).do(t, name, c.input)
				var generic *smithy.GenericAPIError
				if errors.As(err, &generic) {
					t.Errorf("%s is no exception of %s: %s", generic.Code, name, generic.Message)
				}
			}
		})
	}
}

// fill gives a row of the tables an account and a marker.
func fill(input string) string {
	return strings.NewReplacer("$account", "000000000000", "$marker", "lamp").Replace(input)
}

// An sdk is AWS's client, with the bytes of the last answer and the names of
// the operations that it has called with success.
type sdk struct {
	client *iot.Client
	body   []byte
	called map[string]bool
}

func newSDK(s *site, keyID string) *sdk {
	k := &sdk{called: map[string]bool{}}
	k.client = iot.New(s.client(keyID).Options(), func(o *iot.Options) { o.HTTPClient = k })
	return k
}

// Do keeps the body of the answer.
func (k *sdk) Do(r *http.Request) (*http.Response, error) {
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	k.body, err = io.ReadAll(res.Body)
	res.Body = io.NopCloser(bytes.NewReader(k.body))
	return res, err
}

// do makes one call with members given as one JSON object, and gives what the
// SDK made of the answer.
func (k *sdk) do(t *testing.T, operation, input string) (reflect.Value, error) {
	t.Helper()
	method := reflect.ValueOf(k.client).MethodByName(operation)
	in := reflect.New(method.Type().In(1).Elem())
	strict := json.NewDecoder(strings.NewReader(input))
	strict.DisallowUnknownFields()
	if err := strict.Decode(in.Interface()); err != nil {
		t.Fatalf("%s %s: %v", operation, input, err)
	}
	results := method.Call([]reflect.Value{reflect.ValueOf(t.Context()), in})
	err, _ := results[1].Interface().(error)
	return results[0], err
}

// call is a do that must succeed. It holds what the SDK read against what was
// sent, and gives the latter.
func (k *sdk) call(t *testing.T, operation, input string) map[string]any {
	t.Helper()
	out, err := k.do(t, operation, input)
	if err != nil {
		t.Fatalf("%s %s: %v", operation, input, err)
	}
	var body map[string]any
	if err := json.Unmarshal(k.body, &body); err != nil {
		t.Fatalf("%s answered %s: %v", operation, k.body, err)
	}
	for _, sentence := range unread("", body, out) {
		t.Errorf("%s: %s", operation, sentence)
	}
	k.called[operation] = true
	return body
}

// ours are members that AWS's answers do not have.
var ours = map[string]bool{"decidingStatements": true}

// unread says what of a sent value is not in what the SDK read.
func unread(at string, sent any, read reflect.Value) []string {
	if read.Kind() == reflect.Pointer {
		if read.IsNil() {
			return []string{at + " was not read"}
		}
		if moment, ok := read.Interface().(*time.Time); ok {
			seconds, _ := sent.(float64)
			if math.Abs(float64(moment.UnixMilli())/1000-seconds) > 0.001 {
				return []string{fmt.Sprintf("%s is %v, sent %v", at, moment, sent)}
			}
			return nil
		}
		return unread(at, sent, read.Elem())
	}
	switch sent := sent.(type) {
	case map[string]any:
		return unreadMembers(at, sent, read)
	case []any:
		return unreadItems(at, sent, read)
	}
	if fmt.Sprint(read.Interface()) != fmt.Sprint(sent) {
		return []string{fmt.Sprintf("%s is %v, sent %v", at, read.Interface(), sent)}
	}
	return nil
}

func unreadMembers(at string, sent map[string]any, read reflect.Value) (all []string) {
	for name, value := range sent {
		var member reflect.Value
		switch read.Kind() {
		case reflect.Struct:
			member = read.FieldByNameFunc(func(field string) bool { return strings.EqualFold(field, name) })
		case reflect.Map:
			member = read.MapIndex(reflect.ValueOf(name).Convert(read.Type().Key()))
		}
		if member.IsValid() {
			all = append(all, unread(at+"."+name, value, member)...)
		} else if !ours[name] {
			all = append(all, at+"."+name+" has no place in the SDK's type")
		}
	}
	return all
}

func unreadItems(at string, sent []any, read reflect.Value) (all []string) {
	if read.Kind() != reflect.Slice || read.Len() != len(sent) {
		return []string{fmt.Sprintf("%s is %v, sent %v", at, read.Interface(), sent)}
	}
	for i, value := range sent {
		all = append(all, unread(fmt.Sprintf("%s[%d]", at, i), value, read.Index(i))...)
	}
	return all
}
