package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
)

// maxDevices bounds one run.
const maxDevices = 100_000

// A wantedDevice is one that is to be made.
type wantedDevice struct {
	name, kind string
	attributes map[string]string
	groups     []string
	policies   []string
}

// like is a device as the flags describe all of them.
func (c *deviceCreate) like(name string) wantedDevice {
	return wantedDevice{name: name, kind: c.Type, attributes: c.Attribute, groups: c.Group, policies: c.Policy}
}

// fromFile reads --from. A cell that is empty leaves what the flags say.
func (c *deviceCreate) fromFile() ([]wantedDevice, error) {
	f, err := os.Open(c.From)
	if err != nil {
		return nil, notGiven("--from", c.From, err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.TrimLeadingSpace = true
	head, err := r.Read()
	var path *fs.PathError
	if errors.As(err, &path) {
		return nil, notGiven("--from", c.From, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: the first line has to name the columns, such as name,type,policy: %w", c.From, err)
	}
	columns, err := readColumns(head)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.From, err)
	}
	var out []wantedDevice
	seen := map[string]bool{}
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.From, err)
		}
		line, _ := r.FieldPos(0)
		w := c.row(columns, cells)
		switch err := checkDeviceName(w.name); {
		case err != nil:
			return nil, fmt.Errorf("%s, line %d: %w", c.From, line, err)
		case seen[w.name]:
			return nil, fmt.Errorf("%s, line %d: name %s is there twice", c.From, line, w.name)
		case len(out) == maxDevices:
			return nil, fmt.Errorf("%s holds more than %d devices; divide it", c.From, maxDevices)
		}
		seen[w.name] = true
		out = append(out, w)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s names no device", c.From)
	}
	return out, nil
}

// readColumns takes the head of the file: the names of columns, in which
// spreadsheets like to hide a byte order mark.
func readColumns(head []string) ([]string, error) {
	head = slices.Clone(head)
	head[0] = strings.TrimPrefix(head[0], "\ufeff")
	named := false
	for i, name := range head {
		name = strings.TrimSpace(name)
		switch strings.ToLower(name) {
		case "name", "thingname":
			name, named = "name", true
		case "type", "policy", "group":
			name = strings.ToLower(name)
		case "":
			return nil, fmt.Errorf("column %d has no name", i+1)
		}
		if slices.Contains(head[:i], name) {
			return nil, fmt.Errorf("column %s is there twice", name)
		}
		head[i] = name
	}
	if !named {
		return nil, errors.New("there is no column name")
	}
	return head, nil
}

func (c *deviceCreate) row(columns, cells []string) wantedDevice {
	w := c.like("")
	w.attributes = maps.Clone(w.attributes)
	for i, text := range cells {
		text = strings.TrimSpace(text)
		if text == "" {
			continue
		}
		switch columns[i] {
		case "name":
			w.name = text
		case "type":
			w.kind = text
		case "policy":
			w.policies = strings.Split(text, ";")
		case "group":
			w.groups = strings.Split(text, ";")
		default:
			if w.attributes == nil {
				w.attributes = map[string]string{}
			}
			w.attributes[columns[i]] = text
		}
	}
	return w
}
