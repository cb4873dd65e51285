package control

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/smithy-go"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/internal/seal"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/tenants"
)

// session makes a function's credentials, sealed by box; nil is the server's
// own key.
func (s *site) session(box tenants.Sealer, account string, from time.Time) *tenants.Session {
	s.t.Helper()
	if box == nil {
		box = s.cfg.Keys
	}
	made, err := tenants.NewSession(box, account, tenants.Function, "function/f", rand.Reader, from, time.Hour)
	if err != nil {
		s.t.Fatal(err)
	}
	return made
}

// createsThing is a function's call, by AWS's own client.
func (s *site) createsThing(c tenants.Session, thing string) error {
	client := iot.New(iot.Options{
		Region: arn.Default.Region, BaseEndpoint: &s.url, Retryer: aws.NopRetryer{},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: c.ID, SecretAccessKey: c.Secret, SessionToken: c.Token}, nil
		}),
	})
	_, err := client.CreateThing(ctx, &iot.CreateThingInput{ThingName: &thing})
	return err
}

func TestAFunctionCallsWithItsSession(t *testing.T) {
	s := open(t, nil)
	if err := s.createsThing(*s.session(nil, other, time.Now()), "made"); err != nil {
		t.Fatal(err)
	}
	for tenant, want := range map[arn.Tenant]bool{{Account: other, Region: arn.Default.Region}: true, arn.Default: false} {
		err := s.db.View(ctx, func(ctx context.Context, tx store.Tx) error {
			_, err := tx.Thing(ctx, tenant, "made")
			return err
		})
		if (err == nil) != want {
			t.Errorf("account %s: %v", tenant.Account, err)
		}
	}
	if !strings.Contains(s.log.String(), "action=iot:CreateThing status=200") {
		t.Errorf("the log: %s", s.log)
	}
}

func TestSessionsThatAreRefused(t *testing.T) {
	s := open(t, nil)
	foreign, _, err := seal.Open(t.TempDir(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	good, second := s.session(nil, other, now), s.session(nil, other, now)
	middle := len(good.Token) / 2
	flipped := map[bool]string{true: "B", false: "A"}[good.Token[middle] == 'A']
	for sentence, c := range map[string]struct {
		session tenants.Session
		code    string
	}{
		"its time is over":          {*s.session(nil, other, now.Add(-2*time.Hour)), "ExpiredTokenException"},
		"another server made it":    {*s.session(foreign, other, now), "UnrecognizedClientException"},
		"one character was changed": {tenants.Session{ID: good.ID, Secret: good.Secret, Token: good.Token[:middle] + flipped + good.Token[middle+1:]}, "UnrecognizedClientException"},
		"another session's token":   {tenants.Session{ID: good.ID, Secret: good.Secret, Token: second.Token}, "UnrecognizedClientException"},
		"a wrong secret":            {tenants.Session{ID: good.ID, Secret: second.Secret, Token: good.Token}, "InvalidSignatureException"},
		"no token at all":           {tenants.Session{ID: good.ID, Secret: good.Secret}, "UnrecognizedClientException"},
	} {
		t.Run(sentence, func(t *testing.T) {
			var api smithy.APIError
			if err := s.createsThing(c.session, "none"); !errors.As(err, &api) || api.ErrorCode() != c.code {
				t.Errorf("got %v, want %s", err, c.code)
			}
			err := s.db.View(ctx, func(ctx context.Context, tx store.Tx) error {
				_, err := tx.Thing(ctx, arn.Tenant{Account: other, Region: arn.Default.Region}, "none")
				return err
			})
			if err == nil {
				t.Error("the thing was made all the same")
			}
		})
	}
	t.Run("the token does not go along under the signature", func(t *testing.T) {
		a := s.send("POST", "/things/none", "", func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", good.Token) })
		if a.status != http.StatusForbidden {
			t.Errorf("got %d %s", a.status, a.body)
		}
	})
}
