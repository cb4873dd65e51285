package allowlist

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/functions"
	"github.com/slipway-iot/slipway/functions/functiontest"
)

const gate = "serial,Site\nK0,\nK1,berlin\nK2,\nK3,\nK4,\nK5,\nK6,\nK7,\nK8,\nK9,\n"

func TestContract(t *testing.T) {
	t.Run("inline", func(t *testing.T) {
		functiontest.Run(t, functiontest.Harness{Open: func(t *testing.T) functions.Function {
			return open(t, functions.Spec{CSV: gate})
		}})
	})
	t.Run("file", func(t *testing.T) {
		functiontest.Run(t, functiontest.Harness{Open: func(t *testing.T) functions.Function {
			path := filepath.Join(t.TempDir(), "list.csv")
			write(t, path, gate)
			return open(t, functions.Spec{Path: path})
		}})
	})
}

func open(t *testing.T, s functions.Spec) functions.Function {
	t.Helper()
	s.Name, s.Kind = functiontest.Name, functions.Allowlist
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	f, err := Open(arn.Default, s)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestWhichColumnIsTheSerial(t *testing.T) {
	for name, csv := range map[string]string{
		"the one named like the parameter": "Serial,SerialNumber\nwrong,K1\n",
		"else the one named serial":        "Batch,SERIAL\n7,K1\n",
		"else the first":                   "Unit,Batch\nK1,7\n",
		"after a byte order mark":          "\ufeffserial\nK1\n",
		"with spaces around it":            "serial , Batch\r\n K1 , 7 \r\n",
		"in quotation marks":               "serial,Batch\n\"K1\",\"7,8\n9\"\n",
	} {
		t.Run(name, func(t *testing.T) {
			if a := functiontest.Ask(t, open(t, functions.Spec{CSV: csv}), "K1"); !a.AllowProvisioning {
				t.Errorf("refused: %s", a.Reason)
			}
		})
	}
	t.Run("the parameter may have another name", func(t *testing.T) {
		f := open(t, functions.Spec{CSV: "serial\nK1\n", Parameter: "Unit"})
		out, err := f.Invoke(t.Context(), []byte(`{"parameters":{"Unit":"K1"}}`))
		if err != nil || string(out) != `{"allowProvisioning":true,"parameterOverrides":{}}` {
			t.Errorf("got %s, %v", out, err)
		}
	})
}

func TestRefusalSaysWhy(t *testing.T) {
	f := open(t, functions.Spec{CSV: gate})
	for payload, want := range map[string]string{
		`{"parameters":{"SerialNumber":"K99"}}`:          "Serial K99 is not on the list gate.",
		`{"parameters":{"SerialNumber":"k1"}}`:           "Serial k1 is not on the list gate.",
		`{"parameters":{"SerialNumber":""}}`:             "Serial  is not on the list gate.",
		`{"parameters":{"serialnumber":"K1"}}`:           "Parameter SerialNumber is missing; the list gate looks it up.",
		`{"parameters":{}}`:                              "Parameter SerialNumber is missing; the list gate looks it up.",
		`{"parameters":{"SerialNumber":"a\nb\u0000"}}`:   "Serial a b is not on the list gate.",
		`{"parameters":{"SerialNumber":"serial"}}`:       "Serial serial is not on the list gate.",
		`{"parameters":{"SerialNumber":"K1 "},"x":[{}]}`: "",
	} {
		out, err := f.Invoke(t.Context(), []byte(payload))
		if err != nil || !strings.Contains(string(out), want) || strings.Contains(string(out), `"allowProvisioning":true`) {
			t.Errorf("%s: got %s, %v", payload, out, err)
		}
	}
}

func TestOnlyAHookRequestIsAnswered(t *testing.T) {
	f := open(t, functions.Spec{CSV: gate})
	for _, payload := range []string{
		``, `null`, `[]`, `{}`, `{"parameters":"K1"}`,
		`{"parameters":{"SerialNumber":1}}`,
		`{"parameters":{"SerialNumber":"X","SerialNumber":"K1"}}`,
		`{"Parameters":{"SerialNumber":"K1"}}`,
		`{"parameters":{"SerialNumber":"K1"}} {}`,
	} {
		out, err := f.Invoke(t.Context(), []byte(payload))
		if out != nil {
			t.Errorf("%s was answered: %s", payload, out)
		}
		functiontest.WantFailure(t, err, functions.Threw)
	}
}

func TestAWrongListNamesTheLine(t *testing.T) {
	for csv, want := range map[string]string{
		"\n\n":                            "has no header line",
		"serial,\nK1,\n":                  "no name for column 2",
		"serial;Site\nK1;berlin\n":        "commas are expected",
		"serial,Site,Site\nK1,a,b\n":      "names column Site twice",
		"serial,Site\nK1,a\n\nK2,b,c\n":   "3 cells in line 4, but 2 columns",
		"serial,Site\nK1,a\nK2\n":         "1 cells in line 3, but 2 columns",
		"serial,Site\nK1,a\n ,b\n":        "no serial in line 3",
		"serial\nK1\nK2\nK3\n K1\n":       "serial of line 2 again in line 5",
		"serial\nK1\nK\"2\n":              "quotation mark in line 3",
		"serial\nK1\n\"K2\n":              "quotation mark in line 3",
		"serial,Site\nK1,caf\xe9\nK2,b\n": "is not UTF-8 text",
	} {
		_, err := Open(arn.Default, functions.Spec{Name: functiontest.Name, Kind: functions.Allowlist, CSV: csv})
		f := functiontest.WantFailure(t, err, functions.InitFailed)
		if !strings.Contains(f.Text, want) {
			t.Errorf("%q: got %q, want …%s…", csv, f.Text, want)
		}
	}
}

// TestAChangedFileCounts rewrites the list in the ways that editors and copy
// programs do.
func TestAChangedFileCounts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "list.csv")
	f := open(t, functions.Spec{Path: path})
	t.Run("a missing file refuses", func(t *testing.T) {
		_, err := f.Invoke(t.Context(), functiontest.Request("K1"))
		if got := functiontest.WantFailure(t, err, functions.InitFailed); strings.Contains(got.Text, path) {
			t.Errorf("%q tells the path", got.Text)
		}
	})
	write(t, path, "serial\nK1\n")
	t.Run("the file appeared", func(t *testing.T) { want(t, f, "K1", true) })
	write(t, path, "serial\nK1\nK2\n")
	t.Run("it grew", func(t *testing.T) { want(t, f, "K2", true) })
	write(t, path, "serial\nK1\nK3\n")
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(path, later, later); err != nil {
		t.Fatal(err)
	}
	t.Run("it changed and kept its size", func(t *testing.T) { want(t, f, "K2", false); want(t, f, "K3", true) })
	write(t, path+".new", "serial\nK1\nK4\n")
	if err := os.Chtimes(path+".new", later, later); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	t.Run("another took its name, size and time", func(t *testing.T) { want(t, f, "K3", false); want(t, f, "K4", true) })
	write(t, path, "serial\nK1\nK1\n")
	t.Run("it became wrong, and the old list does not live on", func(t *testing.T) {
		for range 2 {
			_, err := f.Invoke(t.Context(), functiontest.Request("K1"))
			functiontest.WantFailure(t, err, functions.InitFailed)
		}
	})
	write(t, path, "serial\nK1\n")
	t.Run("it was mended", func(t *testing.T) { want(t, f, "K1", true) })
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	t.Run("it was removed", func(t *testing.T) {
		_, err := f.Invoke(t.Context(), functiontest.Request("K1"))
		functiontest.WantFailure(t, err, functions.InitFailed)
	})
}

func want(t *testing.T, f functions.Function, serial string, allowed bool) {
	t.Helper()
	if a := functiontest.Ask(t, f, serial); a.AllowProvisioning != allowed {
		t.Errorf("serial %s: got %+v, want allowed %t", serial, a, allowed)
	}
}

func FuzzAllowlistCSV(f *testing.F) {
	for _, s := range []string{gate, "", "\ufeffserial\nK1", "a,b\n\"x\n", "serial\nK1\nK1\n", "SerialNumber,\"a\"\"b\"\n1,2\n", "a;b\n"} {
		f.Add([]byte(s), "K1")
	}
	f.Fuzz(func(t *testing.T, data []byte, serial string) {
		table, err := parse(data, "SerialNumber")
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") {
				t.Errorf("%q is not the end of a sentence", err)
			}
			return
		}
		over, ok := table.overrides(serial)
		if ok && !strings.Contains(string(data), strings.ReplaceAll(serial, `"`, `""`)) && !strings.Contains(serial, "\n") {
			t.Errorf("serial %q is on a list that does not hold it", serial)
		}
		for k, v := range over {
			if k == "" || v == "" {
				t.Errorf("override %q=%q", k, v)
			}
		}
	})
}
