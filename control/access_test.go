package control

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
	"github.com/google/go-cmp/cmp"

	"github.com/slipway-iot/slipway/ref"
)

const (
	someRole     = "arn:aws:iam::000000000000:role/things"
	someFunction = "arn:aws:lambda:us-east-1:000000000000:function:judge"
)

func TestRoleAliases(t *testing.T) {
	s := open(t, nil)
	c := s.admin()
	name := aws.String("reader@x")
	in := &iot.CreateRoleAliasInput{RoleAlias: name, RoleArn: aws.String(someRole), Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("locks")}}}
	made := must(c.CreateRoleAlias(ctx, in))(t)
	describe := func() *types.RoleAliasDescription {
		return must(c.DescribeRoleAlias(ctx, &iot.DescribeRoleAliasInput{RoleAlias: name}))(t).RoleAliasDescription
	}

	t.Run("it is described as made, with the default duration", func(t *testing.T) {
		d := describe()
		if *made.RoleAliasArn != "arn:aws:iot:us-east-1:000000000000:rolealias/reader@x" || *d.RoleAliasArn != *made.RoleAliasArn ||
			*d.RoleArn != someRole || *d.CredentialDurationSeconds != 3600 || *d.Owner != "000000000000" || d.CreationDate.IsZero() || d.LastModifiedDate.IsZero() {
			t.Errorf("got %+v", d)
		}
	})
	t.Run("a name serves once", func(t *testing.T) {
		_, err := c.CreateRoleAlias(ctx, in)
		refused(t, err, "ResourceAlreadyExistsException", "RoleAlias cannot be created - already exists (name=reader@x)")
		a := s.send("POST", "/role-aliases/reader@x", `{"roleArn":"`+someRole+`"}`)
		if a.status != 409 || a.json(t)["resourceArn"] != *made.RoleAliasArn || a.json(t)["resourceId"] != "reader@x" {
			t.Errorf("got %d %s", a.status, a.body)
		}
	})
	t.Run("an update changes what it names and leaves the rest", func(t *testing.T) {
		must(c.UpdateRoleAlias(ctx, &iot.UpdateRoleAliasInput{RoleAlias: name, CredentialDurationSeconds: aws.Int32(900)}))(t)
		up := must(c.UpdateRoleAlias(ctx, &iot.UpdateRoleAliasInput{RoleAlias: name, RoleArn: aws.String(someRole + "/other")}))(t)
		if d := describe(); *up.RoleAliasArn != *made.RoleAliasArn || *d.CredentialDurationSeconds != 900 || *d.RoleArn != someRole+"/other" {
			t.Errorf("got %+v", d)
		}
	})
	t.Run("a duration out of bounds is refused by member, and changes nothing", func(t *testing.T) {
		for _, n := range []int32{899, 43201} {
			_, err := c.UpdateRoleAlias(ctx, &iot.UpdateRoleAliasInput{RoleAlias: name, CredentialDurationSeconds: &n})
			refused(t, err, "InvalidRequestException", "at 'credentialDurationSeconds' failed to satisfy constraint")
		}
		if d := describe(); *d.CredentialDurationSeconds != 900 {
			t.Errorf("got %d", *d.CredentialDurationSeconds)
		}
	})
	t.Run("lists page both ways by name", func(t *testing.T) {
		for _, n := range []string{"a", "b", "z"} {
			must(c.CreateRoleAlias(ctx, &iot.CreateRoleAliasInput{RoleAlias: &n, RoleArn: aws.String(someRole)}))(t)
		}
		list := func(ascending bool) (names []string) {
			pages := iot.NewListRoleAliasesPaginator(c, &iot.ListRoleAliasesInput{PageSize: aws.Int32(2), AscendingOrder: ascending})
			for pages.HasMorePages() {
				names = append(names, must(pages.NextPage(ctx))(t).RoleAliases...)
			}
			return names
		}
		want := []string{"a", "b", "reader@x", "z"}
		if diff := cmp.Diff(want, list(true)); diff != "" {
			t.Error(diff)
		}
		a := s.send("GET", "/role-aliases?isAscendingOrder=false&pageSize=1", "")
		if a.json(t)["roleAliases"].([]any)[0] != "z" || a.json(t)["nextMarker"] == nil {
			t.Errorf("got %s", a.body)
		}
	})
	t.Run("another account sees none of it", func(t *testing.T) {
		o := s.client("AKIAOTHERADMIN")
		_, err := o.DescribeRoleAlias(ctx, &iot.DescribeRoleAliasInput{RoleAlias: name})
		refused(t, err, "ResourceNotFoundException", "role alias reader@x")
		if l := must(o.ListRoleAliases(ctx, &iot.ListRoleAliasesInput{}))(t); len(l.RoleAliases) > 0 {
			t.Errorf("got %v", l.RoleAliases)
		}
	})
	t.Run("it is deleted once", func(t *testing.T) {
		must(c.DeleteRoleAlias(ctx, &iot.DeleteRoleAliasInput{RoleAlias: name}))(t)
		_, err := c.DeleteRoleAlias(ctx, &iot.DeleteRoleAliasInput{RoleAlias: name})
		refused(t, err, "ResourceNotFoundException", "The role alias reader@x does not exist.")
		_, err = c.UpdateRoleAlias(ctx, &iot.UpdateRoleAliasInput{RoleAlias: name, RoleArn: aws.String(someRole)})
		refused(t, err, "ResourceNotFoundException", "reader@x")
	})
	t.Run("the hundred-and-first is refused, with the limit", func(t *testing.T) {
		create := func(n int) error {
			_, err := c.CreateRoleAlias(ctx, &iot.CreateRoleAliasInput{RoleAlias: aws.String(fmt.Sprintf("n%d", n)), RoleArn: aws.String(someRole)})
			return err
		}
		for n := range 97 {
			if err := create(n); err != nil {
				t.Fatal(err)
			}
		}
		refused(t, create(97), "LimitExceededException", "100")
		_, err := c.DescribeRoleAlias(ctx, &iot.DescribeRoleAliasInput{RoleAlias: aws.String("n97")})
		refused(t, err, "ResourceNotFoundException", "n97")
	})
}

// publicKey is the PEM of a signing key.
func publicKey(t *testing.T, bits int) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return publicPEM(t, &key.PublicKey)
}

func publicPEM(t *testing.T, public any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func TestAuthorizers(t *testing.T) {
	s := open(t, nil)
	c := s.admin()
	key := publicKey(t, 2048)
	name := aws.String("judge")
	signed := &iot.CreateAuthorizerInput{
		AuthorizerName: name, AuthorizerFunctionArn: aws.String(someFunction), TokenKeyName: aws.String("token"),
		TokenSigningPublicKeys: map[string]string{"first": key},
	}
	describe := func() *types.AuthorizerDescription {
		return must(c.DescribeAuthorizer(ctx, &iot.DescribeAuthorizerInput{AuthorizerName: name}))(t).AuthorizerDescription
	}
	update := func(in iot.UpdateAuthorizerInput) error {
		in.AuthorizerName = name
		_, err := c.UpdateAuthorizer(ctx, &in)
		return err
	}

	t.Run("signing wants keys that verify, and nothing is stored without", func(t *testing.T) {
		elliptic256 := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
		for _, tc := range []struct {
			change func(*iot.CreateAuthorizerInput)
			say    string
		}{
			{func(in *iot.CreateAuthorizerInput) { in.TokenSigningPublicKeys = nil }, "tokenSigningPublicKeys must hold a key"},
			{func(in *iot.CreateAuthorizerInput) { in.TokenKeyName = nil }, "tokenKeyName must be given"},
			{func(in *iot.CreateAuthorizerInput) { in.TokenSigningPublicKeys = map[string]string{"k": "no"} }, "key k: expected one PEM block"},
			{func(in *iot.CreateAuthorizerInput) { in.TokenSigningPublicKeys = map[string]string{"k": key + key} }, "expected one PEM block"},
			{func(in *iot.CreateAuthorizerInput) {
				in.TokenSigningPublicKeys = map[string]string{"k": strings.ReplaceAll(key, "PUBLIC", "PRIVATE")}
			}, "of another type"},
			{func(in *iot.CreateAuthorizerInput) {
				in.TokenSigningPublicKeys = map[string]string{"k": publicKey(t, 1024)}
			}, "the key has 1024 bits"},
			{func(in *iot.CreateAuthorizerInput) {
				in.TokenSigningPublicKeys = map[string]string{"k": publicPEM(t, &elliptic256.PublicKey)}
			}, "not an RSA key"},
		} {
			in := *signed
			tc.change(&in)
			_, err := c.CreateAuthorizer(ctx, &in)
			refused(t, err, "InvalidRequestException", tc.say)
		}
		_, err := c.DescribeAuthorizer(ctx, &iot.DescribeAuthorizerInput{AuthorizerName: name})
		refused(t, err, "ResourceNotFoundException", "The authorizer judge does not exist.")
	})
	t.Run("it is described as made, INACTIVE by default", func(t *testing.T) {
		made := must(c.CreateAuthorizer(ctx, signed))(t)
		d := describe()
		if *made.AuthorizerArn != "arn:aws:iot:us-east-1:000000000000:authorizer/judge" || *d.AuthorizerArn != *made.AuthorizerArn ||
			d.Status != types.AuthorizerStatusInactive || d.TokenSigningPublicKeys["first"] != key || *d.TokenKeyName != "token" ||
			*d.AuthorizerFunctionArn != someFunction || d.SigningDisabled == nil || *d.SigningDisabled || d.EnableCachingForHttp == nil || *d.EnableCachingForHttp {
			t.Errorf("got %+v", d)
		}
		_, err := c.CreateAuthorizer(ctx, signed)
		refused(t, err, "ResourceAlreadyExistsException", "judge")
	})
	t.Run("an update replaces the keys, and leaves what it does not name", func(t *testing.T) {
		second := publicKey(t, 2048)
		if err := update(iot.UpdateAuthorizerInput{TokenSigningPublicKeys: map[string]string{"second": second}, EnableCachingForHttp: aws.Bool(true)}); err != nil {
			t.Fatal(err)
		}
		if err := update(iot.UpdateAuthorizerInput{Status: types.AuthorizerStatusActive}); err != nil {
			t.Fatal(err)
		}
		d := describe()
		if diff := cmp.Diff(map[string]string{"second": second}, d.TokenSigningPublicKeys); diff != "" || !*d.EnableCachingForHttp || d.Status != types.AuthorizerStatusActive {
			t.Error(diff, d)
		}
		refused(t, update(iot.UpdateAuthorizerInput{TokenSigningPublicKeys: map[string]string{}}), "InvalidRequestException", "must hold a key")
		if d := describe(); len(d.TokenSigningPublicKeys) != 1 {
			t.Errorf("got %v", d.TokenSigningPublicKeys)
		}
	})
	t.Run("there is one default at a time", func(t *testing.T) {
		_, err := c.DescribeDefaultAuthorizer(ctx, &iot.DescribeDefaultAuthorizerInput{})
		refused(t, err, "ResourceNotFoundException", "no default authorizer")
		_, err = c.ClearDefaultAuthorizer(ctx, &iot.ClearDefaultAuthorizerInput{})
		refused(t, err, "ResourceNotFoundException", "no default authorizer")
		_, err = c.SetDefaultAuthorizer(ctx, &iot.SetDefaultAuthorizerInput{AuthorizerName: aws.String("none")})
		refused(t, err, "ResourceNotFoundException", "none")
		for range 2 {
			must(c.SetDefaultAuthorizer(ctx, &iot.SetDefaultAuthorizerInput{AuthorizerName: name}))(t)
		}
		must(c.CreateAuthorizer(ctx, &iot.CreateAuthorizerInput{AuthorizerName: aws.String("other"), AuthorizerFunctionArn: aws.String(someFunction), SigningDisabled: aws.Bool(true)}))(t)
		_, err = c.SetDefaultAuthorizer(ctx, &iot.SetDefaultAuthorizerInput{AuthorizerName: aws.String("other")})
		refused(t, err, "ResourceAlreadyExistsException", "judge")
		d := must(c.DescribeDefaultAuthorizer(ctx, &iot.DescribeDefaultAuthorizerInput{}))(t).AuthorizerDescription
		if *d.AuthorizerName != "judge" {
			t.Errorf("got %s", *d.AuthorizerName)
		}
	})
	t.Run("lists narrow by status", func(t *testing.T) {
		list := func(status types.AuthorizerStatus) (names []string) {
			pages := iot.NewListAuthorizersPaginator(c, &iot.ListAuthorizersInput{Status: status, PageSize: aws.Int32(1), AscendingOrder: true})
			for pages.HasMorePages() {
				for _, a := range must(pages.NextPage(ctx))(t).Authorizers {
					names = append(names, *a.AuthorizerName)
				}
			}
			return names
		}
		got := [][]string{list(""), list(types.AuthorizerStatusActive), list(types.AuthorizerStatusInactive)}
		if diff := cmp.Diff([][]string{{"judge", "other"}, {"judge"}, {"other"}}, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("what is ACTIVE, the default or in use stays", func(t *testing.T) {
		remove := func() error {
			_, err := c.DeleteAuthorizer(ctx, &iot.DeleteAuthorizerInput{AuthorizerName: name})
			return err
		}
		refused(t, remove(), "DeleteConflictException", "ACTIVE")
		if err := update(iot.UpdateAuthorizerInput{Status: types.AuthorizerStatusInactive}); err != nil {
			t.Fatal(err)
		}
		refused(t, remove(), "DeleteConflictException", "default")
		must(c.ClearDefaultAuthorizer(ctx, &iot.ClearDefaultAuthorizerInput{}))(t)
		domain := aws.String("d")
		must(c.CreateDomainConfiguration(ctx, &iot.CreateDomainConfigurationInput{DomainConfigurationName: domain, AuthorizerConfig: &types.AuthorizerConfig{DefaultAuthorizerName: name}}))(t)
		refused(t, remove(), "DeleteConflictException", "domain configuration d")
		must(c.UpdateDomainConfiguration(ctx, &iot.UpdateDomainConfigurationInput{DomainConfigurationName: domain, RemoveAuthorizerConfig: true}))(t)
		if err := remove(); err != nil {
			t.Fatal(err)
		}
		refused(t, remove(), "ResourceNotFoundException", "judge")
		refused(t, update(iot.UpdateAuthorizerInput{Status: types.AuthorizerStatusActive}), "ResourceNotFoundException", "judge")
	})
	t.Run("32 may be ACTIVE", func(t *testing.T) {
		create := func(n int) error {
			_, err := c.CreateAuthorizer(ctx, &iot.CreateAuthorizerInput{AuthorizerName: aws.String(fmt.Sprint("n", n)), AuthorizerFunctionArn: aws.String(someFunction), SigningDisabled: aws.Bool(true), Status: types.AuthorizerStatusActive})
			return err
		}
		for n := range 32 {
			if err := create(n); err != nil {
				t.Fatal(err)
			}
		}
		refused(t, create(32), "LimitExceededException", "the limit is 32")
		_, err := c.UpdateAuthorizer(ctx, &iot.UpdateAuthorizerInput{AuthorizerName: aws.String("other"), Status: types.AuthorizerStatusActive})
		refused(t, err, "LimitExceededException", "the limit is 32")
		must(c.UpdateAuthorizer(ctx, &iot.UpdateAuthorizerInput{AuthorizerName: aws.String("n0"), Status: types.AuthorizerStatusActive}))(t)
	})
}

func TestDomainConfigurations(t *testing.T) {
	s := open(t, nil)
	c := s.admin()
	certificate := "arn:aws:acm:us-east-1:000000000000:certificate/0a-b"
	name := aws.String("shop.v1")
	in := &iot.CreateDomainConfigurationInput{DomainConfigurationName: name, DomainName: aws.String("IoT.shop.example"), ServerCertificateArns: []string{certificate}}
	made := must(c.CreateDomainConfiguration(ctx, in))(t)
	describe := func(name string) *iot.DescribeDomainConfigurationOutput {
		return must(c.DescribeDomainConfiguration(ctx, &iot.DescribeDomainConfigurationInput{DomainConfigurationName: &name}))(t)
	}
	update := func(in iot.UpdateDomainConfigurationInput) error {
		if in.DomainConfigurationName == nil {
			in.DomainConfigurationName = name
		}
		_, err := c.UpdateDomainConfiguration(ctx, &in)
		return err
	}
	create := func(name string, change func(*iot.CreateDomainConfigurationInput)) error {
		in := &iot.CreateDomainConfigurationInput{DomainConfigurationName: &name}
		change(in)
		_, err := c.CreateDomainConfiguration(ctx, in)
		return err
	}

	t.Run("a domain of the customer is described with its defaults", func(t *testing.T) {
		d := describe(*name)
		tail, ok := strings.CutPrefix(*d.DomainConfigurationArn, "arn:aws:iot:us-east-1:000000000000:domainconfiguration/shop.v1/")
		if !ok || len(tail) != 5 || *made.DomainConfigurationArn != *d.DomainConfigurationArn {
			t.Errorf("got %s", *d.DomainConfigurationArn)
		}
		if *d.DomainName != "iot.shop.example" || d.DomainType != types.DomainTypeCustomerManaged || d.DomainConfigurationStatus != types.DomainConfigurationStatusEnabled ||
			d.ServiceType != types.ServiceTypeData || *d.TlsConfig.SecurityPolicy != "IoTSecurityPolicy_TLS13_1_2_2022_10" ||
			d.AuthenticationType != types.AuthenticationTypeDefault || d.ApplicationProtocol != types.ApplicationProtocolDefault ||
			len(d.ServerCertificates) != 1 || *d.ServerCertificates[0].ServerCertificateArn != certificate || d.AuthorizerConfig != nil || d.LastStatusChangeDate.IsZero() {
			t.Errorf("got %+v", d)
		}
	})
	t.Run("one without a host name is served at the account's endpoint", func(t *testing.T) {
		if err := create("plain", func(*iot.CreateDomainConfigurationInput) {}); err != nil {
			t.Fatal(err)
		}
		if d := describe("plain"); d.DomainType != types.DomainTypeAwsManaged || *d.DomainName != "000000000000.things.example" || d.ServerCertificates == nil {
			t.Errorf("got %+v", d)
		}
	})
	t.Run("names and hosts serve once", func(t *testing.T) {
		_, err := c.CreateDomainConfiguration(ctx, in)
		refused(t, err, "ResourceAlreadyExistsException", "shop.v1")
		refused(t, create("again", func(in *iot.CreateDomainConfigurationInput) {
			in.DomainName, in.ServerCertificateArns = aws.String("iot.shop.example"), []string{certificate}
		}), "ResourceAlreadyExistsException", "belongs to domain configuration shop.v1")
	})
	t.Run("what does not go together is refused, and not stored", func(t *testing.T) {
		for _, tc := range []struct {
			change func(*iot.CreateDomainConfigurationInput)
			say    string
		}{
			{func(in *iot.CreateDomainConfigurationInput) { in.ServerCertificateArns = []string{certificate} }, "go with a domainName"},
			{func(in *iot.CreateDomainConfigurationInput) { in.DomainName = aws.String("a.example") }, "certificate of domain a.example"},
			{func(in *iot.CreateDomainConfigurationInput) {
				in.DomainName, in.ServerCertificateArns = aws.String("*.example"), []string{certificate}
			}, "not a fully qualified host name"},
			{func(in *iot.CreateDomainConfigurationInput) {
				in.TlsConfig = &types.TlsConfig{SecurityPolicy: aws.String("none")}
			}, `Security policy "none" does not exist`},
			{func(in *iot.CreateDomainConfigurationInput) {
				in.AuthenticationType = types.AuthenticationTypeAwsX509
			}, "expected SECURE_MQTT or HTTPS"},
			{func(in *iot.CreateDomainConfigurationInput) {
				in.AuthenticationType, in.ApplicationProtocol = types.AuthenticationTypeAwsX509, types.ApplicationProtocolMqttWss
			}, "does not go with applicationProtocol MQTT_WSS"},
			{func(in *iot.CreateDomainConfigurationInput) {
				in.AuthorizerConfig = &types.AuthorizerConfig{DefaultAuthorizerName: aws.String("none")}
			}, "Authorizer none"},
			{func(in *iot.CreateDomainConfigurationInput) {
				in.ServerCertificateArns = []string{certificate, certificate}
			}, "at 'serverCertificateArns' failed to satisfy constraint"},
		} {
			refused(t, create("bad", tc.change), "InvalidRequestException", tc.say)
		}
		_, err := c.DescribeDomainConfiguration(ctx, &iot.DescribeDomainConfigurationInput{DomainConfigurationName: aws.String("bad")})
		refused(t, err, "ResourceNotFoundException", "The domain configuration bad does not exist.")
	})
	t.Run("an update changes what it names", func(t *testing.T) {
		must(c.CreateAuthorizer(ctx, &iot.CreateAuthorizerInput{AuthorizerName: aws.String("judge"), AuthorizerFunctionArn: aws.String(someFunction), SigningDisabled: aws.Bool(true)}))(t)
		err := update(iot.UpdateDomainConfigurationInput{
			AuthorizerConfig:        &types.AuthorizerConfig{DefaultAuthorizerName: aws.String("judge"), AllowAuthorizerOverride: aws.Bool(true)},
			AuthenticationType:      types.AuthenticationTypeCustomAuth,
			ApplicationProtocol:     types.ApplicationProtocolMqttWss,
			ServerCertificateConfig: &types.ServerCertificateConfig{EnableOCSPCheck: aws.Bool(true)},
			ClientCertificateConfig: &types.ClientCertificateConfig{ClientCertificateCallbackArn: aws.String(someFunction)},
			TlsConfig:               &types.TlsConfig{SecurityPolicy: aws.String("IoTSecurityPolicy_TLS13_1_3_2022_10")},
		})
		if err != nil {
			t.Fatal(err)
		}
		before := describe(*name)
		if err := update(iot.UpdateDomainConfigurationInput{DomainConfigurationStatus: types.DomainConfigurationStatusDisabled}); err != nil {
			t.Fatal(err)
		}
		d := describe(*name)
		if *d.AuthorizerConfig.DefaultAuthorizerName != "judge" || !*d.AuthorizerConfig.AllowAuthorizerOverride || d.AuthenticationType != types.AuthenticationTypeCustomAuth ||
			!*d.ServerCertificateConfig.EnableOCSPCheck || *d.ClientCertificateConfig.ClientCertificateCallbackArn != someFunction ||
			*d.TlsConfig.SecurityPolicy != "IoTSecurityPolicy_TLS13_1_3_2022_10" || d.DomainConfigurationStatus != types.DomainConfigurationStatusDisabled ||
			d.LastStatusChangeDate.Before(*before.LastStatusChangeDate) {
			t.Errorf("got %+v", d)
		}
		refused(t, update(iot.UpdateDomainConfigurationInput{ApplicationProtocol: types.ApplicationProtocolDefault}), "InvalidRequestException", "does not go with")
		if d := describe(*name); d.ApplicationProtocol != types.ApplicationProtocolMqttWss {
			t.Errorf("got %s", d.ApplicationProtocol)
		}
		if err := update(iot.UpdateDomainConfigurationInput{RemoveAuthorizerConfig: true}); err != nil {
			t.Fatal(err)
		}
		if d := describe(*name); d.AuthorizerConfig != nil {
			t.Errorf("got %+v", d.AuthorizerConfig)
		}
	})
	t.Run("every account has three, of which the TLS policy may change", func(t *testing.T) {
		ats := aws.String("iot:Data-ATS")
		d := describe(*ats)
		if d.DomainType != types.DomainTypeEndpoint || *d.DomainConfigurationArn != "arn:aws:iot:us-east-1:000000000000:domainconfiguration/iot:Data-ATS" || *d.DomainName != "000000000000.things.example" {
			t.Errorf("got %+v", d)
		}
		if err := update(iot.UpdateDomainConfigurationInput{DomainConfigurationName: ats, TlsConfig: &types.TlsConfig{SecurityPolicy: aws.String("IoTSecurityPolicy_TLS12_1_2_2022_10")}}); err != nil {
			t.Fatal(err)
		}
		if d := describe(*ats); *d.TlsConfig.SecurityPolicy != "IoTSecurityPolicy_TLS12_1_2_2022_10" || d.DomainType != types.DomainTypeEndpoint {
			t.Errorf("got %+v", d)
		}
		err := update(iot.UpdateDomainConfigurationInput{DomainConfigurationName: ats, DomainConfigurationStatus: types.DomainConfigurationStatusDisabled})
		refused(t, err, "InvalidRequestException", "only its tlsConfig may change")
		_, err = c.DeleteDomainConfiguration(ctx, &iot.DeleteDomainConfigurationInput{DomainConfigurationName: ats})
		refused(t, err, "InvalidRequestException", "domainConfigurationName")
	})
	t.Run("lists hold all of them, by name, and narrow by service", func(t *testing.T) {
		list := func(service types.ServiceType) (names []string) {
			pages := iot.NewListDomainConfigurationsPaginator(c, &iot.ListDomainConfigurationsInput{PageSize: aws.Int32(2), ServiceType: service})
			for pages.HasMorePages() {
				for _, d := range must(pages.NextPage(ctx))(t).DomainConfigurations {
					names = append(names, *d.DomainConfigurationName)
				}
			}
			return names
		}
		if diff := cmp.Diff([]string{"iot:CredentialProvider", "iot:Data-ATS", "iot:Jobs", "plain", "shop.v1"}, list("")); diff != "" {
			t.Error(diff)
		}
		if got := list(types.ServiceTypeJobs); !slices.Equal(got, []string{"iot:Jobs"}) {
			t.Errorf("got %v", got)
		}
	})
	t.Run("an enabled one is not deleted, a disabled one is, once", func(t *testing.T) {
		remove := func(name string) error {
			_, err := c.DeleteDomainConfiguration(ctx, &iot.DeleteDomainConfigurationInput{DomainConfigurationName: &name})
			return err
		}
		refused(t, remove("plain"), "InvalidRequestException", "must be DISABLED")
		if err := remove(*name); err != nil {
			t.Fatal(err)
		}
		refused(t, remove(*name), "ResourceNotFoundException", "shop.v1")
		refused(t, update(iot.UpdateDomainConfigurationInput{DomainConfigurationStatus: types.DomainConfigurationStatusEnabled}), "ResourceNotFoundException", "shop.v1")
	})
	t.Run("the eleventh of one's own is refused, with the limit", func(t *testing.T) {
		for n := range 9 {
			if err := create(fmt.Sprint("n", n), func(*iot.CreateDomainConfigurationInput) {}); err != nil {
				t.Fatal(err)
			}
		}
		refused(t, create("n9", func(*iot.CreateDomainConfigurationInput) {}), "LimitExceededException", "the limit is 10")
	})
}

func TestTagsOfAccess(t *testing.T) {
	s := open(t, nil)
	c := s.admin()
	tags := func(kv ...string) (list []types.Tag) {
		for i := 0; i < len(kv); i += 2 {
			list = append(list, types.Tag{Key: &kv[i], Value: &kv[i+1]})
		}
		return list
	}
	alias := must(c.CreateRoleAlias(ctx, &iot.CreateRoleAliasInput{RoleAlias: aws.String("a"), RoleArn: aws.String(someRole), Tags: tags("made", "1")}))(t)
	judge := must(c.CreateAuthorizer(ctx, &iot.CreateAuthorizerInput{AuthorizerName: aws.String("a"), AuthorizerFunctionArn: aws.String(someFunction), SigningDisabled: aws.Bool(true), Tags: tags("made", "1")}))(t)
	domain := must(c.CreateDomainConfiguration(ctx, &iot.CreateDomainConfigurationInput{DomainConfigurationName: aws.String("a"), Tags: tags("made", "1")}))(t)
	list := func(resource string) map[string]string {
		got := map[string]string{}
		for _, tag := range must(c.ListTagsForResource(ctx, &iot.ListTagsForResourceInput{ResourceArn: &resource}))(t).Tags {
			got[*tag.Key] = *tag.Value
		}
		return got
	}
	for _, resource := range []string{*alias.RoleAliasArn, *judge.AuthorizerArn, *domain.DomainConfigurationArn} {
		t.Run("tags given at creation can be changed: "+resource, func(t *testing.T) {
			if diff := cmp.Diff(map[string]string{"made": "1"}, list(resource)); diff != "" {
				t.Error(diff)
			}
			must(c.TagResource(ctx, &iot.TagResourceInput{ResourceArn: &resource, Tags: tags("team", "locks")}))(t)
			must(c.UntagResource(ctx, &iot.UntagResourceInput{ResourceArn: &resource, TagKeys: []string{"made"}}))(t)
			if diff := cmp.Diff(map[string]string{"team": "locks"}, list(resource)); diff != "" {
				t.Error(diff)
			}
		})
		t.Run("a resource that is not there has none: "+resource, func(t *testing.T) {
			_, err := c.ListTagsForResource(ctx, &iot.ListTagsForResourceInput{ResourceArn: aws.String(resource + "x")})
			refused(t, err, "ResourceNotFoundException", "does not exist")
			_, err = c.TagResource(ctx, &iot.TagResourceInput{ResourceArn: aws.String(resource + "x"), Tags: tags("k", "v")})
			refused(t, err, "ResourceNotFoundException", "does not exist")
			_, err = s.client("AKIAOTHERADMIN").ListTagsForResource(ctx, &iot.ListTagsForResourceInput{ResourceArn: &resource})
			refused(t, err, "ResourceNotFoundException", "")
		})
	}
	t.Run("a reserved key is refused at creation, and nothing is made", func(t *testing.T) {
		_, err := c.CreateRoleAlias(ctx, &iot.CreateRoleAliasInput{RoleAlias: aws.String("b"), RoleArn: aws.String(someRole), Tags: tags("aws:x", "1")})
		refused(t, err, "InvalidRequestException", "aws:")
		_, err = c.DescribeRoleAlias(ctx, &iot.DescribeRoleAliasInput{RoleAlias: aws.String("b")})
		refused(t, err, "ResourceNotFoundException", "")
	})
}

func TestLimitsOfAccessAreTheAccounts(t *testing.T) {
	s := open(t, nil)
	s.set("", map[ref.Limit]int{ref.RoleAliases: 1, ref.Authorizers: 2, ref.ActiveAuthorizers: 1, ref.DomainConfigurations: 1, ref.CustomFields: 1})
	judge := func(status string) string {
		return `{"authorizerFunctionArn":"` + someFunction + `","signingDisabled":true,"status":"` + status + `"}`
	}
	alias := `{"roleArn":"` + someRole + `"}`
	for _, path := range []string{"/role-aliases/a", "/domainConfigurations/a"} {
		if a := s.send("POST", path, alias); a.status != 200 {
			t.Fatal(a.body)
		}
		s.send("POST", path+"2", alias).expect(t, 410, "LimitExceededException", "the limit is 1.")
	}
	if a := s.send("POST", "/authorizer/a", judge("ACTIVE")); a.status != 200 {
		t.Fatal(a.body)
	}
	s.send("POST", "/authorizer/b", judge("ACTIVE")).expect(t, 410, "LimitExceededException", "1 ACTIVE authorizers; the limit is 1.")
	if a := s.send("POST", "/authorizer/b", judge("INACTIVE")); a.status != 200 {
		t.Fatal(a.body)
	}
	s.send("POST", "/authorizer/c", judge("INACTIVE")).expect(t, 410, "LimitExceededException", "the limit is 2.")
	fields := `{"thingGroupIndexingConfiguration":{"thingGroupIndexingMode":"ON","customFields":[{"name":"a","type":"String"},{"name":"b","type":"String"}]}}`
	s.send("POST", "/indexing/config", fields).expect(t, 400, "InvalidRequestException", "the limit is 1.")
}
