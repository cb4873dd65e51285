package main

import (
	"fmt"
	"os"
	"strings"
)

const (
	begin = "<!-- hostile table -->\n"
	end   = "<!-- end -->\n"
)

// table is the run in Markdown, between its marks.
func table(rows []row) string {
	var b strings.Builder
	b.WriteString(begin)
	b.WriteString("| meanwhile | p50 ms | p99 ms | × quiet | failed | memory, at most | after | data folder |\n|---|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %.0f | %.0f | %.2f | %d of %d | %.0f MiB | %.0f MiB | +%.1f MiB |\n",
			r.words, r.P50, r.P99, r.P99/rows[0].P99, r.Failed, r.Flows, r.memory, r.after, r.disk)
	}
	b.WriteString(end)
	return b.String()
}

// insert puts the table in place of the one that the page has.
func insert(path, text string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(page), begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		return fmt.Errorf("%s has no place for the table", path)
	}
	return os.WriteFile(path, []byte(before+text+after), 0o644)
}

// verdict says what was worse than allowed.
func verdict(rows []row) error {
	quiet := rows[0]
	var wrong []string
	complain := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	for _, r := range rows {
		if !r.beyond && r.P99 > slower*quiet.P99 {
			complain("%s: p99 %.0f ms is more than %g × the quiet %.0f ms", r.words, r.P99, slower, quiet.P99)
		}
		if !r.beyond && r.Failed > 0 {
			complain("%s: %d honest devices failed: %s", r.words, r.Failed, r.Error)
		}
		if r.memory > maxMemory || r.after > quiet.after+maxExtra {
			complain("%s: memory rose to %.0f MiB (%d are allowed) and came back to %.0f, from %.0f", r.words, r.memory, maxMemory, r.after, quiet.after)
		}
		if r.disk > maxDisk {
			complain("%s: the data folder grew by %.0f MiB; %d are allowed", r.words, r.disk, maxDisk)
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("not as it should be:\n  %s", strings.Join(wrong, "\n  "))
	}
	return nil
}
