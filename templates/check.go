package templates

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/slipway-iot/slipway/arn"
)

// A rule is what a value has to be after evaluation (templates.md, section 2).
type rule struct {
	what   string // completes "is not …"
	ok     func(string) bool
	hidden bool // the value is too long or too private to be repeated
}

var (
	thingName    = &rule{what: "a thing name: 1 to 128 letters, digits, ':', '_' or '-'", ok: isName}
	typeName     = &rule{what: "the name of a thing type: 1 to 128 letters, digits, ':', '_' or '-'", ok: isName}
	groupName    = &rule{what: "the name of a thing group: 1 to 128 letters, digits, ':', '_' or '-'", ok: isName}
	billingName  = &rule{what: "the name of a billing group: 1 to 128 letters, digits, ':', '_' or '-'", ok: isName}
	policyName   = &rule{what: "a policy name: 1 to 128 letters, digits or '_+=,.@-'", ok: isPolicyName}
	attribute    = &rule{what: "an attribute value: at most 800 letters, digits or '_.,@/:#=[]-'", ok: isAttribute}
	certID       = &rule{what: "a certificate id: 64 hexadecimal digits", ok: isCertID}
	csrText      = &rule{what: "a signing request: 1 to 4096 characters", ok: within(1, 4096), hidden: true}
	pemText      = &rule{what: "a certificate: 1 to 65536 characters", ok: within(1, 65536), hidden: true}
	documentText = &rule{what: "a policy document", ok: within(1, maxRendered), hidden: true}
	configText   = &rule{what: "printable text", ok: isConfig}
	anything     = &rule{ok: func(string) bool { return true }}
	statusWord   = &rule{what: "ACTIVE or INACTIVE", ok: isOne(strings.EqualFold, Active, Inactive)}
	attachWord   = &rule{what: "NON_EXCLUSIVE_THING or EXCLUSIVE_THING", ok: isOne(same, NonExclusive, Exclusive)}
)

func isName(s string) bool       { return sized(s, 1, 128) && only(s, ":_-") }
func isPolicyName(s string) bool { return sized(s, 1, 128) && only(s, "_+=,.@-") }
func isAttribute(s string) bool  { return sized(s, 0, 800) && only(s, "_.,@/:#=[]-") }

// isAttributeName holds for the key of an attribute, which no intrinsic makes.
func isAttributeName(s string) bool { return sized(s, 1, 128) && only(s, "_.,@/:#-") }

func isCertID(s string) bool {
	_, err := arn.ParseCertID(s)
	return err == nil
}

// isConfig holds for what a device can be told: line ends and tabs are part of
// texts such as a PEM, other control characters are mistakes.
func isConfig(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool {
		return unicode.IsControl(c) && !strings.ContainsRune("\n\r\t", c)
	})
}

func sized(s string, least, most int) bool { return len(s) >= least && len(s) <= most }

// only says whether s is made of ASCII letters, digits and the bytes of extra.
func only(s, extra string) bool {
	for i := range len(s) {
		c := s[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && strings.IndexByte(extra, c) < 0 {
			return false
		}
	}
	return true
}

func within(least, most int) func(string) bool {
	return func(s string) bool {
		n := utf8.RuneCountInString(s)
		return n >= least && n <= most
	}
}

func same(a, b string) bool { return a == b }

func isOne(equal func(a, b string) bool, words ...string) func(string) bool {
	return func(s string) bool {
		for _, w := range words {
			if equal(s, w) {
				return true
			}
		}
		return false
	}
}
