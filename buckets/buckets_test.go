package buckets

import (
	"strings"
	"testing"

	"github.com/slipway-iot/slipway/fault"
)

func TestSpecs(t *testing.T) {
	remote := Spec{Name: "factory", Kind: S3, URL: "https://s3.example.com", Bucket: "b", AccessKeyID: "AKIA", Secret: "s"}
	for says, test := range map[string]struct {
		spec Spec
		text string
	}{
		"a folder":                 {Spec{Name: "factory", Kind: Folder, Folder: "/srv/factory"}, ""},
		"a bucket of a service":    {remote, ""},
		"a folder without path":    {Spec{Name: "factory", Kind: Folder}, "has the path of a folder"},
		"a service without URL":    {Spec{Name: "factory", Kind: S3, Bucket: "b"}, "https://HOST"},
		"a service without secret": {Spec{Name: "factory", Kind: S3, URL: "https://h", Bucket: "b", AccessKeyID: "AKIA"}, "accessKeyId and secret"},
		"both":                     {Spec{Name: "factory", Kind: S3, Folder: "/srv", URL: "https://h"}, "has no folder"},
		"of no kind":               {Spec{Name: "factory"}, "expected kind"},
		"a name that climbs":       {Spec{Name: "../..", Kind: Folder, Folder: "/srv"}, "beginning with a letter"},
		"a name that is hidden":    {Spec{Name: ".ssh", Kind: Folder, Folder: "/srv"}, "beginning with a letter"},
	} {
		t.Run(says, func(t *testing.T) {
			err := test.spec.Check()
			_, said := fault.Show(err)
			if (test.text == "") != (err == nil) || err != nil && !strings.Contains(said, test.text) {
				t.Errorf("got %v", err)
			}
		})
	}
	if shown := remote.Redacted(); shown.Secret != Hidden || remote.Secret != "s" {
		t.Errorf("got %+v", shown)
	}
}
