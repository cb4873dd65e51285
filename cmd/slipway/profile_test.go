package main

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const awsConfig = `
# those of the default
[default]
region = eu-west-1
endpoint_url = http://everything.example

[profile  lab]
region = eu-west-2
services = lab
aws_access_key_id = of-config
aws_secret_access_key = s1

[services lab]
sts =
  endpoint_url = http://sts.example
iot =
  endpoint_url = http://iot.example
s3 =
	endpoint_url=http://s3.example

[profile role]
role_arn = arn:aws:iam::000000000000:role/r
services = lab
no equals sign
`

const awsCredentials = `
[default]
aws_access_key_id = of-default
aws_secret_access_key = s2
aws_session_token = t2
[both]
aws_access_key_id=of-both
aws_secret_access_key=s3
`

func TestAProfileStandsForTheEnvironment(t *testing.T) {
	type found struct{ Endpoint, Region, ID, Secret, Token, Refused string }
	cases := map[string]struct {
		profile, endpoint, keyID string
		want                     found
	}{
		"a profile with endpoint, region and keys": {"lab", "", "", found{"http://iot.example", "eu-west-2", "of-config", "s1", "", ""}},
		"the environment's endpoint wins":          {"lab", "http://env.example", "", found{"http://env.example", "eu-west-2", "of-config", "s1", "", ""}},
		"the environment's keys win":               {"lab", "", "of-env", found{"http://iot.example", "eu-west-2", "of-env", "s0", "t0", ""}},
		"an endpoint and the default's keys":       {"", "http://env.example", "", found{"http://env.example", "eu-west-1", "of-default", "s2", "t2", ""}},
		"a profile of the credentials file alone":  {"both", "http://env.example", "", found{"http://env.example", "us-east-1", "of-both", "s3", "", ""}},
		"a profile that has a role and no keys":    {"role", "", "", found{Refused: "$AWS_PROFILE names http://iot.example, which needs $AWS_ACCESS_KEY_ID and $AWS_SECRET_ACCESS_KEY, or a profile that holds both: set them with `slipway env`, or from a profile of another kind with `aws configure export-credentials --format env`"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			elsewhere(t)
			for file, text := range map[string]string{"config": awsConfig, "credentials": awsCredentials} {
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("AWS_CONFIG_FILE", "config")
			t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "credentials")
			t.Setenv("AWS_PROFILE", c.profile)
			t.Setenv("AWS_ENDPOINT_URL", c.endpoint)
			t.Setenv("AWS_ACCESS_KEY_ID", c.keyID)
			t.Setenv("AWS_SECRET_ACCESS_KEY", "s0")
			t.Setenv("AWS_SESSION_TOKEN", "t0")
			var got found
			if p, err := new(target).connect(); err != nil {
				got.Refused = err.Error()
			} else {
				got = found{p.client.Endpoint, p.client.Region, p.client.AccessKeyID, p.client.Secret, p.client.SessionToken, ""}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTheDefaultProfileNamesNoServer(t *testing.T) {
	elsewhere(t)
	if err := os.WriteFile("config", []byte(awsConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CONFIG_FILE", "config")
	if p, err := new(target).connect(); err == nil {
		t.Errorf("nobody named it, and it is %s", p.client.Endpoint)
	}
}

// Whatever a file holds, it is read to its end, and no key is empty of a
// section.
func FuzzParseSections(f *testing.F) {
	f.Add([]byte(awsConfig))
	f.Add([]byte(awsCredentials))
	f.Add([]byte("[a\n]\n[]\n=\n = b\n[ ]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for name, section := range parseSections(text) {
			if section == nil {
				t.Errorf("section %q is nil", name)
			}
		}
	})
}
