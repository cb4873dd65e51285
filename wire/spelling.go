package wire

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// requestMembers are the members that requests may have, each with the
// operation it belongs to, for hints about misspelt ones.
var requestMembers = []struct {
	name string
	op   Operation
}{
	{memberCSR, CreateFromCSR},
	{memberToken, RegisterThing},
	{memberParameters, RegisterThing},
}

// maxTypos is how many letters may be wrong in a name that is still meant.
const maxTypos = 2

// hint adds what probably caused a fault. Examples circulate in which a key's
// length is larger than the key and the name is misspelt besides: the key then
// swallows the head of its value, and the fault shows only behind it. Only the
// key read last can have done that.
func (w *walker) hint() string {
	if len(w.keys) == 0 {
		return ""
	}
	k := w.keys[len(w.keys)-1]
	meant, op, spelt := swallowed(k.name)
	if meant == "" {
		return ""
	}
	s := fmt.Sprintf(" The key at byte %d says it has %d bytes, but the name in it, %q, has %d", k.header, len(k.name), spelt, len(spelt))
	if spelt != meant {
		s += fmt.Sprintf("; the member of %s is called %q and has %d", op, meant, len(meant))
	}
	return s + "." + w.reread(k.start+len(spelt))
}

// reread looks at the value as it stands behind a key of the right length.
func (w *walker) reread(pos int) string {
	again := &walker{data: w.data, pos: pos}
	again.item(2)
	if again.wrong == "" || again.at != pos {
		return ""
	}
	return fmt.Sprintf(" Its value, at byte %d, is wrong too: %s.", pos, again.wrong)
}

// swallowed finds a member's name, perhaps misspelt, at the start of a longer
// key, and says which member was meant and how it was spelt.
func swallowed(key string) (meant string, op Operation, spelt string) {
	best := maxTypos + 1
	for _, m := range requestMembers {
		for n := len(m.name) - maxTypos; n <= min(len(key), len(m.name)+maxTypos); n++ {
			if d := typos(key[:n], m.name); d < best {
				best, meant, op, spelt = d, m.name, m.op, key[:n]
			}
		}
	}
	if len(spelt) == len(key) {
		return "", 0, ""
	}
	return meant, op, spelt
}

// lookalike is a half sentence about a member that was probably meant to be
// called name, or nothing.
func (m members) lookalike(name string) string {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if key != name && typos(strings.ToLower(key), strings.ToLower(name)) <= maxTypos {
			return fmt.Sprintf("; the payload has %q, which is spelt differently", clip(key))
		}
	}
	return ""
}

// typos is the Levenshtein distance of two texts, byte by byte. Texts whose
// lengths alone differ too much are not compared.
func typos(a, b string) int {
	if len(a)-len(b) > maxTypos || len(b)-len(a) > maxTypos {
		return maxTypos + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}

// clip shortens foreign text for a sentence and keeps it valid.
func clip(s string) string {
	const limit = 64
	if len(s) > limit {
		s = s[:limit] + "…"
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\ufffd")
	}
	return s
}
