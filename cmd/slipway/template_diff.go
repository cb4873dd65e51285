package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/slipway-iot/slipway/templates"
)

// templateDiff compares a template with a file.
type templateDiff struct {
	target
	Name string `arg:"" help:"Name of the template."`
	File string `arg:"" help:"What template apply takes; - reads standard input."`
}

// Run prints what apply would change: lines with - are the server's, lines
// with + the file's.
func (c *templateDiff) Run(ctx context.Context, s streams) error {
	data, err := readInput(s, "<file>", c.File)
	if err != nil {
		return err
	}
	f, err := parseTemplateFile(c.File, data)
	if err != nil {
		return err
	}
	p, err := c.connect()
	if err != nil {
		return err
	}
	old, err := p.existingTemplate(ctx, c.Name)
	if err != nil {
		return err
	}
	tags, err := p.tags(ctx, old.ARN)
	if err != nil {
		return err
	}
	theirs, err := asLines(*old, tags, f.Tags)
	if err != nil {
		return err
	}
	ours, err := asLines(after(*old, f), f.Tags, f.Tags)
	if err != nil {
		return err
	}
	if theirs == ours {
		return nil
	}
	writeDiff(s.out, strings.Split(theirs, "\n"), strings.Split(ours, "\n"))
	return errors.New("the template and the file differ")
}

// after gives the template as it would be once the file is applied.
func after(t storedTemplate, f templates.File) storedTemplate {
	t.Body = f.Body
	if f.Description != "" {
		t.Description = f.Description
	}
	if f.ProvisioningRoleARN != "" {
		t.RoleARN = f.ProvisioningRoleARN
	}
	if f.Enabled != nil {
		t.Enabled = *f.Enabled
	}
	if f.Hook != nil {
		t.Hook = &templateHook{TargetARN: f.Hook.TargetARN}
	}
	return t
}

// asLines writes a template as lines, with those of its tags that the file
// speaks of.
func asLines(t storedTemplate, tags, named map[string]string) (string, error) {
	body, err := sortedJSON(t.Body)
	if err != nil {
		return "", err
	}
	function := "none"
	if t.Hook != nil {
		function = t.Hook.TargetARN
	}
	var b strings.Builder
	fmt.Fprintf(&b, "description: %s\nenabled: %s\nrole: %s\nfunction: %s\n", t.Description, yesNo(t.Enabled), t.RoleARN, function)
	for _, key := range slices.Sorted(maps.Keys(named)) {
		fmt.Fprintf(&b, "tag %s: %s\n", key, tags[key])
	}
	b.WriteString(strings.TrimSuffix(body, "\n"))
	return b.String(), nil
}

// diffContext is how many equal lines stand around those that differ.
const diffContext = 3

// writeDiff prints two texts as one: lines of a alone with -, of b alone with
// +, those of both with a space.
func writeDiff(w io.Writer, a, b []string) {
	lines := merge(a, b)
	near := make([]bool, len(lines))
	for i, l := range lines {
		if l[0] == ' ' {
			continue
		}
		for j := max(0, i-diffContext); j <= min(len(lines)-1, i+diffContext); j++ {
			near[j] = true
		}
	}
	for i, l := range lines {
		switch {
		case near[i]:
			fmt.Fprintln(w, l)
		case i > 0 && near[i-1]:
			fmt.Fprintln(w, " …")
		}
	}
}

// merge walks along a longest common subsequence. A body has at most 10,240
// characters, which bounds the table of all pairs of ends.
func merge(a, b []string) []string {
	longest := make([][]uint16, len(a)+1)
	for i := range longest {
		longest[i] = make([]uint16, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				longest[i][j] = longest[i+1][j+1] + 1
			} else {
				longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			}
		}
	}
	var out []string
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, " "+a[i])
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && longest[i+1][j] >= longest[i][j+1]:
			out = append(out, "-"+a[i])
			i++
		default:
			out = append(out, "+"+b[j])
			j++
		}
	}
	return out
}
