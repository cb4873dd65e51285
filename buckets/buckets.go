// Package buckets stands where AWS has S3: named places for files. A bucket
// is a folder of the server's, which package folder keeps, or one of an
// S3-compatible service, which package s3 speaks to; both pass
// bucketstest.Run. Which of the two a name means, the server's store says, and
// a name that nobody mapped means a folder of its own.
package buckets

import (
	"context"
	"io"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
)

// A Bucket holds objects by key. It is safe for concurrent use.
type Bucket interface {
	// Open reads an object as it was at one moment. fault.Missing: there is
	// none. The caller closes what it got.
	Open(ctx context.Context, key string) (io.ReadCloser, Object, error)
	// Create writes an object, in place of one that was there. It is there
	// whole, or after an error not at all. Create reads body to its end.
	Create(ctx context.Context, key string, body io.Reader) error
	// Delete forgets an object; one that is not there is no error.
	Delete(ctx context.Context, key string) error
	// List gives up to limit objects whose keys begin with prefix and come
	// after the key given, in the order of their bytes.
	List(ctx context.Context, prefix, after string, limit int) ([]Object, error)
}

// A Linker is a bucket whose service itself hands out links: whoever has one
// may get, or put, that object until the link expires.
type Linker interface {
	Link(ctx context.Context, method, key string, life time.Duration) (string, error)
}

// An Object is what a bucket knows of an object.
type Object struct {
	Key     string
	Size    int64
	Version string // another one whenever the object was written anew
}

// Kinds of buckets.
const (
	Folder = "folder"
	S3     = "s3"
)

// A Spec says where a bucket of this name really is.
type Spec struct {
	Name   string `json:"name"`
	Kind   string `json:"kind"`
	Folder string `json:"folder,omitempty"` // Folder: its path on the server

	URL         string `json:"url,omitempty"`    // S3: the service, such as https://s3.example.com
	Bucket      string `json:"bucket,omitempty"` // the bucket there
	Region      string `json:"region,omitempty"` // of the signature; us-east-1 if empty
	AccessKeyID string `json:"accessKeyId,omitempty"`
	Secret      string `json:"secret,omitempty"`
}

// Hidden stands where a secret is not shown.
const Hidden = "(hidden)"

// Redacted is the spec without its secret.
func (s Spec) Redacted() Spec {
	if s.Secret != "" {
		s.Secret = Hidden
	}
	return s
}

// Check refuses a spec that names no place.
func (s Spec) Check() error {
	if err := CheckName(s.Name); err != nil {
		return err
	}
	switch {
	case s.Kind == Folder && (s.Folder == "" || s.URL != "" || s.Secret != ""):
		return fault.New(fault.InvalidRequest, "Bucket %s: a bucket of kind folder has the path of a folder, and nothing of S3.", s.Name)
	case s.Kind == S3 && s.Folder != "":
		return fault.New(fault.InvalidRequest, "Bucket %s: a bucket of kind s3 has no folder.", s.Name)
	case s.Kind == S3 && !strings.HasPrefix(s.URL, "https://") && !strings.HasPrefix(s.URL, "http://"):
		return fault.New(fault.InvalidRequest, "Bucket %s: expected url of the form https://HOST.", s.Name)
	case s.Kind == S3 && (s.Bucket == "" || s.AccessKeyID == "" || s.Secret == ""):
		return fault.New(fault.InvalidRequest, "Bucket %s: expected bucket, accessKeyId and secret beside url.", s.Name)
	case s.Kind != Folder && s.Kind != S3:
		return fault.New(fault.InvalidRequest, "Bucket %s: expected kind %s or %s.", s.Name, Folder, S3)
	}
	return nil
}

var bucketName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{2,254}$`)

// CheckName refuses what is no name of a bucket (the model's
// RegistryS3BucketName, which must begin with a letter or digit here, so that
// every name is one of a folder).
func CheckName(name string) error {
	if bucketName.MatchString(name) {
		return nil
	}
	return fault.New(fault.InvalidRequest, "Bucket %q: expected 3 to 255 letters, digits, dots, dashes and underscores, beginning with a letter or digit.", arn.Clip(name, 80))
}

// maxKey is S3's bound of a key's length in bytes.
const maxKey = 1024

// CheckKey refuses a key that a folder could not hold as it is written: the
// parts between its slashes are names of files, so none is empty, a dot or two
// dots.
func CheckKey(key string) error {
	bad := key == "" || len(key) > maxKey || !utf8.ValidString(key) || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r == '\\' || r == 0x7f })
	for part := range strings.SplitSeq(key, "/") {
		bad = bad || part == "" || part == "." || part == ".." || len(part) > 255
	}
	if bad {
		return fault.New(fault.InvalidRequest, "Key %q: expected names of up to 255 bytes divided by slashes, none of them empty, . or .., and 1024 bytes in all.", arn.Clip(key, 80))
	}
	return nil
}

// NoObject is the answer for a key that nothing has.
func NoObject(key string, cause error) error {
	return fault.Wrap(fault.Missing, cause, "Object %s does not exist in the bucket.", arn.Clip(key, 256))
}
