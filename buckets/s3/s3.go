// Package s3 keeps a bucket in an S3-compatible service. It is the one package
// that knows the SDK's client of S3.
package s3

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/slipway-iot/slipway/buckets"
	"github.com/slipway-iot/slipway/fault"
)

// A Bucket is one bucket of a service.
type Bucket struct {
	client *s3.Client
	name   string
	spool  string // where bodies of unknown length wait to be sent
}

// Open makes the bucket of a spec. It sends nothing yet. The bucket is named
// in the path, as every service understands it, and checksums are sent only
// where S3 demands them, since others do not take them.
func Open(spec buckets.Spec, spool string) *Bucket {
	region := spec.Region
	if region == "" {
		region = "us-east-1"
	}
	client := s3.New(s3.Options{
		BaseEndpoint: &spec.URL, UsePathStyle: true, Region: region, RetryMaxAttempts: 3,
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
		HTTPClient:                 &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, ResponseHeaderTimeout: 30 * time.Second}},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: spec.AccessKeyID, SecretAccessKey: spec.Secret}, nil
		}),
	})
	return &Bucket{client, spec.Bucket, spool}
}

func failed(err error) error {
	return fault.Wrap(fault.Unavailable, err, "The service that holds the bucket refused the call or cannot be reached.")
}

// Open reads an object.
func (b *Bucket) Open(ctx context.Context, key string) (io.ReadCloser, buckets.Object, error) {
	if err := buckets.CheckKey(key); err != nil {
		return nil, buckets.Object{}, err
	}
	out, err := b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: &key})
	var none *types.NoSuchKey
	if errors.As(err, &none) {
		return nil, buckets.Object{}, buckets.NoObject(key, err)
	}
	if err != nil {
		return nil, buckets.Object{}, failed(err)
	}
	version := aws.ToString(out.ETag) + aws.ToTime(out.LastModified).UTC().Format(time.RFC3339)
	return out.Body, buckets.Object{Key: key, Size: aws.ToInt64(out.ContentLength), Version: version}, nil
}

// Create sends an object. S3 wants to know its length before it begins, so a
// body that cannot be asked waits in a file until all of it is here.
func (b *Bucket) Create(ctx context.Context, key string, body io.Reader) error {
	if err := buckets.CheckKey(key); err != nil {
		return err
	}
	sized, ok := body.(io.ReadSeeker)
	if !ok {
		f, err := spooled(b.spool, body)
		if err != nil {
			return err
		}
		defer f.Close()
		sized = f
	}
	// The payload is not hashed ahead, which would read it twice; where the
	// service is reached in the clear, the SDK hashes it all the same.
	_, err := b.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &b.name, Key: &key, Body: sized},
		s3.WithAPIOptions(v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware))
	if err != nil {
		return failed(err)
	}
	return nil
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
	if _, err := b.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.name, Key: &key}); err != nil {
		return failed(err)
	}
	return nil
}

// List asks for one page.
func (b *Bucket) List(ctx context.Context, prefix, after string, limit int) ([]buckets.Object, error) {
	in := &s3.ListObjectsV2Input{Bucket: &b.name, MaxKeys: aws.Int32(int32(min(limit, 1000)))}
	if prefix != "" {
		in.Prefix = &prefix
	}
	if after != "" {
		in.StartAfter = &after
	}
	out, err := b.client.ListObjectsV2(ctx, in)
	if err != nil {
		return nil, failed(err)
	}
	var found []buckets.Object
	for _, o := range out.Contents {
		version := aws.ToString(o.ETag) + aws.ToTime(o.LastModified).UTC().Format(time.RFC3339)
		found = append(found, buckets.Object{Key: aws.ToString(o.Key), Size: aws.ToInt64(o.Size), Version: version})
	}
	return found, nil
}

// Link gives a presigned URL.
func (b *Bucket) Link(ctx context.Context, method, key string, life time.Duration) (string, error) {
	if err := buckets.CheckKey(key); err != nil {
		return "", err
	}
	p := s3.NewPresignClient(b.client, s3.WithPresignExpires(life))
	var r *v4.PresignedHTTPRequest
	var err error
	if method == http.MethodPut {
		r, err = p.PresignPutObject(ctx, &s3.PutObjectInput{Bucket: &b.name, Key: &key})
	} else {
		r, err = p.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: &key})
	}
	if err != nil {
		return "", failed(err)
	}
	return r.URL, nil
}
