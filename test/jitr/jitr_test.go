// Package jitr proves just-in-time registration from end to end: the real
// `slipway serve`, a CA of our own, a topic rule, and an unmodified AWS Lambda
// function that decides (lambda), which the server gives credentials
// of its own.
package jitr

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/client"
	"github.com/slipway-iot/slipway/internal/certtest"
)

const statement = `SELECT * FROM '$aws/events/certificates/registered/+' WHERE certificateStatus = 'PENDING_ACTIVATION'`

// factory registers a CA without a template, the function with the factory's
// table, and the rule that calls it. It gives the certificates of a pump that
// the table has and of one that it has not.
func factory(t *testing.T, n *node) (known, unknown certtest.Cert) {
	t.Helper()
	ca := certtest.CA(t, "Pump works")
	known, unknown = ca.Sign(t, "pump-1"), ca.Sign(t, "pump-2")
	program := n.function(t, "pump-1,"+known.SerialNumber.Text(16)+"\n")
	n.slipway(t, "function", "add", "register-pumps", "--program", program)
	c := n.iot(t)
	must(c.RegisterCACertificate(t.Context(), &iot.RegisterCACertificateInput{
		CaCertificate: &ca.PEM, CertificateMode: types.CertificateModeSniOnly, SetAsActive: true, AllowAutoRegistration: true,
	}))(t)
	must(c.CreateTopicRule(t.Context(), &iot.CreateTopicRuleInput{
		RuleName: aws.String("arrivals"),
		TopicRulePayload: &types.TopicRulePayload{
			Sql: aws.String(statement), AwsIotSqlVersion: aws.String("2016-03-23"),
			Actions: []types.Action{{Lambda: &types.LambdaAction{FunctionArn: aws.String("arn:aws:lambda:us-east-1:000000000000:function:register-pumps")}}},
		},
	}))(t)
	return known, unknown
}

func TestAFunctionDecidesWhoMayCome(t *testing.T) {
	n := newNode(t)
	n.start(t)
	known, unknown := factory(t, n)

	if _, err := n.dial(t, unknown); err == nil {
		t.Fatal("a device that nobody knows was admitted")
	}
	n.awaitActions(t)
	if got := n.status(t, unknown); got != types.CertificateStatusPendingActivation {
		t.Errorf("the certificate of a device that is not in the table is %s", got)
	}
	if _, err := n.dial(t, known); err == nil {
		t.Fatal("the first connection was admitted")
	}
	n.insist(t, known)

	c := n.iot(t)
	held := must(c.ListThingPrincipals(t.Context(), &iot.ListThingPrincipalsInput{ThingName: aws.String("pump-1")}))(t)
	if len(held.Principals) != 1 || !strings.HasSuffix(held.Principals[0], string(arn.IDOf(known.Raw))) {
		t.Errorf("the thing has principals %v", held.Principals)
	}
	if _, err := n.dial(t, unknown); err == nil || n.status(t, unknown) != types.CertificateStatusPendingActivation {
		t.Errorf("the device that is not in the table: %v, %s", err, n.status(t, unknown))
	}
	if _, err := c.DescribeThing(t.Context(), &iot.DescribeThingInput{ThingName: aws.String("pump-2")}); !notFound(err) {
		t.Errorf("the device that is not in the table has a thing: %v", err)
	}

	t.Run("the audit trail names the function", func(t *testing.T) {
		trail := n.slipway(t, "audit", "list", "--who", "function/register-pumps", "--json")
		for _, action := range []string{"iot:CreatePolicy", "iot:AttachPolicy", "iot:CreateThing", "iot:AttachThingPrincipal", "iot:UpdateCertificate"} {
			if !strings.Contains(trail, `"`+action+`"`) {
				t.Errorf("no %s of the function in %s", action, trail)
			}
		}
	})
	t.Run("the trace tells the story", func(t *testing.T) {
		story := n.slipway(t, "trace", string(arn.IDOf(known.Raw)))
		for _, want := range []string{"jitr door", "PENDING_ACTIVATION", "$aws/events/certificates/registered/"} {
			if !strings.Contains(story, want) {
				t.Errorf("no %q in\n%s", want, story)
			}
		}
	})
}

// The device came, its arrival was announced, and the server died. What the
// rule made of it is on disk: the next run calls the function, though the
// device never comes again by itself.
func TestTheServerIsKilledBeforeTheFunctionDecides(t *testing.T) {
	n := newNode(t)
	n.start(t)
	known, _ := factory(t, n)
	n.kill(t)

	n.start(t, "SLIPWAY_CRASH_AT=arrive.announced")
	if _, err := n.dial(t, known); err == nil {
		t.Fatal("the first connection was admitted")
	}
	n.awaitEnd(t)

	n.start(t)
	for n.status(t, known) != types.CertificateStatusActive {
		n.patience(t)
	}
	d, err := n.dial(t, known)
	if err != nil {
		t.Fatalf("the certificate is ACTIVE, and its device is refused: %v", err)
	}
	d.Close()
}

func notFound(err error) bool {
	var none *types.ResourceNotFoundException
	return errors.As(err, &none)
}

// dial connects as firmware does, with the common name as client id.
func (n *node) dial(t *testing.T, c certtest.Cert) (*client.Device, error) {
	t.Helper()
	return client.Dial(t.Context(), client.Options{
		Address: n.mqtt, ServerName: n.host, Roots: n.roots(t), Cert: c.TLS(), ClientID: c.Subject.CommonName,
	})
}

// insist connects until the device is admitted.
func (n *node) insist(t *testing.T, c certtest.Cert) {
	t.Helper()
	for {
		d, err := n.dial(t, c)
		if err == nil {
			defer d.Close()
			if err := d.Publish("pumps/pump-1/hello", []byte("hello")); err != nil {
				t.Errorf("the device may not publish: %v", err)
			}
			return
		}
		n.patience(t)
	}
}

func (n *node) status(t *testing.T, c certtest.Cert) types.CertificateStatus {
	t.Helper()
	got := must(n.iot(t).DescribeCertificate(t.Context(), &iot.DescribeCertificateInput{CertificateId: aws.String(string(arn.IDOf(c.Raw)))}))(t)
	return got.CertificateDescription.Status
}

// awaitActions waits until a rule's action was done.
func (n *node) awaitActions(t *testing.T) {
	t.Helper()
	done := regexp.MustCompile(`(?m)^slipway_rule_actions_total\{[^}]*"done"[^}]*\} [1-9]`)
	for !done.MatchString(n.metrics(t)) {
		n.patience(t)
	}
}

func (n *node) metrics(t *testing.T) string {
	t.Helper()
	req := must(http.NewRequestWithContext(t.Context(), http.MethodGet, n.env["AWS_ENDPOINT_URL_IOT"]+"/metrics", nil))(t)
	resp := must(http.DefaultClient.Do(req))(t)
	defer resp.Body.Close()
	return string(must(io.ReadAll(resp.Body))(t))
}

// patience lets a moment pass, as firmware does between two tries, and ends a
// test that waits for ever.
func (n *node) patience(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithDeadline(t.Context(), n.deadline)
	defer cancel()
	select {
	case <-time.After(100 * time.Millisecond):
	case <-ctx.Done():
		log, _ := os.ReadFile(n.log)
		t.Fatalf("it did not happen; the server's log:\n%s\n%s", log, n.slipway(t, "trace"))
	}
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func decode(t *testing.T, text []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}
