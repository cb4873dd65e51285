package migrate

import (
	"fmt"
	"path"
	"slices"
	"testing"
)

func TestLatestIsTheLastFileOfEveryDialect(t *testing.T) {
	var first []string
	for _, d := range []Dialect{SQLite, Postgres} {
		entries, err := files.ReadDir(string(d))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if ok, _ := path.Match(fmt.Sprintf("%05d_*.sql", Latest), slices.Max(names)); !ok {
			t.Errorf("%s: %v, Latest is %d", d, names, Latest)
		}
		if first == nil {
			first = names
		} else if !slices.Equal(names, first) {
			t.Errorf("%s has %v, another dialect %v", d, names, first)
		}
	}
}
