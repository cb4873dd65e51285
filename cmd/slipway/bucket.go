package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipway-iot/slipway/buckets"
	"github.com/slipway-iot/slipway/client/api"
)

// bucketCmd are the verbs about buckets.
type bucketCmd struct {
	Add  bucketAdd  `cmd:"" help:"Say where a bucket really is: a folder, or one of an S3-compatible service. Others are folders of the server's."`
	List bucketList `cmd:"" help:"List the buckets that were added."`
}

// bucketAdd maps a name.
type bucketAdd struct {
	target
	Name     string    `arg:"" help:"Its name, as registration tasks give it."`
	Folder   string    `help:"Folder on the server's machine." placeholder:"DIR" xor:"kind"`
	S3       string    `name:"s3" help:"Bucket of an S3-compatible service: https://HOST/BUCKET." placeholder:"URL" xor:"kind"`
	S3Region string    `name:"s3-region" help:"With --s3: region of its signatures; us-east-1 if not given." placeholder:"NAME"`
	S3Key    string    `name:"s3-key" help:"With --s3: access key id." placeholder:"ID"`
	S3Secret string    `name:"s3-secret-env" help:"With --s3: environment variable here that holds its secret." placeholder:"VAR"`
	Account  accountID `help:"Account whose bucket it is; the caller's own if not given." placeholder:"ACCOUNT"`
	JSON     bool      `name:"json" help:"Print a JSON object, without the secret."`
}

func (c *bucketAdd) spec() (buckets.Spec, error) {
	b := buckets.Spec{Name: c.Name, Kind: buckets.Folder}
	var err error
	switch {
	case c.Folder != "":
		b.Folder, err = filepath.Abs(c.Folder)
	case c.S3 != "":
		err = c.remote(&b)
	default:
		err = usageError{errors.New("say where it is: --folder DIR or --s3 URL")}
	}
	if err == nil {
		err = b.Check()
	}
	return b, err
}

// remote takes the bucket's name off the URL.
func (c *bucketAdd) remote(b *buckets.Spec) error {
	u, err := url.Parse(c.S3)
	if err != nil {
		return usageError{fmt.Errorf("--s3: %w", err)}
	}
	name := strings.Trim(u.Path, "/")
	if u.Host == "" || name == "" || strings.Contains(name, "/") || u.RawQuery != "" || u.User != nil {
		return usageError{errors.New("--s3: expected https://HOST/BUCKET")}
	}
	secret := os.Getenv(c.S3Secret)
	if c.S3Key == "" || secret == "" {
		return usageError{errors.New("--s3 needs --s3-key ID, and --s3-secret-env VAR with the secret in $VAR")}
	}
	b.Kind, b.URL, b.Bucket = buckets.S3, u.Scheme+"://"+u.Host, name
	b.Region, b.AccessKeyID, b.Secret = c.S3Region, c.S3Key, secret
	return nil
}

// Run maps it.
func (c *bucketAdd) Run(ctx context.Context, s streams) error {
	spec, err := c.spec()
	if err != nil {
		return err
	}
	p, err := c.connect()
	if err != nil {
		return err
	}
	request := struct {
		buckets.Spec
		Account string `json:"account,omitempty"`
	}{spec, string(c.Account)}
	var made buckets.Spec
	if err := p.own(ctx, http.MethodPut, api.Path("slipway", "buckets", c.Name), nil, request, &made); err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(s.out, made)
	}
	_, err = fmt.Fprintf(s.out, "Bucket %s is %s.\n", made.Name, where(made))
	return err
}

func where(b buckets.Spec) string {
	if b.Kind == buckets.S3 {
		return b.URL + "/" + b.Bucket
	}
	return b.Folder
}

// bucketList lists them.
type bucketList struct {
	target
	JSON bool `name:"json" help:"Print a JSON array."`
}

// Run lists them.
func (c *bucketList) Run(ctx context.Context, s streams) error {
	p, err := c.connect()
	if err != nil {
		return err
	}
	list, err := all[buckets.Spec](ctx, p, http.MethodGet, "/slipway/buckets", byToken(), "buckets")
	if err = p.needsSlipway(err); err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(s.out, list)
	}
	var rows []string
	for _, b := range list {
		rows = append(rows, b.Name+"\t"+b.Kind+"\t"+where(b))
	}
	return writeTable(s.out, "NAME\tKIND\tWHERE", rows)
}
