package control

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/functions"
)

// judges is where the tests' functions are: each answers the token "good" with
// all it takes, "odd" with what cannot be used, and refuses any other.
type judges struct{}

func (judges) Resolve(context.Context, arn.Tenant, string) (functions.Function, error) {
	return verdictFunction{}, nil
}

type verdictFunction struct{}

func (verdictFunction) Close() error { return nil }

func (verdictFunction) Invoke(_ context.Context, payload []byte) ([]byte, error) {
	var e struct {
		Token string
		Data  struct{ MQTT struct{ Password string } } `json:"protocolData"`
	}
	if err := json.Unmarshal(payload, &e); err != nil {
		return nil, err
	}
	switch e.Token {
	case "good":
		return []byte(`{"isAuthenticated":true,"principalId":"` + e.Data.MQTT.Password + `bearer","disconnectAfterInSeconds":3600,"refreshAfterInSeconds":300,
			"policyDocuments":[{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}]}]}`), nil
	case "odd":
		return []byte(`{"isAuthenticated":true,"principalId":"not a principal","policyDocuments":[]}`), nil
	case "broken":
		return nil, functions.Fail(functions.Threw, "judge", errors.New("at line 1"), "failed.")
	}
	return []byte(`{"isAuthenticated":false}`), nil
}

func TestAnAuthorizerIsTried(t *testing.T) {
	s := open(t, nil)
	c := s.admin()
	must(c.CreateAuthorizer(ctx, &iot.CreateAuthorizerInput{AuthorizerName: aws.String("open"), AuthorizerFunctionArn: aws.String(someFunction), SigningDisabled: aws.Bool(true)}))(t)
	must(c.CreateAuthorizer(ctx, &iot.CreateAuthorizerInput{AuthorizerName: aws.String("signed"), AuthorizerFunctionArn: aws.String(someFunction),
		TokenKeyName: aws.String("key"), TokenSigningPublicKeys: map[string]string{"one": publicKey(t, 2048)}}))(t)
	try := func(name, token string) (*iot.TestInvokeAuthorizerOutput, error) {
		return c.TestInvokeAuthorizer(ctx, &iot.TestInvokeAuthorizerInput{AuthorizerName: &name, Token: &token, MqttContext: &types.MqttContext{Password: []byte("pw!")}})
	}
	t.Run("what the function answers is told, also of an INACTIVE authorizer", func(t *testing.T) {
		got := must(try("open", "good"))(t)
		if !*got.IsAuthenticated || *got.PrincipalId != "cHchbearer" || *got.DisconnectAfterInSeconds != 3600 || *got.RefreshAfterInSeconds != 300 || len(got.PolicyDocuments) != 1 {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("a token that the function does not take is no error", func(t *testing.T) {
		if got := must(try("open", "bad"))(t); *got.IsAuthenticated || got.PrincipalId != nil || len(got.PolicyDocuments) != 0 {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("an answer that cannot be used is refused, with the member", func(t *testing.T) {
		_, err := try("open", "odd")
		refused(t, err, "InvalidResponseException", "principalId must be")
	})
	t.Run("so is a function that fails", func(t *testing.T) {
		_, err := try("open", "broken")
		refused(t, err, "InvalidResponseException", "Function judge failed.")
	})
	t.Run("without its signature a signed token is not shown to the function", func(t *testing.T) {
		_, err := try("signed", "good")
		refused(t, err, "InvalidRequestException", "without its signature")
	})
	t.Run("an authorizer that is not there is not found", func(t *testing.T) {
		_, err := try("none", "good")
		refused(t, err, "ResourceNotFoundException", "Authorizer none does not exist")
	})
}
