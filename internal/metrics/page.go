package metrics

import (
	"math"
	"strconv"
	"strings"
)

// contentType names the format of a page and its version.
const contentType = "text/plain; version=0.0.4; charset=utf-8"

// A family is all that has one name.
type family struct {
	name, help, kind string
	write            func(p *page, name string)
}

// A page is text in Prometheus's exposition format, version 0.0.4.
type page struct{ text []byte }

var (
	helpEscapes  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	labelEscapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

// family writes a family, or nothing where it has no sample now.
func (p *page) family(f family) {
	before := len(p.text)
	p.add("# HELP ", f.name, " ", helpEscapes.Replace(f.help), "\n# TYPE ", f.name, " ", f.kind, "\n")
	head := len(p.text)
	if f.write(p, f.name); len(p.text) == head {
		p.text = p.text[:before]
	}
}

// sample writes one value. Labels are names and values in turn.
func (p *page) sample(name string, value float64, labels ...string) {
	p.add(name)
	for i := 0; i+1 < len(labels); i += 2 {
		open := ","
		if i == 0 {
			open = "{"
		}
		p.add(open, labels[i], `="`, labelEscapes.Replace(strings.ToValidUTF8(labels[i+1], "\uFFFD")), `"`)
	}
	if len(labels) > 0 {
		p.add("}")
	}
	p.add(" ", number(value), "\n")
}

func (p *page) add(parts ...string) {
	for _, s := range parts {
		p.text = append(p.text, s...)
	}
}

func number(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "+Inf"
	case math.IsInf(v, -1):
		return "-Inf"
	}
	return strconv.FormatFloat(v, 'g', -1, 64) // NaN as Prometheus has it
}
