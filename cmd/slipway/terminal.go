package main

import (
	"os"
	"strings"
	"unicode/utf8"
)

// terminal says whether w is one that shows colours.
func terminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0 && os.Getenv("NO_COLOR") == "" && !strings.HasPrefix(os.Getenv("TERM"), "dumb")
}

func red(w any) string {
	if terminal(w) {
		return "\x1b[1;31m"
	}
	return ""
}

func reset(w any) string {
	if terminal(w) {
		return "\x1b[0m"
	}
	return ""
}

// columns is the width of the terminal w; 0 if it is none, for a file or a
// pipe has lines of any length.
func columns(w any) int {
	if f, ok := w.(*os.File); ok {
		return windowWidth(f)
	}
	return 0
}

// least is the room that a sentence needs so that breaking it helps.
const least = 24

// wrap breaks text between words, so that it fits into width columns when its
// first line begins at column indent; the others are indented as far. A word
// that is longer than the room stands alone. A width of 0 breaks nothing.
func wrap(text string, width, indent int) string {
	room := width - indent
	if room < least {
		return text
	}
	var b strings.Builder
	used := 0
	for _, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case used == 0:
		case used+1+n > room:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			used = 0
		default:
			b.WriteByte(' ')
			used++
		}
		b.WriteString(word)
		used += n
	}
	return b.String()
}
