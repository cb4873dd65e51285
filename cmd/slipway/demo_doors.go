package main

import (
	"context"
	"fmt"
	"strings"
)

// A demoDoor is one way for devices to come in, and what shows it.
type demoDoor struct {
	name string
	show func(*demo, context.Context) error
}

// demoDoors lists them in the order in which --door all shows them.
var demoDoors = []demoDoor{
	{"claim", (*demo).byClaim},
	{"trusted", (*demo).byInstaller},
	{"direct", (*demo).byHand},
	{"jitp", (*demo).justInTime},
	{"jitr", (*demo).byDecision},
	{"bulk", (*demo).byFile},
}

// doorsNamed gives the doors that --door means.
func doorsNamed(name string) ([]demoDoor, error) {
	if name == "all" {
		return demoDoors, nil
	}
	var names []string
	for _, d := range demoDoors {
		if d.name == name {
			return []demoDoor{d}, nil
		}
		names = append(names, d.name)
	}
	return nil, usageError{fmt.Errorf("--door %s: expected %s or all", name, strings.Join(names, ", "))}
}
