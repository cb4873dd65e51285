// Lambda decides about devices that connect with a certificate that nobody
// registered: just-in-time registration. A topic rule calls it with the event
// of $aws/events/certificates/registered/CA.
//
// It is a program for AWS Lambda, written against Amazon's libraries alone, and
// knows nothing of where it runs. Beside it lies devices.csv, the factory's
// table: the common name of each certificate that may come, and its serial
// number in hexadecimal digits. The certificate becomes ACTIVE last, and every
// step may be done twice.
package main

import (
	"context"
	"crypto/x509"
	"encoding/csv"
	"encoding/pem"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
)

const policyName = "PumpPolicy"

const policyDocument = `{"Version":"2012-10-17","Statement":[
 {"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:*:*:client/${iot:Connection.Thing.ThingName}"},
 {"Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:*:*:topic/pumps/${iot:Connection.Thing.ThingName}/*"}]}`

// A registration is the event.
type registration struct {
	CertificateID string `json:"certificateId"`
	Status        string `json:"certificateStatus"`
	Account       string `json:"awsAccountId"`
}

func main() {
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		log.Fatal(err)
	}
	c := iot.NewFromConfig(cfg)
	lambda.Start(func(ctx context.Context, r registration) error { return register(ctx, c, r) })
}

func register(ctx context.Context, c *iot.Client, r registration) error {
	if r.Status != string(types.CertificateStatusPendingActivation) {
		return nil
	}
	got, err := c.DescribeCertificate(ctx, &iot.DescribeCertificateInput{CertificateId: &r.CertificateID})
	if err != nil {
		return err
	}
	cert, err := parse(aws.ToString(got.CertificateDescription.CertificatePem))
	if err != nil {
		return err
	}
	name := cert.Subject.CommonName
	known, err := listed(name, fmt.Sprintf("%x", cert.SerialNumber))
	if err != nil {
		return err
	}
	if !known {
		log.Printf("%s with serial %x is not in the table; it stays out", name, cert.SerialNumber)
		return nil
	}
	return admit(ctx, c, name, got.CertificateDescription)
}

// admit makes what the device needs, and activates its certificate.
func admit(ctx context.Context, c *iot.Client, name string, cert *types.CertificateDescription) error {
	var exists *types.ResourceAlreadyExistsException
	_, err := c.CreatePolicy(ctx, &iot.CreatePolicyInput{PolicyName: aws.String(policyName), PolicyDocument: aws.String(policyDocument)})
	if err != nil && !errors.As(err, &exists) {
		return err
	}
	if _, err := c.AttachPolicy(ctx, &iot.AttachPolicyInput{PolicyName: aws.String(policyName), Target: cert.CertificateArn}); err != nil {
		return err
	}
	if _, err := c.CreateThing(ctx, &iot.CreateThingInput{ThingName: &name}); err != nil && !errors.As(err, &exists) {
		return err
	}
	if _, err := c.AttachThingPrincipal(ctx, &iot.AttachThingPrincipalInput{ThingName: &name, Principal: cert.CertificateArn}); err != nil {
		return err
	}
	_, err = c.UpdateCertificate(ctx, &iot.UpdateCertificateInput{CertificateId: cert.CertificateId, NewStatus: types.CertificateStatusActive})
	return err
}

func parse(text string) (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("the certificate is no PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}

// listed looks a certificate up in the table.
func listed(name, serial string) (bool, error) {
	f, err := os.Open(filepath.Join(os.Getenv("LAMBDA_TASK_ROOT"), "devices.csv"))
	if err != nil {
		return false, err
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return false, err
	}
	for _, row := range rows {
		if len(row) == 2 && row[0] == name && row[1] == serial {
			return true, nil
		}
	}
	return false, nil
}
