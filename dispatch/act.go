package dispatch

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/attempts"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/rules"
	"github.com/slipway-iot/slipway/store"
)

// act does one action with a payload; nil when it was done.
func (d *Dispatcher) act(ctx context.Context, w *work, a *rules.Action, payload []byte) *failure {
	target, ok := a.Target.Fill(w.message(d))
	f := &failure{Action: actionName(a.Kind), Resource: target}
	if !ok {
		f.Message = "A ${…} of the action has no value for this message."
		return d.outcome(a, f)
	}
	var err error
	switch a.Kind {
	case rules.Lambda:
		err = d.invoke(ctx, w.tenant, target, payload)
	case rules.Republish:
		err = d.republish(w, target, a.QoS, payload)
	case rules.HTTP:
		err = d.post(ctx, w, a, target, payload)
	default:
		err = fault.New(fault.NotImplemented, "Actions of kind %s are stored, and cannot be carried out here; lambda, republish and http can.", a.Kind)
	}
	if err == nil {
		return d.outcome(a, nil)
	}
	_, f.Message = fault.Show(err)
	return d.outcome(a, f)
}

func (d *Dispatcher) outcome(a *rules.Action, f *failure) *failure {
	if f == nil {
		d.Metrics.Action(a.Kind, "done")
	} else {
		d.Metrics.Action(a.Kind, "failed")
	}
	return f
}

// actionName is how AWS names a kind: LambdaAction.
func actionName(kind string) string {
	if kind == rules.HTTP {
		return "HttpAction"
	}
	return strings.ToUpper(kind[:1]) + kind[1:] + "Action"
}

// invoke calls a function. What it answers is of no interest, that it failed
// is.
func (d *Dispatcher) invoke(ctx context.Context, t arn.Tenant, name string, payload []byte) error {
	if !json.Valid(payload) {
		return fault.New(fault.InvalidRequest, "The message is no JSON, which a function needs; let the rule select encode(*, 'base64') AS data.")
	}
	f, err := d.Functions.Resolve(ctx, t, name)
	if err != nil {
		return err
	}
	_, err = f.Invoke(ctx, payload)
	return err
}

func (d *Dispatcher) republish(w *work, topic string, qos byte, payload []byte) error {
	if rest, ok := strings.CutPrefix(topic, "$$"); ok { // how a rule names a reserved topic
		topic = "$" + rest
	}
	if topic == "" || len(topic) > 256 || strings.ContainsAny(topic, "+#\x00") || qos > 1 {
		return fault.New(fault.InvalidRequest, "The rule cannot republish to topic %q with QoS %d: expected 1 to 256 bytes without wildcards, and QoS 0 or 1.", arn.Clip(topic, 200), qos)
	}
	d.Publish(Message{Tenant: w.tenant, Topic: topic, Payload: payload, Hops: w.Hops + 1}, qos)
	return nil
}

// post calls an endpoint that has a confirmed destination.
func (d *Dispatcher) post(ctx context.Context, w *work, a *rules.Action, url string, payload []byte) error {
	if err := d.confirmed(ctx, w.tenant, url, a.Confirm); err != nil {
		return err
	}
	h := http.Header{}
	for _, x := range a.Headers {
		v, ok := x.Value.Fill(w.message(d))
		if !ok {
			return fault.New(fault.InvalidRequest, "The value of header %s has no value for this message.", arn.Clip(x.Name, 100))
		}
		h.Set(x.Name, v)
	}
	return d.Post(ctx, w.tenant, url, h, payload)
}

// confirmed says whether a destination that the URL begins with is ENABLED
// (rest-api.md, section 7.7).
func (d *Dispatcher) confirmed(ctx context.Context, t arn.Tenant, url, confirm string) error {
	return d.DB.View(ctx, func(ctx context.Context, tx store.Tx) error {
		for p := ref.All; ; {
			page, next, err := rules.Destinations(ctx, tx, t, p)
			if err != nil {
				return err
			}
			for _, x := range page {
				if x.Status == rules.Enabled && x.URL != "" && (x.URL == confirm || confirm == "" && covers(x.URL, url)) {
					return nil
				}
			}
			if next == "" {
				return fault.New(fault.Refused, "There is no ENABLED destination for %s: create one for its confirmation URL, and let the endpoint confirm.", arn.Clip(url, 200))
			}
			p.After = next
		}
	})
}

// covers says whether a URL lies at or below a confirmed one.
func covers(confirmed, url string) bool {
	rest, ok := strings.CutPrefix(url, strings.TrimSuffix(confirmed, "/"))
	return ok && (rest == "" || rest[0] == '/' || rest[0] == '?')
}

// giveUp tells the error action, the log and the trace what became of a work.
func (d *Dispatcher) giveUp(ctx context.Context, w *work) {
	if w.rule.OnError != nil {
		if f := d.act(ctx, w, w.rule.OnError, w.forErrorAction()); f != nil {
			w.failed = append(w.failed, failure{"the error action, " + f.Action, f.Resource, f.Message})
		}
	}
	a := d.attempt(w)
	d.Journal.Record(a)
	d.Metrics.Attempt(a.Door, string(a.Outcome))
	d.Log.WarnContext(ctx, "rule", slog.String("rule", w.Rule), slog.String("tenant", w.tenant.String()),
		slog.String("topic", arn.Clip(w.Topic, 200)), slog.String("reason", a.Reason))
}

// forErrorAction is what an error action gets (hooks-and-events.md, section 7.5).
func (w *work) forErrorAction() []byte {
	body, _ := json.Marshal(map[string]any{ // texts alone: it cannot fail
		"ruleName": w.Rule, "topic": w.Topic, "cloudwatchTraceId": w.ID, "clientId": w.ClientID,
		"base64OriginalPayload": base64.StdEncoding.EncodeToString(w.Payload), "failures": w.failed,
	})
	return body
}

func (f *failure) name() string {
	if f.Resource == "" {
		return f.Action
	}
	return f.Action + " on " + arn.Clip(f.Resource, 200)
}

// attempt is what `slipway trace` shows of a work that was given up. It is
// found by the rule, the client, its certificate, and the values that an event
// of the service names.
func (d *Dispatcher) attempt(w *work) *attempts.Attempt {
	r := attempts.Open(w.ID, "rule "+w.Rule, w.Rule, func() time.Time { return w.At })
	r.Who(w.tenant, arn.CertID(w.Principal), w.ClientID)
	r.Through("rule", "")
	var named map[string]any
	if json.Unmarshal(w.Payload, &named) == nil {
		keys := map[string]string{}
		for _, k := range []string{"certificateId", "clientId", "thingName"} {
			if v, ok := named[k].(string); ok {
				keys[k] = v
			}
		}
		r.Find(keys)
	}
	r.Step("rule", fmt.Sprintf("Rule %s took a message on %s.", w.Rule, arn.Clip(w.Topic, 256)))
	for _, f := range w.failed {
		r.Fail("action", fmt.Sprintf("%s failed %d times. %s", f.name(), w.round, f.Message))
	}
	a, _ := r.Close("")
	a.Closed = d.Now()
	return a
}
