package crash

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
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
	section string // of the document that its table replaces
	seed    uint64 // zero: the run made no choices
	rows    []row
	notes   []string
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
		fmt.Fprintf(&b, "| %s | %s | %d |", w.Store, w.Point, w.Kills)
		for _, n := range []int{w.Devices, w.Things, w.Active, w.Reaped, w.Pending, w.Stuck} {
			if w.Devices == 0 {
				b.WriteString(" – |")
			} else {
				fmt.Fprintf(&b, " %d |", n)
			}
		}
		b.WriteByte('\n')
	}
	if r.section == claimSection {
		b.WriteString("\n*Reaped* are certificates whose answer the crash swallowed: the device asked for another one, and these went with their tokens.\n")
	}
	for _, note := range r.notes {
		b.WriteString("\n- " + note)
	}
	b.WriteString("\n\nRepeated by `SLIPWAY_LONG=1 go test ./test/crash -timeout 60m -reliability ../../docs/reliability.md`")
	if r.seed != 0 {
		fmt.Fprintf(&b, "; this run had `-seed %d`", r.seed)
	}
	b.WriteString(".\n")
	return b.String()
}

// The sections of the document that tables replace.
const (
	claimSection   = "crash table"
	arrivalSection = "arrivals table"
	handSection    = "hand table"
	bulkSection    = "bulk table"
)

// publish logs the table, and writes it into the document if one is named.
func (r *report) publish(t *testing.T) {
	t.Helper()
	t.Log("\n" + r.table())
	if *reliability == "" {
		return
	}
	if err := r.write(*reliability); err != nil {
		t.Fatal(err)
	}
}

// write puts the table between the markers of the document, which is made when
// there is none.
func (r *report) write(path string) error {
	tableBegin, tableEnd := "<!-- "+r.section+" -->", "<!-- end -->"
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
