// Package arn holds the names of things as AWS writes them: tenants (an
// account in a region), certificate ids and Amazon Resource Names.
package arn

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"

	"github.com/slipway-iot/slipway/fault"
)

// A Tenant is one account in one region, as AWS scopes its registry. Every
// row, ARN and cache key carries it.
type Tenant struct {
	Account string // 12 digits
	Region  string // such as us-east-1
}

// Default is the tenant that exists from the first start.
var Default = Tenant{Account: "000000000000", Region: "us-east-1"}

var (
	accountForm = regexp.MustCompile(`^[0-9]{12}$`)
	regionForm  = regexp.MustCompile(`^[a-z]{2}(-[a-z0-9]+)+-[0-9]+$`)
	certIDForm  = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// Check says what is wrong with t, if anything.
func (t Tenant) Check() error {
	if !accountForm.MatchString(t.Account) {
		return fault.New(fault.InvalidRequest, "account %q: expected 12 digits", t.Account)
	}
	if !regionForm.MatchString(t.Region) {
		return fault.New(fault.InvalidRequest, "region %q: expected a name such as us-east-1", t.Region)
	}
	return nil
}

// String is the tenant's key in stores and logs: ACCOUNT/REGION.
func (t Tenant) String() string { return t.Account + "/" + t.Region }

// ParseTenant reads what String wrote.
func ParseTenant(s string) (Tenant, error) {
	account, region, ok := strings.Cut(s, "/")
	t := Tenant{account, region}
	if !ok {
		return t, fault.New(fault.InvalidRequest, "tenant %q: expected ACCOUNT/REGION", s)
	}
	return t, t.Check()
}

// Resource builds arn:aws:iot:REGION:ACCOUNT:KIND/NAME.
func (t Tenant) Resource(kind, name string) string {
	return "arn:aws:iot:" + t.Region + ":" + t.Account + ":" + kind + "/" + name
}

func (t Tenant) Cert(id CertID) string       { return t.Resource("cert", string(id)) }
func (t Tenant) Thing(name string) string    { return t.Resource("thing", name) }
func (t Tenant) Policy(name string) string   { return t.Resource("policy", name) }
func (t Tenant) Template(name string) string { return t.Resource("provisioningtemplate", name) }

// A CertID is the SHA-256 of a certificate's DER, 64 lower-case hex digits.
// It is AWS's certificateId, and here the identity of a connection.
type CertID string

// IDOf gives the id of the certificate with these DER bytes.
func IDOf(der []byte) CertID {
	sum := sha256.Sum256(der)
	return CertID(hex.EncodeToString(sum[:]))
}

// ParseCertID accepts 64 hex digits in either case, with or without 0x
// (certificates-lifecycle.md, section 1).
func ParseCertID(s string) (CertID, error) {
	id := strings.ToLower(strings.TrimPrefix(strings.TrimPrefix(s, "0x"), "0X"))
	if !certIDForm.MatchString(id) {
		return "", fault.New(fault.InvalidRequest, "certificate id %q: expected 64 hexadecimal digits", Clip(s, 80))
	}
	return CertID(id), nil
}

// A Name is an ARN taken apart.
type Name struct {
	Partition, Service, Region, Account string
	Kind                                string // such as cert, thing, policy
	ID                                  string // what follows the first slash; may hold slashes
}

// Tenant gives the tenant that the name belongs to.
func (n Name) Tenant() Tenant { return Tenant{n.Account, n.Region} }

// Parse takes an ARN apart. It does not check that the parts exist.
func Parse(s string) (Name, error) {
	p := strings.SplitN(s, ":", 6)
	if len(p) != 6 || p[0] != "arn" || len(s) > 2048 {
		return Name{}, fault.New(fault.InvalidRequest, "%q is not an ARN: expected arn:aws:iot:REGION:ACCOUNT:KIND/NAME", Clip(s, 80))
	}
	kind, id, ok := strings.Cut(p[5], "/")
	if !ok { // lambda: arn:aws:lambda:REGION:ACCOUNT:function:NAME
		kind, id, _ = strings.Cut(p[5], ":")
	}
	return Name{p[1], p[2], p[3], p[4], kind, id}, nil
}

// Clip shortens foreign text for a message and marks the cut.
func Clip(s string, max int) string {
	if len(s) <= max {
		return s
	}
	return strings.ToValidUTF8(s[:max], "") + "…"
}
