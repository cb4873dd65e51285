package templates

import (
	"github.com/slipway-iot/slipway/wire/strict"
)

// compileCertificate reads a certificate (templates.md, section 2.2).
func (c *compiler) compileCertificate(logical string, props, over *strict.Value) error {
	got, err := properties(props, "CertificateId", "CertificateSigningRequest", "CertificatePem", "CACertificatePem", "Status", "ThingPrincipalType")
	if err != nil {
		return err
	}
	if err := oneWay(props, got); err != nil {
		return err
	}
	c.cert = &certificate{logical: logical}
	if c.kind.atHand() {
		err = c.certificateAtHand(got)
	} else {
		err = c.certificateNamed(got)
	}
	if err != nil {
		return err
	}
	if err := c.compileFields([]assignment{
		{&c.cert.status, got["Status"], statusWord},
		{&c.cert.attachment, got["ThingPrincipalType"], attachWord},
	}); err != nil {
		return err
	}
	return c.compileOverrides(over, properName, []setting{{"Status", &c.cert.override, false}})
}

// oneWay checks that the certificate is named in exactly one way.
func oneWay(at *strict.Value, got map[string]*strict.Value) error {
	n := 0
	for _, key := range []string{"CertificateId", "CertificateSigningRequest", "CertificatePem"} {
		if got[key] != nil {
			n++
		}
	}
	if n != 1 {
		return bad(at, "a certificate is named by exactly one of CertificateId, CertificateSigningRequest and CertificatePem; here are %d.", n)
	}
	if ca := got["CACertificatePem"]; ca != nil && got["CertificatePem"] == nil {
		return bad(ca, "CACertificatePem goes only with CertificatePem.")
	}
	return nil
}

// certificateAtHand accepts the ways to name the certificate that the device
// holds, and no other certificate: a template must not hand out a stranger's.
func (c *compiler) certificateAtHand(got map[string]*strict.Value) error {
	const only = `the certificate of this kind of template is the one at hand: use CertificateId with {"Ref": "` + CertificateID + `"}.`
	if v := got["CertificateSigningRequest"]; v != nil {
		return bad(v, only)
	}
	if v := got["CACertificatePem"]; v != nil {
		return bad(v, only)
	}
	v := got["CertificateId"]
	if v == nil {
		v = got["CertificatePem"]
	}
	if !c.isAtHand(v, got["CertificateId"] != nil) {
		return bad(v, only)
	}
	e, err := c.name(v, CertificateID)
	c.cert.id = &field{place(v), e, refs{}, anything}
	return err
}

// isAtHand recognises AWS's reference, and the Fn::GetAtt that some users
// write for it (docs/divergences.md).
func (c *compiler) isAtHand(v *strict.Value, byID bool) bool {
	if v.Kind != strict.Object || len(v.Members) != 1 {
		return false
	}
	m := v.Members[0]
	switch m.Key {
	case "Ref":
		return byID && m.Value.Kind == strict.String && m.Value.Text == CertificateID
	case "Fn::GetAtt":
		at := m.Value.Items
		return len(at) == 2 && at[0].Text == "CSR" && at[1].Text == "certificatePem"
	}
	return false
}

// certificateNamed accepts any text: the caller is an operator.
func (c *compiler) certificateNamed(got map[string]*strict.Value) error {
	return c.compileFields([]assignment{
		{&c.cert.id, got["CertificateId"], certID},
		{&c.cert.csr, got["CertificateSigningRequest"], csrText},
		{&c.cert.pem, got["CertificatePem"], pemText},
		{&c.cert.ca, got["CACertificatePem"], pemText},
	})
}

// compilePolicy reads a policy (templates.md, section 2.3). Whether the
// document is a policy at all is found when it is applied.
func (c *compiler) compilePolicy(m strict.Member, props *strict.Value) error {
	got, err := properties(props, "PolicyName", "PolicyDocument")
	if err != nil {
		return err
	}
	p := &policy{logical: m.Key}
	name, doc := got["PolicyName"], got["PolicyDocument"]
	switch {
	case name == nil && doc == nil:
		return invalid("Neither policyName nor policyDocument is present in the Template. Expected one of them at %s.", place(props))
	case name != nil && doc != nil:
		return bad(doc, "a policy has PolicyName or PolicyDocument, not both.")
	case name != nil:
		p.name, err = c.field(name, policyName)
	default:
		p.document, err = c.documentField(doc)
	}
	if err != nil {
		return err
	}
	if c.policies = append(c.policies, p); len(c.policies) > maxPolicies {
		return bad(m.Value, "at most %d policies can be attached to a certificate.", maxPolicies)
	}
	return nil
}

// documentField compiles PolicyDocument: a string as it is, a function that
// yields the text, or the document itself as an object.
func (c *compiler) documentField(v *strict.Value) (*field, error) {
	if v.Kind == strict.Object && !looksLikeFunction(v) {
		c.refs = refs{}
		d, err := c.document(v)
		return &field{place(v), guarded{d}, c.refs, documentText}, err
	}
	f, err := c.field(v, documentText)
	if err == nil && v.Kind == strict.Object {
		f.expr = guarded{f.expr}
	}
	return f, err
}
