// Package bucketstest is what every kind of bucket must do.
package bucketstest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-iot/slipway/buckets"
	"github.com/slipway-iot/slipway/fault"
)

// Run tests buckets that open makes, each empty.
func Run(t *testing.T, open func(*testing.T) buckets.Bucket) {
	for _, test := range []struct {
		says string
		run  func(*testing.T, buckets.Bucket)
	}{
		{"what was created is read", roundTrip},
		{"what is not there is missing", missing},
		{"a second object takes the place of the first", replace},
		{"what could not be read to its end is not there", half},
		{"lists are ordered and come in pages", list},
		{"what is deleted is gone", remove},
		{"what is no key is refused", keys},
	} {
		t.Run(test.says, func(t *testing.T) { test.run(t, open(t)) })
	}
}

func create(t *testing.T, b buckets.Bucket, key, text string) {
	t.Helper()
	if err := b.Create(t.Context(), key, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, b buckets.Bucket, key string) (string, buckets.Object) {
	t.Helper()
	r, o, err := b.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), o
}

func roundTrip(t *testing.T, b buckets.Bucket) {
	large := strings.Repeat("0123456789abcdef", 1<<16)
	for key, text := range map[string]string{"a": "one\n", "batch/2026/1.json": large, "(it's) !_.*": "", "a-b/c": "x"} {
		create(t, b, key, text)
		got, o := read(t, b, key)
		if got != text || o.Key != key || o.Size != int64(len(text)) || o.Version == "" {
			t.Errorf("%s: %d bytes, %+v", key, len(got), o)
		}
	}
	if err := b.Create(t.Context(), "from a pipe", io.MultiReader(strings.NewReader("of unknown "), strings.NewReader("length"))); err != nil {
		t.Fatal(err)
	}
	if got, _ := read(t, b, "from a pipe"); got != "of unknown length" {
		t.Errorf("got %q", got)
	}
}

func missing(t *testing.T, b buckets.Bucket) {
	for _, key := range []string{"none", "a/none", "a"} {
		if _, _, err := b.Open(t.Context(), key); !fault.Is(err, fault.Missing) {
			t.Errorf("%s: %v", key, err)
		}
		create(t, b, "a/b", "")
	}
}

func replace(t *testing.T, b buckets.Bucket) {
	create(t, b, "k", "first")
	_, first := read(t, b, "k")
	create(t, b, "k", "another")
	text, second := read(t, b, "k")
	if text != "another" || second.Version == first.Version {
		t.Errorf("got %q, versions %s and %s", text, first.Version, second.Version)
	}
}

func half(t *testing.T, b buckets.Bucket) {
	broken := errors.New("the other side went away")
	err := b.Create(t.Context(), "k", io.MultiReader(strings.NewReader("half"), failing{broken}))
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if _, _, err := b.Open(t.Context(), "k"); !fault.Is(err, fault.Missing) {
		t.Errorf("it is there: %v", err)
	}
	if got, err := b.List(t.Context(), "", "", 10); len(got) != 0 || err != nil {
		t.Errorf("it is listed: %v, %v", got, err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func list(t *testing.T, b buckets.Bucket) {
	if got, err := b.List(t.Context(), "", "", 10); len(got) != 0 || err != nil {
		t.Fatalf("an empty bucket lists %v, %v", got, err)
	}
	want := []string{"other"}
	create(t, b, "other", "")
	for i := range 7 {
		key := fmt.Sprintf("in/%d/x", i)
		create(t, b, key, strings.Repeat("x", i))
		want = append(want, key)
	}
	create(t, b, "in/2-x", "") // '-' comes before '/'
	want = append(want, "in/2-x")
	slices.Sort(want)
	var got []string
	for after := ""; ; {
		page, err := b.List(t.Context(), "", after, 3)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, o := range page {
			got = append(got, o.Key)
		}
		after = page[len(page)-1].Key
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	some, err := b.List(t.Context(), "in/3", "", 10)
	if err != nil || len(some) != 1 || some[0].Key != "in/3/x" || some[0].Size != 3 {
		t.Errorf("by prefix: %v, %v", some, err)
	}
}

func remove(t *testing.T, b buckets.Bucket) {
	create(t, b, "k", "text")
	for range 2 {
		if err := b.Delete(t.Context(), "k"); err != nil {
			t.Error(err)
		}
	}
	if _, _, err := b.Open(t.Context(), "k"); !fault.Is(err, fault.Missing) {
		t.Errorf("got %v", err)
	}
}

func keys(t *testing.T, b buckets.Bucket) {
	for _, key := range []string{"", "/a", "a/", "a//b", ".", "..", "a/../b", `a\b`, "a\x00b", "\xff", strings.Repeat("x", 256), strings.Repeat("x/", 600)} {
		if err := b.Create(context.Background(), key, strings.NewReader("")); !fault.Is(err, fault.InvalidRequest) {
			t.Errorf("create %q: %v", key, err)
		}
		if _, _, err := b.Open(context.Background(), key); !fault.Is(err, fault.InvalidRequest) {
			t.Errorf("open %q: %v", key, err)
		}
	}
}
