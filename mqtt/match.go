package mqtt

import "strings"

// Matches says whether a topic filter matches a topic, level by level. A
// wildcard at the front matches no topic that begins with $ (MQTT 5.0, 4.7.2),
// and a/# does not match a, as on AWS.
func Matches(filter, topic string) bool {
	if strings.HasPrefix(topic, "$") != strings.HasPrefix(filter, "$") {
		return false
	}
	for {
		f, restF, moreF := strings.Cut(filter, "/")
		t, restT, moreT := strings.Cut(topic, "/")
		if f == "#" {
			return true
		}
		if f != "+" && f != t {
			return false
		}
		if !moreF || !moreT {
			return moreF == moreT
		}
		filter, topic = restF, restT
	}
}
