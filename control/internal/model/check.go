package model

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
)

// A Table is the model made ready for use. It does not change.
type Table struct {
	byName   map[string]*Operation
	patterns map[string]*regexp.Regexp // by the text in the model; none when it bounds nothing
}

// New compiles the patterns of the model. It fails only if the table holds a
// pattern that Go cannot read, which a test excludes.
func New() (*Table, error) {
	t := &Table{byName: make(map[string]*Operation, len(Operations)), patterns: map[string]*regexp.Regexp{}}
	for i := range Operations {
		t.byName[Operations[i].Name] = &Operations[i]
	}
	for _, shape := range Shapes {
		if shape.Pattern == "" || shape.Pattern == `[\s\S]*` || t.patterns[shape.Pattern] != nil {
			continue
		}
		re, err := regexp.Compile(`\A(?:` + posix.Replace(shape.Pattern) + `)\z`)
		if err != nil {
			return nil, err
		}
		t.patterns[shape.Pattern] = re
	}
	return t, nil
}

// posix turns the classes that Java writes like properties into Go's.
var posix = strings.NewReplacer(
	`\p{Graph}`, `[:graph:]`, `\p{Upper}`, `[:upper:]`, `\p{Digit}`, `[:digit:]`, `\p{Cntrl}`, `[:cntrl:]`,
)

// Operation gives the operation of the name, or nil.
func (t *Table) Operation(name string) *Operation { return t.byName[name] }

// constraints gives what the text violates of its shape, in AWS's words.
func (t *Table) constraints(name, text string) []string {
	shape := Shapes[name]
	var broken []string
	n := float64(utf8.RuneCountInString(text))
	if shape.HasMax && n > shape.Max {
		broken = append(broken, "Member must have length less than or equal to "+plain(shape.Max))
	}
	if shape.HasMin && n < shape.Min {
		broken = append(broken, "Member must have length greater than or equal to "+plain(shape.Min))
	}
	if re := t.patterns[shape.Pattern]; re != nil && !re.MatchString(text) {
		broken = append(broken, "Member must satisfy regular expression pattern: "+shape.Pattern)
	}
	if len(shape.Enum) > 0 && !slices.Contains(shape.Enum, text) {
		broken = append(broken, "Member must satisfy enum value set: ["+strings.Join(shape.Enum, ", ")+"]")
	}
	return broken
}

func plain(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

// maxViolations bounds how many are named; the count tells of all.
const maxViolations = 10

// A checker gathers what is out of bounds in one request.
type checker struct {
	table *Table
	said  []string
	count int
}

func (c *checker) violate(value, at, constraint string) {
	if value != "null" {
		value = "'" + arn.Clip(value, 120) + "'"
	}
	c.count++
	if c.count <= maxViolations {
		c.said = append(c.said, fmt.Sprintf("Value %s at '%s' failed to satisfy constraint: %s", value, arn.Clip(at, 200), constraint))
	}
}

func (c *checker) check(text, at string, broken []string) {
	for _, constraint := range broken {
		c.violate(text, at, constraint)
	}
}

// within is check for a part of a map.
func (c *checker) within(shown, at, part string, broken []string) {
	if len(broken) > 0 {
		c.violate(shown, at, part+" must satisfy constraint: ["+strings.Join(broken, ", ")+"]")
	}
}

func (c *checker) size(shape Shape, n int, at string) {
	if shape.HasMax && float64(n) > shape.Max {
		c.violate(strconv.Itoa(n)+" entries", at, "Member must have length less than or equal to "+plain(shape.Max))
	}
	if shape.HasMin && float64(n) < shape.Min {
		c.violate(strconv.Itoa(n)+" entries", at, "Member must have length greater than or equal to "+plain(shape.Min))
	}
}

// verdict gives all violations as one error, nil when there are none.
func (c *checker) verdict() error {
	if c.count == 0 {
		return nil
	}
	noun := "errors"
	if c.count == 1 {
		noun = "error"
	}
	return fault.New(fault.InvalidRequest, "%d validation %s detected: %s", c.count, noun, strings.Join(c.said, "; "))
}
