package control

import (
	"context"
	"encoding/xml"
	"net/url"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
)

// sts answers GetCallerIdentity, which Terraform and `aws sts` ask first.
func (s *Server) sts(_ context.Context, c *Call) (any, error) {
	form, err := url.ParseQuery(string(c.Body))
	if err != nil {
		return nil, fault.New(fault.InvalidRequest, "The body is not the form it should be.")
	}
	if action := form.Get("Action"); action != "GetCallerIdentity" {
		return nil, fault.New(fault.NotImplemented, "%q of STS is not implemented by Slipway yet.", arn.Clip(action, 60))
	}
	return renderXML(struct {
		XMLName xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ GetCallerIdentityResponse"`
		ARN     string   `xml:"GetCallerIdentityResult>Arn"`
		UserID  string   `xml:"GetCallerIdentityResult>UserId"`
		Account string   `xml:"GetCallerIdentityResult>Account"`
		Request string   `xml:"ResponseMetadata>RequestId"`
	}{ARN: userARN(c.Key), UserID: c.Key.ID, Account: c.Key.Account, Request: c.RequestID})
}

// stsError is the envelope of STS.
func stsError(face fault.Face, text, requestID string) Raw {
	raw, _ := renderXML(struct { // strings only: it cannot fail
		XMLName xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ ErrorResponse"`
		Type    string   `xml:"Error>Type"`
		Code    string   `xml:"Error>Code"`
		Message string   `xml:"Error>Message"`
		Request string   `xml:"RequestId"`
	}{Type: "Sender", Code: face.Exception, Message: text, Request: requestID})
	return raw
}

func renderXML(v any) (Raw, error) {
	body, err := xml.Marshal(v)
	return Raw{"text/xml", body}, err
}
