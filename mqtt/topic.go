package mqtt

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxText is the longest string and the longest binary field, in bytes
// (MQTT 5.0, 1.5.4 and 1.5.6).
const maxText = 65_535

// sharePrefix begins the filter of a shared subscription (MQTT 5.0, 4.8.2).
const sharePrefix = "$share/"

// ValidTopic says what keeps s from being a topic name (MQTT 5.0, 4.7.3), as an
// *Error with TopicNameInvalid, or nil.
func ValidTopic(s string) error {
	what := topicFlaw(s)
	if what == "" {
		return nil
	}
	return &Error{Code: TopicNameInvalid, Text: "The topic name " + what + "."}
}

// ValidFilter says what keeps s from being a topic filter (MQTT 5.0, 4.7.1), or
// the filter of a shared subscription, $share/GROUP/FILTER (4.8.2), as an *Error
// with TopicFilterInvalid, or nil.
func ValidFilter(s string) error {
	what := filterFlaw(s)
	if what == "" {
		return nil
	}
	return &Error{Code: TopicFilterInvalid, Text: "The topic filter " + what + "."}
}

// ParseShare takes $share/GROUP/FILTER apart. It is ok if GROUP is a share name
// and FILTER is not empty; whether FILTER is valid is for ValidFilter.
func ParseShare(filter string) (group, rest string, ok bool) {
	after, shared := strings.CutPrefix(filter, sharePrefix)
	if !shared {
		return "", "", false
	}
	group, rest, _ = strings.Cut(after, "/")
	if group == "" || rest == "" || strings.ContainsAny(group, "+#") {
		return "", "", false
	}
	return group, rest, true
}

// topicFlaw says what is wrong with a topic name; it is empty if nothing is.
func topicFlaw(s string) string {
	switch {
	case s == "":
		return "is empty"
	case strings.ContainsAny(s, "+#"):
		return "contains a wildcard"
	}
	return textFlaw(s)
}

// filterFlaw is topicFlaw for filters.
func filterFlaw(s string) string {
	if what := textFlaw(s); what != "" {
		return what
	}
	rest := s
	if strings.HasPrefix(s, sharePrefix) {
		var ok bool
		if _, rest, ok = ParseShare(s); !ok {
			return "begins with $share/ and is not of the form $share/GROUP/FILTER"
		}
	}
	if rest == "" {
		return "is empty"
	}
	return wildcardFlaw(rest)
}

// wildcardFlaw holds the two rules of MQTT 5.0, 4.7.1: a wildcard fills its
// level, and # stands in the last one.
func wildcardFlaw(s string) string {
	for more := true; more; {
		var level string
		level, s, more = strings.Cut(s, "/")
		switch {
		case len(level) > 1 && strings.ContainsAny(level, "+#"):
			return "has a wildcard that does not fill its level"
		case level == "#" && more:
			return "has a # that is not its last level"
		}
	}
	return ""
}

// textFlaw says what is wrong with a UTF-8 encoded string (MQTT 5.0, 1.5.4);
// it is empty if nothing is. Surrogates are not well-formed UTF-8.
func textFlaw(s string) string {
	switch {
	case len(s) > maxText:
		return fmt.Sprintf("is longer than %d bytes", maxText)
	case !utf8.ValidString(s):
		return "is not well-formed UTF-8"
	case strings.IndexByte(s, 0) >= 0:
		return "contains the character U+0000"
	}
	return ""
}

// checkText is textFlaw for a named field of a packet.
func checkText(t Type, field, s string) error {
	if what := textFlaw(s); what != "" {
		return malformed(t, "the %s %s.", field, what)
	}
	return nil
}

// checkBytes holds the length of a binary field (MQTT 5.0, 1.5.6).
func checkBytes(t Type, field string, b []byte) error {
	if len(b) > maxText {
		return malformed(t, "the %s is longer than %d bytes.", field, maxText)
	}
	return nil
}
