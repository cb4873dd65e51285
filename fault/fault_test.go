package fault

import (
	"errors"
	"fmt"
	"testing"
)

func TestEveryKindHasAFace(t *testing.T) {
	for k := Kind(0); k < numKinds; k++ {
		f := faces[k]
		if f.REST == 0 || f.MQTT == 0 || f.Exception == "" || f.Code == "" {
			t.Errorf("kind %d has an unfinished face: %+v", k, f)
		}
	}
}

func TestShowHidesWhatNobodyClassified(t *testing.T) {
	f, text := Show(errors.New("pq: password is hunter2"))
	if f.REST != 500 || text == "pq: password is hunter2" {
		t.Errorf("got %d %q", f.REST, text)
	}
	err := fmt.Errorf("while applying: %w", Wrap(Missing, errors.New("sql: no rows"), "Template %s does not exist.", "fleet"))
	f, text = Show(err)
	if f.MQTT != 404 || text != "Template fleet does not exist." {
		t.Errorf("got %d %q", f.MQTT, text)
	}
	if !Is(err, Missing) || Is(nil, Internal) {
		t.Error("Is misjudges")
	}
}
