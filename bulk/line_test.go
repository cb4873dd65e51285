package bulk

import (
	"io"
	"maps"
	"strings"
	"testing"

	"github.com/slipway-iot/slipway/fault"
)

func read(t testing.TB, text string) (out []line) {
	t.Helper()
	for r := newReader(strings.NewReader(text)); ; {
		l, err := r.next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, l)
	}
}

func TestLines(t *testing.T) {
	lines := read(t, "{\"a\":\"1\"}\r\n\n  \n{\"a\":\"2\"}\n{\"a\":\"3\"}")
	if len(lines) != 3 {
		t.Fatalf("got %d lines", len(lines))
	}
	for i, want := range []line{{number: 1, offset: 0}, {number: 4, offset: 15}, {number: 5, offset: 25}} {
		got := lines[i]
		if got.number != want.number || got.offset != want.offset {
			t.Errorf("line %d is number %d at %d, want %d at %d", i, got.number, got.offset, want.number, want.offset)
		}
		if params, err := got.parameters(); err != nil || !maps.Equal(params, map[string]string{"a": string("123"[i])}) {
			t.Errorf("%q: %v, %v", got.text, params, err)
		}
	}
}

func TestALineThatIsTooLong(t *testing.T) {
	fits := `{"a":"` + strings.Repeat("é", maxLine-8) + `"}`
	for says, test := range map[string]struct {
		line string
		long bool
	}{
		"of 256,000 characters":               {fits, false},
		"of one more":                         {fits + " ", true},
		"of more bytes than any could have":   {strings.Repeat("x", 5*maxLine), true},
		"of 256,000 characters of four bytes": {strings.Repeat("\U0001f40c", maxLine), false},
	} {
		t.Run(says, func(t *testing.T) {
			lines := read(t, test.line+"\n{}\n")
			if len(lines) != 2 || lines[0].long != test.long || lines[0].long && lines[0].text != nil || lines[1].offset != int64(len(test.line)+1) {
				t.Fatalf("got %d lines, long %v, the second at %d", len(lines), lines[0].long, lines[1].offset)
			}
			if _, err := lines[0].parameters(); test.long && !fault.Is(err, fault.InvalidRequest) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func FuzzLines(f *testing.F) {
	for _, seed := range []string{"", "\n", "{}", "{\"a\":\"b\"}\n{\"a\":1}\r\n", "[]\nnull", "{\"a\":\"b\",\"a\":\"c\"}", "\xff\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		end, number := int64(0), 0
		for _, l := range read(t, text) {
			if l.offset < end || l.number <= number || l.bytes == 0 {
				t.Fatalf("line %d at %d of %d bytes, after line %d ended at %d", l.number, l.offset, l.bytes, number, end)
			}
			end, number = l.offset+int64(l.bytes), l.number
			if got := text[l.offset:end]; strings.TrimRight(got, "\r\n") != string(l.text) {
				t.Fatalf("%q is not %q", l.text, got)
			}
			_, _ = l.parameters()
		}
		if end > int64(len(text)) {
			t.Fatalf("%d bytes of %d", end, len(text))
		}
	})
}
