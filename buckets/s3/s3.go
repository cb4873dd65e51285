// Package s3 keeps a bucket in an S3-compatible service. Five calls are all it
// takes, so it makes them itself: the SDK's client of S3 took longer to compile
// than any package but the SQL database.
package s3

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-iot/slipway/buckets"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/wire/sigv4"
)

// A Bucket is one bucket of a service.
type Bucket struct {
	base, name string // the service's URL without a slash at its end, the bucket there
	region     string
	key        sigv4.Key
	client     *http.Client
	spool      string // where bodies of unknown length wait to be sent
}

// Open makes the bucket of a spec. It sends nothing yet.
func Open(spec buckets.Spec, spool string) *Bucket {
	region := spec.Region
	if region == "" {
		region = "us-east-1"
	}
	return &Bucket{
		base: strings.TrimRight(spec.URL, "/"), name: spec.Bucket, region: region,
		key:    sigv4.Key{ID: spec.AccessKeyID, Secret: spec.Secret},
		client: newClient(), spool: spool,
	}
}

func failed(err error) error {
	return fault.Wrap(fault.Unavailable, err, "The service that holds the bucket refused the call or cannot be reached.")
}

// Open reads an object.
func (b *Bucket) Open(ctx context.Context, key string) (io.ReadCloser, buckets.Object, error) {
	if err := buckets.CheckKey(key); err != nil {
		return nil, buckets.Object{}, err
	}
	answer, err := b.do(ctx, call{method: http.MethodGet, key: key})
	var r *refusal
	if errors.As(err, &r) && r.Code == "NoSuchKey" {
		return nil, buckets.Object{}, buckets.NoObject(key, err)
	}
	if err != nil {
		return nil, buckets.Object{}, failed(err)
	}
	written, _ := http.ParseTime(answer.Header.Get("Last-Modified")) // some do not say
	return answer.Body, buckets.Object{Key: key, Size: max(answer.ContentLength, 0), Version: version(answer.Header.Get("ETag"), written)}, nil
}

// version tells apart what was written at different times, even if it is the
// same.
func version(tag string, written time.Time) string {
	return tag + written.UTC().Format(time.RFC3339)
}

// Create sends an object. S3 wants to know its length before it begins, so a
// body that cannot be asked waits in a file until all of it is here. No
// checksum goes with it, since not every service takes one.
func (b *Bucket) Create(ctx context.Context, key string, body io.Reader) error {
	if err := buckets.CheckKey(key); err != nil {
		return err
	}
	sized := section(body)
	if sized == nil {
		f, err := spooled(b.spool, body)
		if err != nil {
			return err
		}
		defer f.Close()
		sized = section(f)
	}
	return b.tell(ctx, call{method: http.MethodPut, key: key, body: sized})
}

// tell makes a call whose answer says nothing but yes.
func (b *Bucket) tell(ctx context.Context, c call) error {
	answer, err := b.do(ctx, c)
	if err != nil {
		return failed(err)
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, longest)) // so that the connection serves again
	return nil
}

// section is what is left of a body, or nil if it does not know how much that
// is, or can be read once only.
func section(body io.Reader) *io.SectionReader {
	at, ok := body.(interface {
		io.ReaderAt
		io.Seeker
	})
	if !ok {
		return nil
	}
	from, err := at.Seek(0, io.SeekCurrent)
	if err != nil { // such as a pipe, which is a file that cannot
		return nil
	}
	to, err := at.Seek(0, io.SeekEnd)
	if err != nil {
		return nil
	}
	return io.NewSectionReader(at, from, to-from)
}

// spooled writes body to a file that has no name any more.
func spooled(dir string, body io.Reader) (*os.File, error) {
	f, err := os.CreateTemp(dir, "spool-")
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "The object cannot be kept until it is sent.")
	}
	if err = os.Remove(f.Name()); err == nil {
		if _, err = io.Copy(f, body); err == nil {
			_, err = f.Seek(0, io.SeekStart)
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Delete forgets an object.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	if err := buckets.CheckKey(key); err != nil {
		return err
	}
	return b.tell(ctx, call{method: http.MethodDelete, key: key})
}

// List asks for one page.
func (b *Bucket) List(ctx context.Context, prefix, after string, limit int) ([]buckets.Object, error) {
	query := url.Values{"list-type": {"2"}, "max-keys": {strconv.Itoa(min(limit, 1000))}}
	if prefix != "" {
		query.Set("prefix", prefix)
	}
	if after != "" {
		query.Set("start-after", after)
	}
	answer, err := b.do(ctx, call{method: http.MethodGet, query: query})
	if err != nil {
		return nil, failed(err)
	}
	defer answer.Body.Close()
	var page struct {
		XMLName  xml.Name `xml:"ListBucketResult"`
		Contents []struct {
			Key, ETag    string
			Size         int64
			LastModified time.Time
		}
	}
	if err := xml.NewDecoder(io.LimitReader(answer.Body, longest)).Decode(&page); err != nil {
		return nil, failed(err)
	}
	var found []buckets.Object
	for _, o := range page.Contents {
		found = append(found, buckets.Object{Key: o.Key, Size: o.Size, Version: version(o.ETag, o.LastModified)})
	}
	return found, nil
}

// Link gives a presigned URL.
func (b *Bucket) Link(ctx context.Context, method, key string, life time.Duration) (string, error) {
	if err := buckets.CheckKey(key); err != nil {
		return "", err
	}
	at := b.url(call{key: key, query: url.Values{"X-Amz-Expires": {strconv.FormatInt(int64(life/time.Second), 10)}}})
	r, err := http.NewRequestWithContext(ctx, method, at, nil)
	if err != nil {
		return "", failed(err)
	}
	link, err := b.key.Presign(r, b.region, signedFor, sigv4.Unsigned, time.Now())
	if err != nil {
		return "", failed(err)
	}
	return link, nil
}
