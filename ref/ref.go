// Package ref holds two words that every registry needs: a Link, which ties
// two resources together by name, and a Page of a long list.
package ref

import "time"

// A Kind says what a link means and what its two ends are.
type Kind string

const (
	PolicyTarget   Kind = "policy-target"   // policy name, target ARN
	ThingPrincipal Kind = "thing-principal" // thing name, principal ARN; Data is the thingPrincipalType
	GroupThing     Kind = "group-thing"     // thing group name, thing name
	BillingThing   Kind = "billing-thing"   // billing group name, thing name
)

// A Link ties Left to Right. At most one link of a kind joins the same two.
type Link struct {
	Left, Right string
	Data        string
	Created     time.Time
}

// A Page asks for part of a list. After is the cursor that the part before it
// returned, empty for the first; Limit counts entries and is at least 1.
type Page struct {
	After      string
	Limit      int
	Descending bool
}

// All is a page large enough for lists that are bounded by a small limit.
var All = Page{Limit: 1000}
