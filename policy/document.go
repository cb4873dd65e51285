package policy

// MaxCharacters is how long a document may be on AWS, white space not counted
// (policies.md, section 1). An account may have another limit.
const MaxCharacters = 2048

// maxRaw bounds the text with its white space; it is what the API's field
// takes.
const maxRaw = 404600

// A Document is a policy as its author wrote it, known to be well formed. It
// does not change after Parse.
type Document struct {
	version    string
	statements []statement
}

// versionWithVariables is the version in which ${…} means something; in the
// older one it is text (policies.md, section 1).
const versionWithVariables = "2012-10-17"

const versionWithoutVariables = "2008-10-17"

func (d *Document) variables() bool { return d.version == versionWithVariables }

// A statement is one entry of the document's list.
type statement struct {
	sid         string
	deny        bool
	actions     []element
	notAction   bool // the list says which actions are not meant
	resources   []element
	notResource bool
	conditions  []clause
}

// An element is one string of a document with its place, for messages.
type element struct {
	text  string
	where string // such as Statement[0].Resource[1] (line 9)
}

// A clause is one operator and key of a Condition with its values.
type clause struct {
	operator string
	key      string
	values   []string
	where    string
}
