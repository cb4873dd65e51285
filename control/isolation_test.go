package control

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/control/internal/model"
)

// Nothing crosses tenants: every operation is called by another account, and by
// the same account in another region, with the names, ids and ARNs of one that
// has a resource of every kind. The strangers are told nothing of it that they
// did not say themselves, and leave everything of it as it was. Then the owner
// makes the same call, which shows that its input is one that would do
// something. The inputs stand in isolation_table_test.go.
func TestEveryOperationStaysInItsTenant(t *testing.T) {
	mail := &mailbox{}
	s := open(t, func(c *Config) { c.Dev = true; c.Deliver = mail.deliver })
	operations := s.operations()
	for name := range samples {
		if operations[name] == nil {
			t.Errorf("%s has a row in isolation_table_test.go and no handler", name)
		}
	}
	reader := newOwner(t, s, mail, 0)
	for i, name := range slices.Sorted(maps.Keys(operations)) {
		input, known := samples[name]
		if !known {
			t.Errorf("%s has no row: add one to samples in isolation_table_test.go", name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			o := reader
			if !reads(name) {
				o = newOwner(t, s, mail, i+1)
			}
			before := o.everything(t)
			for _, stranger := range []arn.Tenant{
				{Account: fmt.Sprintf("2%011d", i), Region: o.tenant.Region},
				{Account: o.tenant.Account, Region: fmt.Sprintf("xx-test-%d", i)},
			} {
				got := s.as(t, stranger, name, o.fill(input))
				o.sawNothing(t, stranger, o.fill(input), got)
			}
			if !reads(name) {
				o.unchanged(t, before)
			}
			o.mustFind(t, s.as(t, o.tenant, name, o.fill(input)))
		})
	}
}

// An owner is a tenant with a resource of every kind.
type owner struct {
	s      *site
	tenant arn.Tenant
	names  map[string]string // by what stands after $ in the table
}

// marker stands in whatever of an owner's resources is no name.
const marker = "only-the-owner-knows"

func newOwner(t *testing.T, s *site, mail *mailbox, n int) *owner {
	t.Helper()
	o := &owner{s: s, tenant: arn.Tenant{Account: fmt.Sprintf("1%011d", n), Region: arn.Default.Region}}
	factory := newFactoryCA(t)
	o.names = map[string]string{
		"marker": marker, "account": o.tenant.Account, "csr": newCSR(t), "spareCSR": newCSR(t), "otherCSR": newCSR(t),
		"caPEM": pemOf(factory.cert.Raw), "otherCA": pemOf(newFactoryCA(t).cert.Raw), "devicePEM": factory.sign(), "strayPEM": newFactoryCA(t).sign(),
	}
	for _, word := range ownNames { // as any kind of resource may be called
		o.names[word] = fmt.Sprintf("%s_of_%d_", word, n)
	}
	for _, step := range furnishing {
		got := s.as(t, o.tenant, step.operation, o.fill(step.input))
		if got.status != http.StatusOK {
			t.Fatalf("%s %s: %d %s", step.operation, o.fill(step.input), got.status, got.body)
		}
		for name, member := range step.keep {
			o.names[name] = dig(got.json(t), member)
		}
	}
	o.names["token"] = mail.token(o.tenant)
	return o
}

// dig gives a text inside an answer; the path is divided by dots.
func dig(v map[string]any, path string) string {
	head, rest, more := strings.Cut(path, ".")
	if more {
		inner, _ := v[head].(map[string]any)
		return dig(inner, rest)
	}
	text, _ := v[head].(string)
	return text
}

var placeholder = regexp.MustCompile(`\$[a-zA-Z]+`)

// fill puts the owner's names into an input of the table.
func (o *owner) fill(input string) string {
	return placeholder.ReplaceAllStringFunc(input, func(word string) string {
		value, known := o.names[word[1:]]
		if !known {
			o.s.t.Fatalf("the table says %s, which nothing in furnishing keeps", word)
		}
		return quote(value)
	})
}

// reads says whether an operation only looks. GetRegistrationCode makes a code
// where there is none.
func reads(name string) bool {
	return strings.HasPrefix(name, "Describe") || strings.HasPrefix(name, "Get") || strings.HasPrefix(name, "List")
}

// everything is all that the owner can read, by operation.
func (o *owner) everything(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for name, input := range samples {
		if reads(name) {
			got := o.s.as(t, o.tenant, name, o.fill(input))
			all[name] = fmt.Sprint(got.status, " ", got.body)
		}
	}
	return all
}

func (o *owner) unchanged(t *testing.T, before map[string]string) {
	t.Helper()
	for name, now := range o.everything(t) {
		if now != before[name] {
			t.Errorf("to its owner, %s answered\n%s\nand answers after the strangers' calls\n%s", name, before[name], now)
		}
	}
}

// sawNothing holds an answer to what the stranger said themselves.
func (o *owner) sawNothing(t *testing.T, stranger arn.Tenant, said string, got answer) {
	t.Helper()
	if got.status >= 500 {
		t.Errorf("%s was answered %d %s", stranger, got.status, got.body)
	}
	for word, value := range o.names {
		known := word == "account" || value == "" || strings.Contains(said, quote(value))
		if pem := o.names[word+"PEM"]; pem != "" && strings.Contains(said, quote(pem)) {
			known = true // the id of a certificate is its hash
		}
		if !known && strings.Contains(got.body, quote(value)) {
			t.Errorf("%s was told $%s, %.80s, in %s", stranger, word, value, got.body)
		}
	}
}

// quote is a text as JSON has it, without the quotation marks.
func quote(text string) string {
	quoted, _ := json.Marshal(text) // a text: it cannot fail
	return string(quoted[1 : len(quoted)-1])
}

// mustFind says whether the owner's call met the resources that it names.
func (o *owner) mustFind(t *testing.T, got answer) {
	t.Helper()
	switch exception := got.header.Get("x-amzn-ErrorType"); {
	case got.status < 300, exception == "DeleteConflictException", exception == "CertificateStateException":
	case exception == "InvalidRequestException" && !strings.Contains(got.body, "failed to satisfy"):
	case strings.HasSuffix(exception, "AlreadyExistsException"):
	default:
		t.Errorf("the owner's own call is answered %d %s %s: the row proves nothing", got.status, exception, got.body)
	}
}

// as makes one call of an operation under --dev, where a key of twelve digits
// is an admin of that account.
func (s *site) as(t *testing.T, who arn.Tenant, operation, input string) answer {
	t.Helper()
	r := s.request(t, operation, input)
	day := time.Now().UTC()
	r.Header.Set("X-Amz-Date", day.Format("20060102T150405Z"))
	r.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s/%s/iot/aws4_request, SignedHeaders=host;x-amz-date, Signature=%064d",
		who.Account, day.Format("20060102"), who.Region, 0))
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	res := w.Result()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(body)}
}

// request puts members, given as one JSON object, where the model has them.
func (s *site) request(t *testing.T, operation, input string) *http.Request {
	t.Helper()
	i := slices.IndexFunc(model.Operations, func(o model.Operation) bool { return o.Name == operation })
	var in map[string]any
	if err := json.Unmarshal([]byte(input), &in); err != nil || i < 0 {
		t.Fatalf("%s %s: %v", operation, input, err)
	}
	o := &model.Operations[i]
	path, query, header, body := o.Path, url.Values{}, http.Header{}, map[string]any{}
	var whole any
	for _, m := range model.Shapes[o.Input].Members {
		v, given := in[m.Name]
		if !given {
			continue
		}
		delete(in, m.Name)
		switch m.In {
		case model.Path:
			value := url.PathEscape(fmt.Sprint(v))
			path = strings.NewReplacer("{"+m.Wire+"}", value, "{"+m.Wire+"+}", value).Replace(path)
		case model.Query:
			query.Set(m.Wire, fmt.Sprint(v))
		case model.Header:
			header.Set(m.Wire, fmt.Sprint(v))
		case model.Whole:
			whole = v
		default:
			body[m.Wire] = v
		}
	}
	if len(in) > 0 {
		t.Fatalf("%s has no members %v", operation, slices.Collect(maps.Keys(in)))
	}
	if whole == nil {
		whole = body
	}
	text, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(o.Method, "http://localhost"+path+"?"+query.Encode(), bytes.NewReader(text))
	r.Header = header
	return r
}

// A mailbox is where confirmation messages of destinations arrive.
type mailbox struct {
	last map[arn.Tenant][]byte
}

func (p *mailbox) deliver(_ context.Context, t arn.Tenant, _ string, message []byte) error {
	if p.last == nil {
		p.last = map[arn.Tenant][]byte{}
	}
	p.last[t] = message
	return nil
}

func (p *mailbox) token(t arn.Tenant) string {
	var in struct {
		Token string `json:"confirmationToken"`
	}
	_ = json.Unmarshal(p.last[t], &in)
	return in.Token
}
