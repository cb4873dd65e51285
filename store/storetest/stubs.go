package storetest

import "testing"

func failures(t *testing.T, open Open)  {}
func isolation(t *testing.T, open Open) {}
func outbox(t *testing.T, open Open)    {}
func model(t *testing.T, open Open)     {}
