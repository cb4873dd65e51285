package main

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strings"
)

// A profile is what AWS's two files say under one name, by key. A key below
// another, as in a section of services, is written with a dot: iot.endpoint_url.
type profile map[string]string

// currentProfile reads the profile that $AWS_PROFILE names, or the default one.
// Files that cannot be read say nothing. Of how a profile may get its keys only
// the plain one is known here: keys that stand in it.
func currentProfile() profile {
	name := os.Getenv("AWS_PROFILE")
	if name == "" {
		name = "default"
	}
	config, credentials := awsFile("AWS_CONFIG_FILE", "config"), awsFile("AWS_SHARED_CREDENTIALS_FILE", "credentials")
	p := profile{}
	p.add(config["profile "+name])
	if name == "default" {
		p.add(config[name])
	}
	p.add(config["services "+p["services"]])
	p.add(credentials[name]) // which wins, as with AWS's tools
	return p
}

func (p profile) add(section map[string]string) {
	for key, value := range section {
		p[key] = value
	}
}

// endpoint is where the profile has the control plane; empty: nowhere.
func (p profile) endpoint() string {
	if url := p["iot.endpoint_url"]; url != "" {
		return url
	}
	return p["endpoint_url"]
}

// awsFile reads a file of AWS's, by section; the variable beats the usual
// place.
func awsFile(variable, name string) map[string]map[string]string {
	path := os.Getenv(variable)
	if home, err := os.UserHomeDir(); path == "" && err == nil {
		path = filepath.Join(home, ".aws", name)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return parseSections(text)
}

// parseSections reads the sections of a file: [NAME], then KEY = VALUE. Lines
// that are indented belong to the key above them, which has no value.
func parseSections(text []byte) map[string]map[string]string {
	sections := map[string]map[string]string{}
	var section map[string]string
	above := ""
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
			name := strings.Join(strings.Fields(line[1:len(line)-1]), " ")
			if sections[name] == nil {
				sections[name] = map[string]string{}
			}
			section, above = sections[name], ""
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || section == nil {
			continue
		}
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if indented := strings.TrimLeft(lines.Text(), " \t") != lines.Text(); !indented {
			above = key + "."
		} else {
			key = above + key
		}
		section[key] = value
	}
	return sections
}
