package wire

import "testing"

func TestParseTopic(t *testing.T) {
	for topic, want := range map[string]struct {
		op       Operation
		template string
		format   Format
	}{
		"$aws/certificates/create/json":                        {CreateKeys, "", JSON},
		"$aws/certificates/create/cbor":                        {CreateKeys, "", CBOR},
		"$aws/certificates/create-from-csr/json":               {CreateFromCSR, "", JSON},
		"$aws/certificates/create-from-csr/cbor":               {CreateFromCSR, "", CBOR},
		"$aws/provisioning-templates/lab-fleet/provision/json": {RegisterThing, "lab-fleet", JSON},
		"$aws/provisioning-templates/T/provision/cbor":         {RegisterThing, "T", CBOR},
	} {
		op, template, f, ok := ParseTopic(topic)
		if !ok || op != want.op || template != want.template || f != want.format {
			t.Errorf("%s: got %v %q %v %v", topic, op, template, f, ok)
		}
	}
}

func TestParseTopicLeavesOtherTopicsAlone(t *testing.T) {
	for _, topic := range []string{
		"", "$aws", "$aws/certificates/create", "$aws/certificates/create/", "$aws/certificates/create/xml",
		"$aws/certificates/create/JSON", "$AWS/certificates/create/json", "$aws/certificates/create/json/accepted",
		"$aws/certificates/create-from-csr/json/rejected", "$aws/certificates/create/json/",
		"$aws/provisioning-templates//provision/json", "$aws/provisioning-templates/T/provision/json/accepted",
		"$aws/provisioning-templates/T/x/provision/json", "$aws/provisioning-templates/T/provision",
		"$aws/provisioning-templates/T/Provision/json", "$aws/provisioning-templates/T", "devices/1",
	} {
		if op, template, f, ok := ParseTopic(topic); ok || op != 0 || template != "" || f != JSON {
			t.Errorf("%q was taken for %v", topic, op)
		}
	}
}

func TestTopicsAreParsedAsTheyAreBuilt(t *testing.T) {
	for _, f := range []Format{JSON, CBOR} {
		if op, _, got, _ := ParseTopic(CreateKeysTopic(f)); op != CreateKeys || got != f {
			t.Errorf("%s", CreateKeysTopic(f))
		}
		if op, _, got, _ := ParseTopic(CreateFromCSRTopic(f)); op != CreateFromCSR || got != f {
			t.Errorf("%s", CreateFromCSRTopic(f))
		}
		if op, template, got, _ := ParseTopic(RegisterTopic("a_b-C", f)); op != RegisterThing || got != f || template != "a_b-C" {
			t.Errorf("%s", RegisterTopic("a_b-C", f))
		}
		if got, ok := ParseFormat(f.String()); !ok || got != f {
			t.Errorf("format %s", f)
		}
	}
	if got := Rejected(RegisterTopic("t", CBOR)); got != "$aws/provisioning-templates/t/provision/cbor/rejected" {
		t.Error(got)
	}
}

func FuzzParseTopic(f *testing.F) {
	f.Add("$aws/provisioning-templates/lab/provision/json")
	f.Add("$aws/certificates/create-from-csr/cbor")
	f.Fuzz(func(t *testing.T, topic string) {
		op, template, format, ok := ParseTopic(topic)
		if !ok {
			return
		}
		built := map[Operation]string{CreateKeys: CreateKeysTopic(format), CreateFromCSR: CreateFromCSRTopic(format),
			RegisterThing: RegisterTopic(template, format)}[op]
		if built != topic {
			t.Errorf("%q was parsed and built as %q", topic, built)
		}
	})
}
