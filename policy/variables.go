package policy

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// A variable is a name that has a value for a connection: ${name} in a resource
// or a condition value, and name alone as a condition key (policies.md,
// section 2). Names are compared without case; the names of thing attributes are
// data and keep theirs.
type variable struct {
	name  string // as written
	of    source
	field int    // into certFields, if of is certName or certAltName
	issue bool   // the issuer's name, not the subject's
	list  bool   // NAME.List: all values
	index int    // NAME.N: the value with that number, from 0
	attr  string // of a thing
}

// A source is where a variable's value comes from.
type source uint8

const (
	nowhere source = iota // a name that nobody knows, or that is never known here
	clientID
	sourceIP
	certificateID
	thingName
	thingType
	thingAttribute
	thingAttached
	certSerial
	certKeys
	certName
	certAltName
	connectAttributes
	lastWillTopic
	directTopic
)

var plainNames = map[string]source{
	"iot:clientid":                       clientID,
	"aws:sourceip":                       sourceIP,
	"iot:certificateid":                  certificateID,
	"iot:connection.thing.thingname":     thingName,
	"iot:connection.thing.thingtypename": thingType,
	"iot:connection.thing.isattached":    thingAttached,
	"iot:certificate.serialnumber":       certSerial,
	"iot:certificate.availablekeys":      certKeys,
	"iot:connectattributes":              connectAttributes,
	"iot:lastwilltopic":                  lastWillTopic,
	"iot:topic":                          directTopic,
	"aws:sourcevpc":                      nowhere,
	"aws:sourcevpce":                     nowhere,
	"aws:vpcsourceip":                    nowhere,
	"iot:includesocketinformation":       nowhere,
}

const (
	attributesPrefix = "iot:connection.thing.attributes["
	subjectPrefix    = "iot:certificate.subject."
	issuerPrefix     = "iot:certificate.issuer."
)

// parseVariable knows what a name stands for; known is false for a name that is
// not in policies.md, section 2, and then it never has a value.
func parseVariable(name string) (v variable, known bool) {
	v.name = name
	low := strings.ToLower(name)
	if of, ok := plainNames[low]; ok {
		v.of = of
		return v, true
	}
	if strings.HasPrefix(low, attributesPrefix) && strings.HasSuffix(low, "]") {
		v.of, v.attr = thingAttribute, name[len(attributesPrefix):len(name)-1]
		return v, true
	}
	rest, ok := strings.CutPrefix(low, subjectPrefix)
	if !ok {
		if rest, ok = strings.CutPrefix(low, issuerPrefix); !ok {
			return v, false
		}
		v.issue = true
	}
	return v, v.certificateField(rest)
}

// certificateField reads what follows Subject. or Issuer.: a field, and perhaps
// .List or .N. The vendor's text numbers from one and then calls .1 the second
// value; numbering from zero agrees with its examples (policies.md,
// section 2.2).
func (v *variable) certificateField(rest string) bool {
	if dot := strings.LastIndexByte(rest, '.'); dot >= 0 {
		last := rest[dot+1:]
		if n, err := strconv.ParseUint(last, 10, 8); err == nil {
			v.index, rest = int(n), rest[:dot]
		} else if last == "list" {
			v.list, rest = true, rest[:dot]
		}
	}
	for i, f := range certFields {
		if strings.ToLower(f.name) == rest {
			v.field, v.of = i, certName
			if f.alternative() {
				v.of = certAltName
			}
			return true
		}
	}
	return false
}

// many says whether the variable stands for a set, which only conditions can
// use.
func (v *variable) many() bool {
	return v.list || v.of == certKeys || v.of == connectAttributes
}

// perConnect says whether the key has a value for iot:Connect alone
// (policies.md, section 3).
func (v *variable) perConnect() bool {
	return v.of == connectAttributes || v.of == lastWillTopic
}

// keyOnly says whether the name is a condition key and no variable.
func (v *variable) keyOnly() bool { return v.many() || v.perConnect() || v.of == directTopic }

// action is the one for which alone the key has a value, or unknownAction.
func (v *variable) action() int {
	switch {
	case v.perConnect():
		return actConnect
	case v.of == directTopic:
		return actDirect
	}
	return unknownAction
}

// A template is a pattern before it is bound to a connection.
type template struct {
	whole pattern // if parts is nil
	parts []part
}

// A part is literal text with wildcards, or a variable.
type part struct {
	text     string
	variable *variable
}

// lexing says what is special in a text.
type lexing struct {
	wild      bool // * and ? are wildcards
	variables bool // ${name}, ${*}, ${?} and ${$} are replaced
}

func newTemplate(text string, l lexing) template {
	parts := lex(text, l)
	for _, p := range parts {
		if p.variable != nil {
			return template{parts: parts}
		}
	}
	if len(parts) == 0 {
		return template{}
	}
	return template{whole: newPattern(parts[0].text)}
}

// lex cuts a text at its variables. Neighbouring texts are one part.
func lex(text string, l lexing) []part {
	var parts []part
	var lit strings.Builder
	flush := func() {
		if lit.Len() > 0 {
			parts = append(parts, part{text: lit.String()})
			lit.Reset()
		}
	}
	for i := 0; i < len(text); {
		c := text[i]
		if l.variables && c == '$' {
			if special, n := escape(text[i:]); n > 0 {
				lit.WriteByte(special)
				i += n
				continue
			}
			if name, n := reference(text[i:]); n > 0 {
				flush()
				v, _ := parseVariable(name)
				parts = append(parts, part{variable: &v})
				i += n
				continue
			}
		}
		lit.WriteByte(wildcard(c, l.wild))
		i++
	}
	flush()
	return parts
}

func wildcard(c byte, wild bool) byte {
	switch {
	case wild && c == '*':
		return anyRun
	case wild && c == '?':
		return oneChar
	}
	return c
}

// escape reads ${*}, ${?}, ${$} and the forms with round brackets, as which
// the vendor's pages print them.
func escape(s string) (special byte, n int) {
	if len(s) < 4 || strings.IndexByte("*?$", s[2]) < 0 {
		return 0, 0
	}
	if s[1] == '{' && s[3] == '}' || s[1] == '(' && s[3] == ')' {
		return s[2], 4
	}
	return 0, 0
}

// reference reads ${name}. A ${ that is not closed is ordinary text.
func reference(s string) (name string, n int) {
	if !strings.HasPrefix(s, "${") {
		return "", 0
	}
	end := strings.IndexByte(s, '}')
	if end < 0 {
		return "", 0
	}
	return s[2:end], end + 1
}

// bind puts values in the variables' places. It gives the first variable that has
// none, and then no pattern: policies.md, section 2.3 says that the text then stays and matches nothing
// that a client may send. A client may well send "${iot:ClientId}" as a text,
// so such a pattern is taken out instead of being compared.
func (t *template) bind(v *values) (p pattern, lacks *variable) {
	if t.parts == nil {
		return t.whole, nil
	}
	var b strings.Builder
	for _, p := range t.parts {
		if p.variable == nil {
			b.WriteString(p.text)
			continue
		}
		text, ok := v.substitute(p.variable)
		if !ok {
			return pattern{}, p.variable
		}
		b.WriteString(text)
	}
	return newPattern(b.String()), nil
}

// unresolved adds the template's variables without value.
func (t *template) unresolved(v *values, names []string) []string {
	for _, p := range t.parts {
		if p.variable == nil {
			continue
		}
		if _, ok := v.substitute(p.variable); !ok {
			names = append(names, p.variable.name)
		}
	}
	return names
}

// maxSubstituted is the longest value that replaces a variable.
const maxSubstituted = 1024

// substitute gives the text that replaces the variable, if it may be replaced
// (policies.md, section 2.3). What it gives is compared literally, whatever it
// holds.
func (v *values) substitute(x *variable) (string, bool) {
	if v == nil || x.keyOnly() {
		return "", false
	}
	text, ok := v.one(x)
	if !ok || !utf8.ValidString(text) || utf8.RuneCountInString(text) > maxSubstituted {
		return "", false
	}
	switch x.of {
	case thingName, thingType, thingAttribute:
		return text, !strings.ContainsAny(text, "*$+?#")
	case certSerial, certName, certAltName:
		return escaped.Replace(text), !strings.ContainsAny(text, "*$+?#")
	}
	return text, true
}

// escaped puts a backslash before the characters that certificate attributes
// carry it for.
var escaped = strings.NewReplacer(`,`, `\,`, `"`, `\"`, `\`, `\\`, `+`, `\+`, `=`, `\=`, `<`, `\<`, `>`, `\>`, `;`, `\;`)
