package crash

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// infancy is how young the server is killed on a fresh data folder.
const infancy = 100 * time.Millisecond

// atStart kills the server in its first moments on a fresh data folder. The
// next start completes what was begun, and from then on the CA is the same.
func (k *killer) atStart(t *testing.T) {
	partly := 0
	for range k.size.starts {
		node := newNode(t, k.binary, k.backend.fresh(t))
		age := time.Duration(k.random.Int64N(int64(infancy)))
		node.start(t).killAfter(t, age)
		begun := node.authority(t)
		if len(begun) > 0 {
			partly++
		}

		life := node.start(t)
		life.awaitReady(t)
		complete := node.authority(t)
		node.answers(t)
		life.kill()
		for file, content := range begun {
			if complete[file] != content {
				t.Errorf("killed after %v: %s was there and has changed", age, file)
			}
		}

		life = node.start(t)
		life.awaitReady(t)
		if d := cmp.Diff(complete, node.authority(t)); d != "" {
			t.Errorf("killed after %v, the CA changed at the third start (-second +third)\n%s", age, d)
		}
		node.answers(t)
		life.stop(t)
	}
	k.report.note("%s, start: %d of %d kills struck after the first key was on disk, the others before.", k.backend.name, partly, k.size.starts)
	k.report.add(row{Store: k.backend.name, Point: "start on a fresh folder", Kills: 2 * k.size.starts})
}

// authority reads the certificates and sealed keys that are there.
func (n *node) authority(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, pattern := range []string{"root-ca.pem", "unlock.key", "ca/server/*", "ca/device/*"} {
		found, err := filepath.Glob(filepath.Join(n.data, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			name, _ := filepath.Rel(n.data, path)
			files[name] = string(b)
		}
	}
	return files
}

// answers asserts that the first admin's key is good for something.
func (n *node) answers(t *testing.T) {
	t.Helper()
	if err := n.admin(t).Do(t.Context(), http.MethodGet, "/thing-types", nil, nil, nil, nil); err != nil {
		t.Error(err)
	}
}
