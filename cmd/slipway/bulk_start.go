package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/slipway-iot/slipway/client/api"
	"github.com/slipway-iot/slipway/tasks"
)

// uploads is the bucket of files that came from a command line; the server
// deletes them with their tasks.
const uploads = tasks.Uploads

// bulkStart starts a task.
type bulkStart struct {
	target
	File     string `arg:"" optional:"" help:"File with a JSON object of parameters on each line; it is brought to the server. Without it, --bucket and --key name one that is there." type:"existingfile"`
	Template string `required:"" help:"File of a template, or the name of one that the server has." placeholder:"FILE|NAME"`
	Bucket   string `help:"Bucket of the file." default:"${uploads}" placeholder:"NAME"`
	Key      string `help:"Key of the file in its bucket; made up for FILE." placeholder:"KEY"`
	Role     string `help:"Role that AWS takes on for the task; Slipway takes any." default:"arn:aws:iam::000000000000:role/registration" placeholder:"ARN"`
	Queue    bool   `help:"Wait behind a task in progress; without it, as on AWS, an account has one at a time."`
	Wait     bool   `help:"Wait for the end, showing progress; fail if a line failed."`
	JSON     bool   `name:"json" help:"Print a JSON object."`
}

// Run starts it.
func (c *bulkStart) Run(ctx context.Context, s streams) error {
	if c.File == "" && c.Key == "" {
		return usageError{errors.New("give a FILE, or --bucket and --key of one that is there")}
	}
	p, err := c.connect()
	if err != nil {
		return err
	}
	body, err := c.body(ctx, p)
	if err != nil {
		return err
	}
	lines := 0
	if c.File != "" {
		if lines, err = c.upload(ctx, p); err != nil {
			return err
		}
	}
	header := http.Header{}
	if c.Queue {
		header.Set("X-Slipway-Queue", "yes")
	}
	var made struct{ TaskID string }
	request := map[string]string{"templateBody": body, "inputFileBucket": c.Bucket, "inputFileKey": c.Key, "roleArn": c.Role}
	if err := p.send(ctx, http.MethodPost, tasksPath, nil, header, request, &made); err != nil {
		return err
	}
	return c.started(ctx, s, p, made.TaskID, lines)
}

func (c *bulkStart) started(ctx context.Context, s streams, p *plane, id string, lines int) error {
	if !c.Wait {
		k, err := p.task(ctx, id)
		if err != nil {
			return err
		}
		if err := k.show(s, c.JSON); err != nil || c.JSON {
			return err
		}
		_, err = fmt.Fprintf(s.out, "Follow it: slipway bulk status %s --wait\n", id)
		return err
	}
	k, err := p.follow(ctx, s, id, lines)
	if err != nil {
		return err
	}
	if err := k.show(s, c.JSON); err != nil {
		return err
	}
	return k.verdict()
}

// body is the template's text: that of a file, or else of a template by name.
func (c *bulkStart) body(ctx context.Context, p *plane) (string, error) {
	text, err := os.ReadFile(c.Template)
	if err == nil {
		return string(text), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", notGiven("--template", c.Template, err)
	}
	var t struct{ TemplateBody string }
	err = p.get(ctx, api.Path("provisioning-templates", c.Template), &t)
	if api.IsType(err, api.Missing) {
		return "", fmt.Errorf("--template %s: there is no such file, and the server has no template of this name (%w)", c.Template, err)
	}
	return t.TemplateBody, err
}

var unusual = regexp.MustCompile(`[^a-zA-Z0-9_.-]`)

// upload brings the file into the bucket, by a link that the server signs, and
// counts its lines. It is sent as it is read.
func (c *bulkStart) upload(ctx context.Context, p *plane) (lines int, err error) {
	f, err := os.Open(c.File)
	if err != nil {
		return 0, notGiven("<file>", c.File, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if lines, err = countLines(f); err != nil {
		return 0, err
	}
	if c.Key == "" {
		c.Key = time.Now().UTC().Format("20060102T150405.000000000Z") + "/" + unusual.ReplaceAllString(filepath.Base(c.File), "_")
	}
	var link struct{ URL string }
	err = p.own(ctx, http.MethodPost, api.Path("slipway", "buckets", c.Bucket, "links"), nil, map[string]string{"key": c.Key, "method": http.MethodPut}, &link)
	if err != nil {
		return 0, err
	}
	return lines, p.put(ctx, link.URL, f, info.Size())
}

// countLines leaves the file at its start.
func countLines(f *os.File) (n int, err error) {
	in := bufio.NewReaderSize(f, 1<<16)
	for {
		part, err := in.ReadSlice('\n')
		if err == nil || err == io.EOF && len(part) > 0 {
			n++
		}
		if err == io.EOF {
			break
		}
		if err != nil && err != bufio.ErrBufferFull {
			return 0, err
		}
	}
	_, err = f.Seek(0, io.SeekStart)
	return n, err
}

// put sends an object by its link.
func (p *plane) put(ctx context.Context, link string, body io.Reader, size int64) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, link, body)
	if err != nil {
		return err
	}
	r.ContentLength = size
	if size == 0 {
		r.Body = http.NoBody
	}
	c := &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment,
		TLSClientConfig: &tls.Config{RootCAs: p.client.Roots, MinVersion: tls.VersionTLS12}}}
	defer c.CloseIdleConnections()
	answer, err := c.Do(r)
	if err != nil {
		return unreachable{err}
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 == 2 {
		return nil
	}
	said, _ := io.ReadAll(io.LimitReader(answer.Body, 1000))
	return fmt.Errorf("the file was not taken: %s: %s", answer.Status, said)
}
