// Package importtest keeps the house in order: its test walks every Go file of
// the repository and fails with a sentence when an import points the wrong way,
// or when a second package begins to know a heavy dependency.
//
// This file is the whole truth about what is allowed. A new directory at the
// root needs a place in the house, a new module an owner; docs/architecture.md
// gives the reasons.
package importtest

// A layer is a set of directories. They may import the layers in sees, and
// never one another.
type layer struct {
	name string
	dirs []string // each with everything below it
	sees []string
}

// house lists the layers from the words up. A package may always import what
// lies under its own directory of this table.
var house = []layer{
	{"failures", []string{"fault"}, nil},
	{"names", []string{"arn"}, []string{"failures"}},
	{"references", []string{"ref", "event"}, []string{"failures", "names"}},
	{"bytes", []string{"wire", "mqtt"}, []string{"failures", "names", "references"}},

	{"instruments", []string{"internal/crash", "internal/documents", "internal/metrics", "internal/seal"}, words},
	{"domain", []string{"ca", "certs", "things", "policy", "templates", "tenants", "attempts", "access", "settings", "rules", "tasks", "audit", "sessions", "retained", "wills"}, below("instruments")},
	{"contracts", []string{"store", "bus", "functions", "buckets"}, below("instruments", "domain")},
	{"use cases", []string{"provision", "journal", "trail", "dispatch", "bulk", "authorize"}, below("instruments", "domain", "contracts")},
	{"edges", []string{"gateway", "control"}, below("instruments", "domain", "contracts", "use cases")},
	{"root", []string{"server"}, below("instruments", "domain", "contracts", "use cases", "edges")},

	// The device's side knows words, and nothing of the server.
	{"client", []string{"client"}, words},
	{"devices", []string{"agent", "sim"}, below("client")},

	// What `slipway bench` compares with, and measures on, stands apart from what
	// it measures.
	{"floor", []string{"internal/floor", "internal/pgtemp"}, nil},

	{"programs", []string{"cmd"}, below("instruments", "domain", "contracts", "use cases", "edges", "root", "client", "devices", "floor")},
}

var words = []string{"failures", "names", "references", "bytes"}

func below(layers ...string) []string { return append(layers, words...) }

// unhoused directories hold nothing that the program is made of.
var unhoused = []string{"internal/certtest", "internal/importtest", "internal/pgtest", "test"}

// An owner is the only directory whose programs may import a module; tests may
// import any. No directory at all means that only tests do.
type owner struct {
	module string
	dirs   []string
}

var owners = []owner{
	{"modernc.org/libc", []string{"store/sqlite"}},
	{"modernc.org/sqlite", []string{"store/sqlite"}},
	{"github.com/jackc/pgx/v5", []string{"store/postgres"}},
	{"github.com/fxamacker/cbor/v2", []string{"wire"}},
	{"github.com/prometheus/client_golang", nil},
	{"github.com/prometheus/client_model", nil},
	{"github.com/prometheus/common", nil},
	{"github.com/nats-io/nats-server/v2", []string{"gateway"}},
	{"github.com/eclipse/paho.golang", []string{"agent/mqttlink"}},
	{"github.com/eclipse/paho.mqtt.golang", []string{"agent/mqttlink"}},
	{"github.com/alecthomas/kong", []string{"cmd/slipway", "cmd/slipway-agent"}},
	{"golang.org/x/crypto", []string{"internal/seal"}},
	{"filippo.io/age", []string{"cmd/slipway"}},
	{"rsc.io/qr", []string{"cmd/internal/qrcode"}},

	{"golang.org/x/sys", []string{"internal/floor"}},

	{"github.com/aws/aws-sdk-go-v2/service/iot", nil},
	{"github.com/aws/aws-sdk-go-v2/config", nil},
	{"github.com/aws/smithy-go", nil},
	{"github.com/aws/aws-sdk-go-v2", nil}, // its signer is the oracle of wire/sigv4
	{"github.com/aws/aws-lambda-go", nil},
	{"github.com/gorilla/websocket", nil}, // the peer of our own, in tests
	{"github.com/rogpeppe/go-internal", nil},
	{"golang.org/x/tools", nil},
	// The store's suite is a test-support package.
	{"pgregory.net/rapid", []string{"store/storetest"}},
	{"github.com/google/go-cmp", []string{"store/storetest"}},
}

// light modules are small, without a design of their own that could spread,
// and may be imported anywhere.
var light = []string{
	"github.com/google/uuid",
	"golang.org/x/sync",
}

// testSupport directories are imported by tests alone and may import testing.
var testSupport = []string{"store/storetest", "functions/functiontest", "buckets/bucketstest", "internal/certtest", "internal/pgtest"}
