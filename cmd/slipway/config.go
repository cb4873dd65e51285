package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/alecthomas/kong"

	"github.com/slipway-iot/slipway/wire/strict"
)

// A configFlag names the file of settings.
type configFlag string

// BeforeResolve has the file give other flags their values.
func (configFlag) BeforeResolve(k *kong.Kong, ctx *kong.Context, at *kong.Path) error {
	name := string(ctx.FlagValue(at.Flag).(configFlag))
	r, err := k.LoadConfig(name)
	var path *fs.PathError
	if errors.As(err, &path) {
		return notGiven("--config", name, err)
	}
	if err == nil {
		ctx.AddResolver(r)
	}
	return err
}

// settings give serve's flags their values from the file of --config. The
// command line goes before it, and so does the environment.
type settings struct{ file *strict.Value }

// readSettings reads the file: one JSON object whose keys are names of flags.
func readSettings(r io.Reader) (kong.Resolver, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	v, err := strict.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	if v.Kind != strict.Object {
		return nil, fmt.Errorf("--config: the file holds %s; an object with the names of flags is expected", v.Kind)
	}
	return settings{v}, nil
}

// Validate refuses a key that no flag of serve has: a misspelt one would be
// ignored in silence.
func (s settings) Validate(app *kong.Application) error {
	known := map[string]bool{}
	for _, node := range app.Children {
		if node.Name != "serve" {
			continue
		}
		for _, flag := range node.Flags {
			known[flag.Name] = flag.Name != "config"
		}
	}
	for _, m := range s.file.Members {
		if !known[m.Key] {
			return fmt.Errorf("--config: %s is no setting of `slipway serve`", m.Value.Where())
		}
	}
	return nil
}

// Resolve looks a flag up.
func (s settings) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range flag.Envs {
		if os.Getenv(name) != "" {
			return nil, nil
		}
	}
	v := s.file.Get(flag.Name)
	if v == nil {
		return nil, nil
	}
	if v.Kind == strict.Array && flag.IsSlice() {
		return list(v.Items)
	}
	return scalar(v)
}

func scalar(v *strict.Value) (any, error) {
	switch v.Kind {
	case strict.String, strict.Number:
		return v.Text, nil
	case strict.Bool:
		return v.Bool, nil
	}
	return nil, fmt.Errorf("--config: %s is %s, which this setting does not take", v.Where(), v.Kind)
}

// list gives the elements of a list, as kong takes them.
func list(items []*strict.Value) (any, error) {
	out := make([]any, 0, len(items))
	for _, e := range items {
		if e.Kind != strict.String {
			return nil, fmt.Errorf("--config: %s is %s; a string is expected", e.Where(), e.Kind)
		}
		out = append(out, e.Text)
	}
	return out, nil
}
