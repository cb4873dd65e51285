package rules

import "strings"

// TopicFilter gives the topic filter of the rule's FROM, empty if the SQL has
// none. It only looks for the word outside quotes and brackets; whether the SQL
// is well formed is not asked here.
func TopicFilter(sql string) string {
	depth := 0
	for i := 0; i < len(sql); {
		switch c := sql[i]; {
		case c == '\'' || c == '"':
			_, n := quoted(sql[i:])
			i += n
			continue
		case c == '(' || c == '[' || c == '{':
			depth++
		case c == ')' || c == ']' || c == '}':
			depth--
		case isWord(c):
			n := wordLength(sql[i:])
			if depth == 0 && strings.EqualFold(sql[i:i+n], "FROM") {
				text, _ := quoted(strings.TrimLeft(sql[i+n:], " \t\r\n"))
				return text
			}
			i += n
			continue
		}
		i++
	}
	return ""
}

// quoted reads a text in single or double quotes and says how long it is with
// them; one that is not closed ends with the SQL. Other text is no quoted one.
func quoted(s string) (text string, n int) {
	if s == "" || s[0] != '\'' && s[0] != '"' {
		return "", 0
	}
	end := strings.IndexByte(s[1:], s[0])
	if end < 0 {
		return "", len(s)
	}
	return s[1 : end+1], end + 2
}

func wordLength(s string) int {
	n := 0
	for n < len(s) && isWord(s[n]) {
		n++
	}
	return n
}

func isWord(c byte) bool {
	return c == '_' || c == '.' || c == '$' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// Matches says whether a topic filter matches the topic, or is it. A wildcard
// does not reach a topic that begins with $ (MQTT 5.0, 4.7.2), and a/# is not
// about a, as on AWS.
func Matches(filter, topic string) bool {
	if filter == topic {
		return true
	}
	if strings.HasPrefix(topic, "$") && !strings.HasPrefix(filter, "$") {
		return false
	}
	f, t := strings.Split(filter, "/"), strings.Split(topic, "/")
	for i, level := range f {
		if level == "#" {
			return i < len(t)
		}
		if i >= len(t) || level != "+" && level != t[i] {
			return false
		}
	}
	return len(f) == len(t)
}
