package control

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/rules"
	"github.com/slipway-iot/slipway/store"
)

type httpURL struct {
	ConfirmationURL string `json:"confirmationUrl"`
}

// destination is how a destination looks; a list says summary where a single
// one says properties.
type destination struct {
	ARN            string          `json:"arn"`
	Status         rules.Status    `json:"status"`
	Created        seconds         `json:"createdAt"`
	Updated        seconds         `json:"lastUpdatedAt"`
	Reason         string          `json:"statusReason,omitempty"`
	HTTPProperties *httpURL        `json:"httpUrlProperties,omitempty"`
	HTTPSummary    *httpURL        `json:"httpUrlSummary,omitempty"`
	VPCProperties  json.RawMessage `json:"vpcProperties,omitempty"`
	VPCSummary     json.RawMessage `json:"vpcDestinationSummary,omitempty"`
}

func destinationOf(t arn.Tenant, d *rules.Destination) destination {
	out := destination{
		ARN: d.ARN(t), Status: d.Status, Created: seconds{d.Created}, Updated: seconds{d.Updated},
		Reason: d.Reason, VPCProperties: d.VPC,
	}
	if d.URL != "" {
		out.HTTPProperties = &httpURL{d.URL}
	}
	return out
}

func (d destination) summary() destination {
	d.HTTPSummary, d.HTTPProperties = d.HTTPProperties, nil
	d.VPCSummary, d.VPCProperties = d.VPCProperties, nil
	return d
}

type oneDestination struct {
	Destination destination `json:"topicRuleDestination"`
}

func (s *Server) createTopicRuleDestination(ctx context.Context, c *Call, in *struct {
	Configuration struct {
		HTTP *httpURL        `json:"httpUrlConfiguration"`
		VPC  json.RawMessage `json:"vpcConfiguration"`
	} `json:"destinationConfiguration"`
}) (any, error) {
	conf := in.Configuration
	if (conf.HTTP == nil) == (conf.VPC == nil) {
		return nil, fault.New(fault.InvalidRequest, "destinationConfiguration: expected either httpUrlConfiguration or vpcConfiguration.")
	}
	var d *rules.Destination
	err := s.cfg.DB.Update(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		if conf.HTTP != nil {
			d, err = rules.Endpoint(ctx, tx, c.Tenant, conf.HTTP.ConfirmationURL, s.cfg.Now())
		} else {
			d, err = rules.VPC(ctx, tx, c.Tenant, conf.VPC, s.cfg.Now())
		}
		return err
	})
	if err == nil {
		err = s.challenge(ctx, c.Tenant, d)
	}
	if err != nil {
		return nil, err
	}
	return oneDestination{destinationOf(c.Tenant, d)}, nil
}

// challenge sends a waiting endpoint its confirmation message. That it did not
// arrive is no failure of the operation: the destination says so.
func (s *Server) challenge(ctx context.Context, t arn.Tenant, d *rules.Destination) error {
	if d.Status != rules.InProgress || s.cfg.Deliver == nil {
		return nil
	}
	message, err := json.Marshal(struct {
		ARN   string `json:"arn"`
		Token string `json:"confirmationToken"`
		Type  string `json:"messageType"`
	}{d.ARN(t), s.confirmationToken(t, d), "DestinationConfirmation"})
	if err != nil {
		return err
	}
	undelivered := s.cfg.Deliver(ctx, t, d.URL, message)
	if undelivered == nil {
		return nil
	}
	_, why := fault.Show(undelivered)
	return s.cfg.DB.Update(ctx, func(ctx context.Context, tx store.Tx) error {
		return rules.Undelivered(ctx, tx, t, d, "The confirmation message was not delivered: "+why+" UpdateTopicRuleDestination with IN_PROGRESS sends another.", s.cfg.Now())
	})
}

func confirmationContext(t arn.Tenant) string { return "confirm-destination/" + t.String() }

// confirmationToken seals what Confirm needs, so that only who received the
// message can know it.
func (s *Server) confirmationToken(t arn.Tenant, d *rules.Destination) string {
	return base64.RawURLEncoding.EncodeToString(s.cfg.Keys.Seal(confirmationContext(t), []byte(d.Challenge+" "+d.ID)))
}

func (s *Server) confirmTopicRuleDestination(ctx context.Context, c *Call, in *struct {
	Token string `json:"confirmationToken"`
}) (any, error) {
	sealed, err := base64.RawURLEncoding.DecodeString(in.Token)
	var plain []byte
	if err == nil {
		plain, err = s.cfg.Keys.Unseal(confirmationContext(c.Tenant), sealed)
	}
	if err != nil {
		return nil, fault.Wrap(fault.InvalidRequest, err, "The confirmation token is not one that a destination of this account was sent.")
	}
	challenge, id, _ := strings.Cut(string(plain), " ")
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		return rules.Confirm(ctx, tx, c.Tenant, id, challenge, s.cfg.Now())
	})
}

type destinationARN struct {
	ARN string `json:"arn"`
}

func (s *Server) getTopicRuleDestination(ctx context.Context, c *Call, in *destinationARN) (any, error) {
	var d *rules.Destination
	err := s.view(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		d, err = rules.GetDestination(ctx, tx, c.Tenant, in.ARN)
		return err
	})
	if err != nil {
		return nil, err
	}
	return oneDestination{destinationOf(c.Tenant, d)}, nil
}

func (s *Server) updateTopicRuleDestination(ctx context.Context, c *Call, in *struct {
	destinationARN
	Status rules.Status `json:"status"`
}) (any, error) {
	var d *rules.Destination
	err := s.cfg.DB.Update(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		d, err = rules.SetStatus(ctx, tx, c.Tenant, in.ARN, in.Status, s.cfg.Now())
		return err
	})
	if err != nil {
		return nil, err
	}
	return nil, s.challenge(ctx, c.Tenant, d)
}

func (s *Server) deleteTopicRuleDestination(ctx context.Context, c *Call, in *destinationARN) (any, error) {
	return s.update(ctx, func(ctx context.Context, tx store.Tx) error {
		return rules.DeleteDestination(ctx, tx, c.Tenant, in.ARN)
	})
}

func (s *Server) listTopicRuleDestinations(ctx context.Context, c *Call, in *byToken) (any, error) {
	p, err := s.tokenPage(c, *in)
	if err != nil {
		return nil, err
	}
	summaries := []destination{}
	var next string
	err = s.view(ctx, func(ctx context.Context, tx store.Tx) error {
		found, after, err := rules.Destinations(ctx, tx, c.Tenant, p)
		for _, d := range found {
			summaries = append(summaries, destinationOf(c.Tenant, d).summary())
		}
		next = after
		return err
	})
	return struct {
		Summaries []destination `json:"destinationSummaries"`
		NextToken string        `json:"nextToken,omitempty"`
	}{summaries, s.seal(c, next)}, err
}
