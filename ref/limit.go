package ref

// A Limit names a bound of size or count that an account may set for itself.
// What AWS has for it, and how far it may go, says package tenants.
type Limit string

// The limits, each named after what it counts.
const (
	Attributes           Limit = "attributes"             // of a thing without a type
	TypedAttributes      Limit = "typed-attributes"       // of a thing with a type
	GroupAttributes      Limit = "group-attributes"       // of a thing group
	SearchableAttributes Limit = "searchable-attributes"  // of a thing type
	GroupsPerThing       Limit = "groups-per-thing"       // that hold the thing itself
	GroupDepth           Limit = "group-depth"            // levels of a hierarchy
	GroupChildren        Limit = "group-children"         // directly below a group
	PoliciesPerPrincipal Limit = "policies-per-principal" // attached to a certificate or an identity
	PoliciesPerGroup     Limit = "policies-per-group"     // attached to a thing group
	PolicyVersions       Limit = "policy-versions"        // of a policy, at a time
	PolicyCharacters     Limit = "policy-characters"      // of a policy document, white space not counted
	Tags                 Limit = "tags"                   // of a resource
	TemplateCharacters   Limit = "template-characters"    // of a template
	Templates            Limit = "templates"              // of an account
	TemplateVersions     Limit = "template-versions"      // of a template, at a time
	CAsPerSubject        Limit = "cas-per-subject"        // CA certificates of an account with one subject
	PropagatedAttributes Limit = "propagated-attributes"  // of a thing type
	Rules                Limit = "rules"                  // topic rules of an account
	RoleAliases          Limit = "role-aliases"           // of an account
	Authorizers          Limit = "authorizers"            // of an account
	ActiveAuthorizers    Limit = "active-authorizers"     // of an account, in status ACTIVE
	DomainConfigurations Limit = "domain-configurations"  // of an account, made by itself
	SessionExpiry        Limit = "session-expiry"         // seconds that an MQTT session may outlive its connection
	CustomFields         Limit = "custom-fields"          // of an index
	RetainedMessages     Limit = "retained-messages"      // of an account
)
