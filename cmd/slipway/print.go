package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// writeJSON prints v for a machine.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// writeTable prints rows under a head, cells divided by tabs.
func writeTable(w io.Writer, head string, rows []string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, head)
	for _, r := range rows {
		fmt.Fprintln(t, r)
	}
	return t.Flush()
}

// A sheet prints one thing as lines of "name:  value", the values in a column.
type sheet struct {
	w     io.Writer
	width int
}

// line prints a value; further values stand below the first. No value prints
// nothing.
func (s sheet) line(name string, values ...string) {
	for _, v := range values {
		if v == "" {
			continue
		}
		if name != "" {
			name += ":"
		}
		fmt.Fprintf(s.w, "%-*s %s\n", s.width, name, v)
		name = ""
	}
}

// pairs gives a map as "name = value", sorted.
func pairs(m map[string]string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out = append(out, name+" = "+m[name])
	}
	return out
}

// An epoch is a moment as AWS's JSON has it: seconds since 1970.
type epoch float64

func (e epoch) time() time.Time { return time.UnixMilli(int64(e * 1000)).UTC() }

func (e epoch) String() string {
	if e == 0 {
		return "-"
	}
	return e.time().Format("2006-01-02 15:04:05 UTC")
}

// indentJSON gives a document as people read it, its members in their order;
// what is not JSON stays as it is.
func indentJSON(text string) string {
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(text), "", "  "); err != nil {
		return text
	}
	return b.String()
}

// sortedJSON gives a document with its members in the order of the alphabet,
// so that two documents that mean the same have the same text.
func sortedJSON(text string) (string, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return "", err
	}
	var b strings.Builder
	err := writeJSON(&b, v)
	return b.String(), err
}

// either gives text if the condition holds, else nothing.
func either(condition bool, text string) string {
	if condition {
		return text
	}
	return ""
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
