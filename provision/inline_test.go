package provision_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
)

// inlineBody is a whole template for RegisterInline, with a signing request.
func inlineBody() string {
	text := strings.Replace(body(everything), `"PolicyName":"device"`, `"PolicyDocument":`+fmt.Sprintf("%q", document), 1)
	text = strings.Replace(text, `"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"}`, `"CertificateSigningRequest":{"Ref":"CSR"}`, 1)
	return strings.Replace(text, `"Parameters":{`, `"Parameters":{"CSR":{"Type":"String"},`, 1)
}

func (r *rig) registerInline(serial string) (map[string]string, error) {
	_, arns, err := r.engine.RegisterInline(context.Background(), arn.Default, inlineBody(), map[string]string{"SerialNumber": serial, "CSR": string(r.csr)})
	return arns, err
}

func TestEveryStatementOfAnInlineRegistrationMayFail(t *testing.T) {
	r := newRig(t)
	r.furnish()
	for n := 1; ; n++ {
		before := r.snapshot()
		r.db.atWrite = n
		_, err := r.registerInline("a")
		r.db.atWrite = 0
		if err == nil {
			if n < 7 {
				t.Errorf("a registration took %d writes; an intent, a certificate, a thing, its groups, a policy and two attachments are expected", n-1)
			}
			return
		}
		wantFault(t, err, fault.Internal, "The server failed and has logged the cause")
		if diff := cmp.Diff(before, r.snapshot()); diff != "" {
			t.Errorf("write %d failed and something was stored: %s", n, diff)
		}
	}
}

func TestAnInlineRegistrationSurvivesConflicts(t *testing.T) {
	r := newRig(t)
	r.furnish()
	r.db.DB = conflicting{r.db.DB}
	arns, err := r.registerInline("a")
	must(t, err)
	id := arn.CertID(strings.TrimPrefix(arns["certificate"], arn.Default.Cert("")))
	r.wantStatus(id, "ACTIVE")
	if held := r.lefts(ref.ThingPrincipal, arns["certificate"]); len(held) != 1 || !strings.HasPrefix(held[0], "lamp-a") {
		t.Errorf("the certificate is held by %v", held)
	}
	if policies := r.lefts(ref.PolicyTarget, arns["certificate"]); len(policies) != 1 {
		t.Errorf("it carries %v", policies)
	}
}
