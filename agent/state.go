package agent

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/slipway-iot/slipway/wire"
)

// A Stage is a state of the provisioning machine. A device goes through them
// in this order, except that a token which buys nothing any more sends it back
// to KeyMade.
type Stage string

const (
	Start               Stage = "start"
	KeyMade             Stage = "key-made"             // the key is in the state
	CertificateReceived Stage = "certificate-received" // certificate, key and token are
	Registered          Stage = "registered"           // so are thing name and configuration
	Connected           Stage = "connected"            // the identity's files are written and it has connected
	Done                Stage = "done"                 // the claim is gone, if it was to go; no secret is in the state
)

// stateVersion is the version of the file's form.
const stateVersion = 1

// A state is what survives a killed run: one file, written whole. It holds the
// private key and the token until the identity's own files are written and
// proved, and is readable by its owner only.
type state struct {
	Version  int    `json:"version"`
	Stage    Stage  `json:"state"`
	Endpoint string `json:"endpoint,omitempty"`
	Template string `json:"template,omitempty"`
	// Request stands for template and parameters, so that a finished folder is
	// not mistaken for another device's.
	Request string `json:"request,omitempty"`

	PrivateKey     string    `json:"privateKey,omitempty"`
	ServerMade     bool      `json:"serverMadeKey,omitempty"` // the key came with the certificate
	CertificateID  string    `json:"certificateId,omitempty"`
	CertificatePEM string    `json:"certificatePem,omitempty"`
	Token          string    `json:"certificateOwnershipToken,omitempty"`
	TokenTime      time.Time `json:"tokenTime,omitzero"`

	ThingName           string            `json:"thingName,omitempty"`
	DeviceConfiguration map[string]string `json:"deviceConfiguration,omitempty"`
}

// tokenLife is how long a token buys its certificate (provisioning-mqtt-api.md,
// section 4).
const tokenLife = time.Hour

// tokenUsable says whether the token may still be good. A clock that was set
// back since says nothing; then the server decides.
func (s state) tokenUsable(now time.Time) bool { return now.Sub(s.TokenTime) < tokenLife }

// past says whether the device has been registered.
func (s state) past() bool {
	return s.Stage == Registered || s.Stage == Connected || s.Stage == Done
}

// loadState reads the folder's state; no file is the Start.
func loadState(dir string) (state, error) {
	fresh := state{Version: stateVersion, Stage: Start}
	b, err := os.ReadFile(filepath.Join(dir, StateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return fresh, nil
	}
	if err != nil {
		return fresh, broken(err, "The state cannot be read: %v.", err)
	}
	var s state
	if err := json.Unmarshal(b, &s); err != nil || s.Version != stateVersion || !s.complete() {
		return fresh, broken(err, "%s in --out is not a state of this program. Remove it to begin again.", StateFile)
	}
	return s, nil
}

// complete says whether the state holds what its stage promises.
func (s state) complete() bool {
	switch s.Stage {
	case Start, KeyMade, Done:
		return true
	case CertificateReceived:
		return s.PrivateKey != "" && s.CertificatePEM != "" && s.Token != ""
	case Registered, Connected:
		return s.PrivateKey != "" && s.CertificatePEM != ""
	}
	return false
}

// save makes s the state, on disk first.
func (r *run) save(s state) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err == nil {
		err = writeFile(r.Config.Dir, StateFile, append(b, '\n'), 0o600)
	}
	if err != nil {
		return broken(err, "The state cannot be written: %v.", err)
	}
	r.state = s
	if r.Reached != nil {
		r.Reached(s.Stage)
	}
	return nil
}

// request stands for what is asked for, whichever token asks.
func (c Config) request() string {
	digest := wire.RegisterRequest{Parameters: c.Parameters}.Digest(c.Template)
	return hex.EncodeToString(digest[:])
}

// adopt fits a state from disk to this run's configuration.
func (r *run) adopt(s state) (state, error) {
	same := s.Request == r.Config.request() && s.Endpoint == r.Config.endpoint()
	switch {
	case s.Stage == Start:
		return s, nil
	case s.Stage == Done && same:
		return r.again(s)
	case s.past() && same:
		return s, nil
	case s.past():
		return s, usage("--out holds the identity of thing %q, made with another template, other parameters or at another endpoint. Choose another folder, or remove this one.", s.ThingName)
	case s.Endpoint != r.Config.endpoint():
		return s.withoutCertificate(), nil // another server knows nothing of the token
	}
	return s, nil
}

// again looks at a folder that is Done. The identity has to be there; the claim
// may still have to go.
func (r *run) again(s state) (state, error) {
	for _, name := range []string{CertFile, KeyFile} {
		if _, err := os.Stat(filepath.Join(r.Config.Dir, name)); err != nil {
			return s, broken(err, "The device was provisioned, but %s is gone from --out. Remove %s to provision it anew.", name, StateFile)
		}
	}
	if r.Config.DeleteClaim {
		s.Stage = Connected
	}
	return s, nil
}

// withoutCertificate goes back to the create step. A key that the device made
// is kept; one that came with the certificate goes with it.
func (s state) withoutCertificate() state {
	back := state{Version: stateVersion, Stage: KeyMade}
	if !s.ServerMade {
		back.PrivateKey = s.PrivateKey
	}
	return back
}
