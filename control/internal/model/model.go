// Package model is the request half of AWS's machine-readable description of
// the IoT control plane: every operation with its method and path, and every
// shape that a request may hold with its bounds.
//
// table.go is generated from service-2.json of botocore (Apache-2.0):
//
//	go run ./control/internal/model/generate service-2.json.gz >control/internal/model/table.go
package model

// A Kind is the type of a shape.
type Kind uint8

const (
	String Kind = iota
	Structure
	List
	Map
	Integer // 32 or 64 bits
	Double
	Boolean
	Timestamp
	Blob
)

// A Place is where a member of a request travels.
type Place uint8

const (
	Body Place = iota
	Path
	Query
	Header
	Whole // the body is this member
)

// An Operation is one entry of the API.
type Operation struct {
	Name   string
	Method string
	Path   string // with {member} and {member+} for greedy ones
	Input  string // name of the request's shape; empty when it has no members
}

// A Shape is a type with its bounds. Min and Max bound the length of strings,
// lists and maps, and the value of numbers; each holds only if its flag does.
type Shape struct {
	Kind    Kind
	HasMin  bool
	HasMax  bool
	Min     float64
	Max     float64
	Pattern string   // as AWS writes it, for messages
	Enum    []string // the values a string may have
	Of      string   // shape of a list's items or a map's values
	Keys    string   // shape of a map's keys
	Members []Member // of a structure
}

// A Member is a part of a structure.
type Member struct {
	Name     string // as in messages
	Wire     string // on the wire
	Shape    string
	In       Place
	Required bool
}
