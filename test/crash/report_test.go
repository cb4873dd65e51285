package crash

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// A row is what came of one case.
type row struct {
	Store, Point                    string
	Kills, Devices                  int
	Things, Active, Reaped, Pending int
	Stuck                           int
}

// A report gathers what a run has shown.
type report struct {
	seed  uint64
	rows  []row
	notes []string
}

func (r *report) add(row row) { r.rows = append(r.rows, row) }

func (r *report) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// table is the report in Markdown.
func (r *report) table() string {
	var b strings.Builder
	b.WriteString("| store | killed at | kills | devices | things | ACTIVE certificates | reaped | pending after reaping | stuck devices |\n")
	b.WriteString("|---|---|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, w := range r.rows {
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %d | %d | %d | %d | %d |\n",
			w.Store, w.Point, w.Kills, w.Devices, w.Things, w.Active, w.Reaped, w.Pending, w.Stuck)
	}
	b.WriteString("\n" + strings.Join(r.notes, "\n") + "\n")
	fmt.Fprintf(&b, "\nRepeated by `SLIPWAY_LONG=1 go test ./test/crash -timeout 60m -reliability ../../docs/reliability.md`; this run had `-seed %d`.\n", r.seed)
	return b.String()
}

// The section of the document that the table replaces.
const (
	tableBegin = "<!-- crash table -->"
	tableEnd   = "<!-- end -->"
)

// write puts the table between the markers of the document, which is made when
// there is none.
func (r *report) write(path string) error {
	old, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		old, err = []byte("# Reliability\n\n"+tableBegin+"\n"+tableEnd+"\n"), nil
	}
	if err != nil {
		return err
	}
	head, rest, begins := strings.Cut(string(old), tableBegin)
	_, tail, ends := strings.Cut(rest, tableEnd)
	if !begins || !ends {
		return fmt.Errorf("%s: expected a section between %s and %s", path, tableBegin, tableEnd)
	}
	return os.WriteFile(path, []byte(head+tableBegin+"\n"+r.table()+tableEnd+tail), 0o644)
}
