package s3_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-iot/slipway/buckets"
	"github.com/slipway-iot/slipway/buckets/bucketstest"
	"github.com/slipway-iot/slipway/buckets/s3"
	"github.com/slipway-iot/slipway/fault"
)

// moto starts moto's server, which serves S3, and gives its URL.
func moto(t *testing.T) string {
	t.Helper()
	program := filepath.Join("..", "..", ".cache", "venv", "bin", "moto_server") // made by test/deps
	if _, err := os.Stat(program); err != nil {
		if program, err = exec.LookPath("moto_server"); err != nil {
			t.Fatalf("moto_server is neither in .cache/venv nor in PATH: %v", err)
		}
	}
	cmd := exec.Command(program, "-H", "127.0.0.1", "-p", "0")
	out, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	found := make(chan string, 1)
	go func() {
		defer close(found)
		address := regexp.MustCompile(`Running on (http://127\.0\.0\.1:\d+)`)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if m := address.FindStringSubmatch(lines.Text()); m != nil {
				found <- m[1]
			}
		}
	}()
	select {
	case url, ok := <-found:
		if ok {
			return url
		}
		t.Fatal("moto_server ended")
	case <-time.After(2 * time.Minute):
		t.Fatal("moto_server does not start")
	}
	return ""
}

// maker gives buckets that are empty.
func maker(t *testing.T) func(*testing.T) *s3.Bucket {
	url := moto(t)
	var made atomic.Int32
	return func(t *testing.T) *s3.Bucket {
		name := fmt.Sprint("bucket-", made.Add(1))
		r, err := http.NewRequest(http.MethodPut, url+"/"+name, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatal(answer, err)
		}
		answer.Body.Close()
		return s3.Open(buckets.Spec{URL: url, Bucket: name, AccessKeyID: "AKIAEXAMPLE", Secret: "secret"}, t.TempDir())
	}
}

func TestS3(t *testing.T) {
	open := maker(t)
	bucketstest.Run(t, func(t *testing.T) buckets.Bucket { return open(t) })
	t.Run("links get and put without a key", func(t *testing.T) { links(t, open(t)) })
}

func links(t *testing.T, b *s3.Bucket) {
	put, err := b.Link(t.Context(), http.MethodPut, "a/b", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest(http.MethodPut, put, strings.NewReader("by a link"))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatal(answer, err)
	}
	answer.Body.Close()
	get, err := b.Link(t.Context(), http.MethodGet, "a/b", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if answer, err = http.Get(get); err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); err != nil || string(text) != "by a link" {
		t.Errorf("%s, %v", text, err)
	}
}

func TestAServiceThatIsNotThere(t *testing.T) {
	b := s3.Open(buckets.Spec{URL: "http://127.0.0.1:1", Bucket: "none", AccessKeyID: "AKIAEXAMPLE", Secret: "secret"}, t.TempDir())
	if _, _, err := b.Open(t.Context(), "k"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v", err)
	}
}
