package control

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/event"
)

func TestCertificates(t *testing.T) {
	s := open(t, nil)
	c := s.admin()
	keys := must(c.CreateKeysAndCertificate(ctx, &iot.CreateKeysAndCertificateInput{}))(t)
	id := keys.CertificateId

	t.Run("key, certificate and id belong together", func(t *testing.T) {
		pair, err := tls.X509KeyPair([]byte(*keys.CertificatePem), []byte(*keys.KeyPair.PrivateKey))
		if err != nil {
			t.Fatal(err)
		}
		if got := arn.IDOf(pair.Certificate[0]); string(got) != *id || *keys.CertificateArn != "arn:aws:iot:us-east-1:000000000000:cert/"+*id {
			t.Errorf("the digest is %s, the id %s", got, *id)
		}
		block, _ := pem.Decode([]byte(*keys.KeyPair.PublicKey))
		if _, err := x509.ParsePKIXPublicKey(block.Bytes); err != nil {
			t.Error(err)
		}
	})
	t.Run("a description has every member that clients need", func(t *testing.T) {
		d := must(c.DescribeCertificate(ctx, &iot.DescribeCertificateInput{CertificateId: id}))(t).CertificateDescription
		if d.Status != types.CertificateStatusInactive || *d.OwnedBy != "000000000000" || *d.CustomerVersion != 1 || *d.GenerationId == "" ||
			d.CertificateMode != types.CertificateModeDefault || d.CaCertificateId != nil || *d.CertificatePem != *keys.CertificatePem {
			t.Errorf("got %+v", d)
		}
		if d.Validity.NotAfter.Year() != 2049 || time.Since(*d.CreationDate) > time.Minute {
			t.Errorf("valid until %v, created %v", d.Validity.NotAfter, d.CreationDate)
		}
	})
	set := func(to types.CertificateStatus) error {
		_, err := c.UpdateCertificate(ctx, &iot.UpdateCertificateInput{CertificateId: id, NewStatus: to})
		return err
	}
	t.Run("a change of status counts once, and is told once", func(t *testing.T) {
		forget(t, s)
		for range 2 {
			if err := set(types.CertificateStatusActive); err != nil {
				t.Fatal(err)
			}
		}
		d := must(c.DescribeCertificate(ctx, &iot.DescribeCertificateInput{CertificateId: id}))(t).CertificateDescription
		events, _, err := s.db.Outbox(ctx, 10)
		if err != nil {
			t.Fatal(err)
		}
		if *d.CustomerVersion != 2 || len(events) != 1 || events[0].Kind != event.CertificateStatus || events[0].Detail != "ACTIVE" {
			t.Errorf("version %d, events %+v", *d.CustomerVersion, events)
		}
	})
	t.Run("an ACTIVE certificate cannot be deleted", func(t *testing.T) {
		_, err := c.DeleteCertificate(ctx, &iot.DeleteCertificateInput{CertificateId: id, ForceDelete: true})
		refused(t, err, "CertificateStateException", "Certificate must be deactivated (not ACTIVE) before deletion. Id: "+*id)
	})
	t.Run("nobody can ask for a PENDING status", func(t *testing.T) {
		refused(t, set(types.CertificateStatusPendingActivation), "CertificateStateException", "PENDING_ACTIVATION")
		refused(t, set("SLEEPING"), "InvalidRequestException", "Member must satisfy enum value set: [ACTIVE, INACTIVE, REVOKED")
	})
	t.Run("revoked is final", func(t *testing.T) {
		if err := set(types.CertificateStatusRevoked); err != nil {
			t.Fatal(err)
		}
		refused(t, set(types.CertificateStatusActive), "CertificateStateException", "REVOKED, which is final")
		must(c.DeleteCertificate(ctx, &iot.DeleteCertificateInput{CertificateId: id}))(t)
		refused(t, set(types.CertificateStatusActive), "ResourceNotFoundException", *id)
	})
	t.Run("a request that cannot be signed leaves no certificate", func(t *testing.T) {
		_, err := c.CreateCertificateFromCsr(ctx, &iot.CreateCertificateFromCsrInput{CertificateSigningRequest: aws.String("not a request")})
		refused(t, err, "InvalidRequestException", "")
		if got := must(c.ListCertificates(ctx, &iot.ListCertificatesInput{}))(t); len(got.Certificates) != 0 {
			t.Errorf("got %v", got.Certificates)
		}
	})
}

// forget empties the outbox.
func forget(t *testing.T, s *site) {
	t.Helper()
	_, position, err := s.db.Outbox(ctx, 1000)
	if err == nil {
		err = s.db.Forget(ctx, position)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestListCertificates(t *testing.T) {
	s := open(t, nil)
	c := s.admin()
	var made []string
	for range 5 {
		id, _ := s.newCertificate()
		made = append(made, id)
	}
	list := func(ascending bool) (ids []string) {
		pages := iot.NewListCertificatesPaginator(c, &iot.ListCertificatesInput{PageSize: aws.Int32(2), AscendingOrder: ascending})
		for pages.HasMorePages() {
			for _, cert := range must(pages.NextPage(ctx))(t).Certificates {
				ids = append(ids, *cert.CertificateId)
			}
		}
		return ids
	}
	up, down := list(true), list(false)
	if strings.Join(up, " ") != strings.Join(made, " ") {
		t.Errorf("ascending gave %v, made were %v", up, made)
	}
	for i := range made {
		if i >= len(down) || down[i] != made[len(made)-1-i] {
			t.Fatalf("descending gave %v", down)
		}
	}
}

func TestProvisioningClaim(t *testing.T) {
	s := open(t, nil)
	c := s.client("AKIATESTINSTALLER")
	in := &iot.CreateProvisioningClaimInput{TemplateName: aws.String("fleet")}
	_, err := c.CreateProvisioningClaim(ctx, in)
	refused(t, err, "ResourceNotFoundException", "fleet")

	must(s.admin().CreateProvisioningTemplate(context.Background(), newTemplate("fleet")))(t)
	got := must(c.CreateProvisioningClaim(ctx, in))(t)
	if _, err := tls.X509KeyPair([]byte(*got.CertificatePem), []byte(*got.KeyPair.PrivateKey)); err != nil {
		t.Error(err)
	}
	if left := time.Until(*got.Expiration); left < 4*time.Minute || left > 6*time.Minute {
		t.Errorf("the claim lasts %v", left)
	}
	t.Run("it is hidden from everybody", func(t *testing.T) {
		if list := must(s.admin().ListCertificates(ctx, &iot.ListCertificatesInput{}))(t); len(list.Certificates) != 0 {
			t.Errorf("got %v", list.Certificates)
		}
		_, err := s.admin().DescribeCertificate(ctx, &iot.DescribeCertificateInput{CertificateId: got.CertificateId})
		refused(t, err, "ResourceNotFoundException", *got.CertificateId)
		_, err = s.admin().UpdateCertificate(ctx, &iot.UpdateCertificateInput{CertificateId: got.CertificateId, NewStatus: types.CertificateStatusInactive})
		refused(t, err, "ResourceNotFoundException", *got.CertificateId)
	})
}
