package ca

import "testing"

func TestIssue(t *testing.T) {
	c := openCA(t, t.TempDir())
	got := issue(t, c, makeCSR(t, "sensor-1"))
	t.Logf("%d bytes\n%s", len(got.PEM), got.PEM)
	c2, err := c.ServerCertificate([]string{"localhost", "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	_ = c2
}
