package allowlist

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/slipway-iot/slipway/functions"
)

// A table is a CSV file in memory. It does not change; a changed file makes a
// new table.
type table struct {
	attributes []string // names of the columns other than the serial
	rows       map[string]row
}

// A row is one line of the file.
type row struct {
	line  int
	cells []string // in the order of attributes
}

// parse reads a CSV file (RFC 4180) with a header. The serial stands in the
// column named like the parameter, else in the one named serial, else in the
// first. Cells are taken without the spaces around them. An error is the end
// of a sentence, and names the line.
func parse(data []byte, parameter string) (*table, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if !utf8.Valid(data) {
		return nil, errors.New("is not UTF-8 text")
	}
	r := csv.NewReader(bytes.NewReader(data))
	header, err := next(r)
	if errors.Is(err, io.EOF) {
		return nil, errors.New("has no header line")
	}
	if err != nil {
		return nil, err
	}
	if err := checkHeader(header); err != nil {
		return nil, err
	}
	key := keyColumn(header, parameter)
	t := &table{attributes: without(header, key), rows: map[string]row{}}
	for {
		cells, err := next(r)
		if errors.Is(err, io.EOF) {
			return t, nil
		}
		if err != nil {
			return nil, err
		}
		line, _ := r.FieldPos(0)
		if err := t.add(cells, key, line); err != nil {
			return nil, err
		}
	}
}

// next reads one line and says what is wrong with it in a sentence's end.
func next(r *csv.Reader) ([]string, error) {
	cells, err := r.Read()
	var at *csv.ParseError
	switch {
	case errors.Is(err, csv.ErrFieldCount):
		errors.As(err, &at)
		return nil, fmt.Errorf("has %d cells in line %d, but %d columns", len(cells), at.StartLine, r.FieldsPerRecord)
	case errors.As(err, &at):
		return nil, fmt.Errorf("has a misplaced quotation mark in line %d", at.StartLine)
	case err != nil:
		return nil, err
	}
	for i, c := range cells {
		cells[i] = strings.TrimSpace(c)
	}
	return cells, nil
}

func checkHeader(names []string) error {
	seen := map[string]bool{}
	for i, n := range names {
		switch {
		case n == "":
			return fmt.Errorf("has no name for column %d in its header", i+1)
		case strings.ContainsAny(n, ";\t"):
			return errors.New("has a header separated by semicolons or tabs; commas are expected")
		case seen[n]:
			return fmt.Errorf("names column %s twice in its header", functions.Quote(n))
		}
		seen[n] = true
	}
	return nil
}

func keyColumn(names []string, parameter string) int {
	for i, n := range names {
		if n == parameter {
			return i
		}
	}
	for i, n := range names {
		if strings.EqualFold(n, "serial") {
			return i
		}
	}
	return 0
}

// add stores one line. A serial on two lines is an error: with different
// attributes, either choice would be wrong for somebody.
func (t *table) add(cells []string, key, line int) error {
	serial := cells[key]
	if serial == "" {
		return fmt.Errorf("has no serial in line %d", line)
	}
	if first, twice := t.rows[serial]; twice {
		return fmt.Errorf("has the serial of line %d again in line %d", first.line, line)
	}
	t.rows[serial] = row{line, without(cells, key)}
	return nil
}

// overrides gives what the list says about a serial: its non-empty cells by
// column name.
func (t *table) overrides(serial string) (map[string]string, bool) {
	r, ok := t.rows[serial]
	if !ok {
		return nil, false
	}
	m := make(map[string]string, len(r.cells))
	for i, c := range r.cells {
		if c != "" {
			m[t.attributes[i]] = c
		}
	}
	return m, true
}

func without(s []string, i int) []string {
	return append(append(make([]string, 0, len(s)-1), s[:i]...), s[i+1:]...)
}
