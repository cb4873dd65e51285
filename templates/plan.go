package templates

// A Plan is what a template with one device's values would do to the
// registry. It is plain data: it can be printed, compared, and thrown away.
type Plan struct {
	Thing       *ThingPlan       `json:"thing,omitempty"`       // nil: the template declares no thing
	Certificate *CertificatePlan `json:"certificate,omitempty"` // nil only if an Inline template declares none
	Policies    []PolicyPlan     `json:"policies,omitempty"`    // in the order of the template

	// DeviceConfiguration is what a fleet device is told. It is empty if the
	// template has none, and nil for other kinds, which have no reply to
	// carry it.
	DeviceConfiguration map[string]string `json:"deviceConfiguration,omitempty"`

	// Names gives each logical name of the template the type of its resource,
	// such as AWS::IoT::Thing. RegisterThing's resourceArns are keyed by them.
	Names map[string]string `json:"names"`
}

// A ThingPlan is the thing as the template wants it. The Given members tell a
// property that the template leaves out from one that is empty.
type ThingPlan struct {
	Name            string            `json:"name"`
	Type            string            `json:"type,omitempty"`
	TypeGiven       bool              `json:"typeGiven"`
	Attributes      map[string]string `json:"attributes,omitempty"`
	AttributesGiven bool              `json:"attributesGiven"`
	Groups          []string          `json:"groups,omitempty"` // without repetition, in the template's order
	GroupsGiven     bool              `json:"groupsGiven"`
	BillingGroup    string            `json:"billingGroup,omitempty"`
	Override        ThingOverride     `json:"override"`
}

// A CertificatePlan names the certificate in one of three ways and says what
// becomes of it. For fleet and JITP templates ID is the certificate at hand.
type CertificatePlan struct {
	Status           string   `json:"status"`        // ACTIVE or INACTIVE
	PrincipalType    string   `json:"principalType"` // how it is attached to the thing
	ID               string   `json:"id,omitempty"`  // an existing certificate
	CSR              string   `json:"csr,omitempty"` // to be signed
	PEM              string   `json:"pem,omitempty"` // to be registered
	CACertificatePEM string   `json:"caCertificatePem,omitempty"`
	Override         Override `json:"override,omitempty"` // of Status
}

// The ways a certificate can be attached to a thing (methods.md, section 1.3).
const (
	NonExclusive = "NON_EXCLUSIVE_THING"
	Exclusive    = "EXCLUSIVE_THING"
)

// The statuses a template can give a certificate.
const (
	Active   = "ACTIVE"
	Inactive = "INACTIVE"
)

// A PolicyPlan names a policy to attach. Without a Document the policy must
// exist; with one it is made under Name unless it exists already.
type PolicyPlan struct {
	Logical  string `json:"logical"`
	Name     string `json:"name"`
	Document string `json:"document,omitempty"`
}

// Input holds the values a template is rendered with.
type Input struct {
	Parameters map[string]string // of the request; keys that begin AWS:: are ignored
	Overrides  map[string]string // of the hook
	Service    map[string]string // what the service knows, such as AWS::IoT::Certificate::Id
}
