package agent

import (
	"context"
	"time"

	"github.com/slipway-iot/slipway/wire"
)

// A step leads from one state to the next. It changes nothing in memory that
// the returned state does not hold, so that it can be run again.
type step struct {
	run     func(*run, context.Context) (state, error)
	asThing bool // it uses the new identity, not the claim
}

// steps is the machine.
func steps(at Stage) step {
	switch at {
	case Start:
		return step{run: (*run).makeKey}
	case KeyMade:
		return step{run: (*run).askCertificate}
	case CertificateReceived:
		return step{run: (*run).register}
	case Registered:
		return step{run: (*run).prove, asThing: true}
	}
	return step{run: (*run).tidy}
}

// walk runs the machine from the state it is in to Done.
func (r *run) walk(ctx context.Context) error {
	for r.state.Stage != Done {
		if err := ctx.Err(); err != nil {
			return interrupted(ctx)
		}
		next, err := r.persist(ctx, steps(r.state.Stage))
		if err != nil {
			return err
		}
		if err := r.save(next); err != nil {
			return err
		}
	}
	return nil
}

// makeKey leads from Start to KeyMade. If the server is to make the key, there
// is none until the certificate comes.
func (r *run) makeKey(context.Context) (state, error) {
	next := r.state
	next.Stage = KeyMade
	if r.Config.Keys == ServerKey {
		return next, nil
	}
	err := r.timed("make the key", func() (err error) {
		next.PrivateKey, err = newKey(r.Config.KeyType)
		return err
	})
	return next, err
}

// askCertificate leads from KeyMade to CertificateReceived.
func (r *run) askCertificate(ctx context.Context) (state, error) {
	if r.Config.Keys == OwnKey && r.state.PrivateKey == "" {
		return r.makeKey(ctx) // an earlier run wanted the server's
	}
	q, err := r.certificateQuestion()
	if err != nil {
		return state{}, err
	}
	answer, err := timedAnswer(r, ctx, "receive the certificate", q, wire.DecodeCreateAnswer)
	if err != nil {
		return state{}, err
	}
	next := r.state
	if r.Config.Keys == ServerKey {
		next.PrivateKey, next.ServerMade = answer.PrivateKey, true
	}
	if _, err := pair([]byte(answer.CertificatePEM), []byte(next.PrivateKey)); err != nil {
		return state{}, unusable("The certificate that the server sent is not for this device's key: %v.", err)
	}
	next.Stage, next.Endpoint = CertificateReceived, r.Config.endpoint()
	next.CertificateID, next.CertificatePEM = answer.CertificateID, answer.CertificatePEM
	next.Token, next.TokenTime = answer.Token, r.Now()
	return next, nil
}

func (r *run) certificateQuestion() (question, error) {
	f := r.Config.Format
	if r.Config.Keys == ServerKey {
		return question{wire.CreateKeys, wire.CreateKeysTopic(f), wire.EncodeCreate(f), r.Config.CertificateTimeout}, nil
	}
	csr, err := signingRequest(r.state.PrivateKey)
	if err != nil {
		return question{}, broken(err, "The device's key cannot be used: %v.", err)
	}
	return question{wire.CreateFromCSR, wire.CreateFromCSRTopic(f), wire.EncodeCreateFromCSR(f, csr), r.Config.CertificateTimeout}, nil
}

// register leads from CertificateReceived to Registered. A token that its hour
// has made worthless leads back to the create step without asking.
func (r *run) register(ctx context.Context) (state, error) {
	if !r.state.tokenUsable(r.Now()) {
		return r.state.withoutCertificate(), nil
	}
	f := r.Config.Format
	request := wire.RegisterRequest{Token: r.state.Token, Parameters: r.Config.Parameters}
	q := question{wire.RegisterThing, wire.RegisterTopic(r.Config.Template, f), request.Encode(f), r.Config.RegisterTimeout}
	answer, err := timedAnswer(r, ctx, "register the thing", q, wire.DecodeRegisterAnswer)
	if err != nil {
		return state{}, err
	}
	next := r.state
	next.Stage, next.Token, next.TokenTime = Registered, "", time.Time{}
	next.Template, next.Request = r.Config.Template, r.Config.request()
	next.ThingName, next.DeviceConfiguration = answer.ThingName, answer.DeviceConfiguration
	return next, nil
}

// timedAnswer asks and decodes, and takes the time without that of opening the
// link.
func timedAnswer[T any](r *run, ctx context.Context, name string, q question, decode func(wire.Format, []byte) (T, error)) (answer T, err error) {
	if _, err := r.asClaim(ctx); err != nil {
		return answer, err
	}
	err = r.timed(name, func() error {
		payload, err := r.ask(ctx, q)
		if err != nil {
			return err
		}
		if answer, err = decode(r.Config.Format, payload); err != nil {
			return unusable("The server's answer to %s cannot be used: %v", q.op, err)
		}
		return nil
	})
	return answer, err
}

// prove leads from Registered to Connected: the identity is written to its
// files and used once. The claim's connection is closed first, as devices do
// (methods.md, section 6, step 7).
func (r *run) prove(ctx context.Context) (state, error) {
	r.hangUp()
	if err := r.timed("write the identity", r.install); err != nil {
		return state{}, broken(err, "The identity cannot be written: %v.", err)
	}
	cert, err := pair([]byte(r.state.CertificatePEM), []byte(r.state.PrivateKey))
	if err != nil {
		return state{}, broken(err, "The stored identity cannot be used: %v.", err)
	}
	err = r.timed("connect as thing", func() error {
		link, err := r.dial(ctx, cert, r.identity())
		if err == nil {
			link.Close()
		}
		return err
	})
	next := r.state
	next.Stage = Connected
	return next, err
}

// identity is the client id of the new identity. Policies usually name the
// thing; without one, the certificate is all there is.
func (r *run) identity() string {
	if r.state.ThingName != "" {
		return r.state.ThingName
	}
	return r.state.CertificateID
}

// tidy leads from Connected to Done: the claim goes, if it is to go, and with
// it the last secret in the state.
func (r *run) tidy(context.Context) (state, error) {
	if r.Config.DeleteClaim {
		if err := r.timed("delete the claim", r.deleteClaim); err != nil {
			return state{}, broken(err, "The claim cannot be deleted: %v.", err)
		}
	}
	next := r.state
	next.Stage = Done
	next.PrivateKey, next.CertificatePEM, next.Token = "", "", ""
	return next, nil
}
