package trail

import (
	"context"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
)

// unnoted are the writes that leave no record of their own, each with the
// reason.
var unnoted = map[string]string{
	"Emit":           "an event tells of a change, and is none",
	"InsertIntent":   "the signer's note, gone with the certificate it announced",
	"DeleteIntent":   "the same",
	"InsertAttempts": "devices leave them",
	"PruneAttempts":  "the same",
	"PutRetained":    "devices publish",
	"DropRetained":   "the same",
	"PruneRetained":  "its time was over",
	"PutWill":        "devices leave them",
	"DropWill":       "the same",
	"PutSession":     "a device's connection, as its events tell",
	"DeleteSession":  "the same",
	"Enqueue":        "messages are no part of the registry",
	"Acknowledge":    "the same",
	"MarkSent":       "the same",
	"PruneQueue":     "the same",
	"AppendAudit":    "the trail itself",
	"SealAudit":      "the trail itself",
}

// A method of store.Tx is either noted by a method of Tx's own, or listed
// above, or one that a transaction which only reads may call.
func TestEveryWriteIsNoted(t *testing.T) {
	db := open(t)
	contract, own := reflect.TypeFor[store.Tx](), reflect.TypeFor[*Tx]()
	noted := 0
	for i := range contract.NumMethod() {
		name := contract.Method(i).Name
		m, _ := own.MethodByName(name)
		if declared(m) {
			noted++
			continue
		}
		if _, listed := unnoted[name]; listed {
			continue
		}
		err := db.View(t.Context(), func(ctx context.Context, tx store.Tx) error { return try(ctx, tx, name) })
		if _, text := fault.Show(err); strings.Contains(text, "only reads") {
			t.Errorf("%s writes, and no method of *Tx notes it.", name)
		}
	}
	if noted < 30 {
		t.Errorf("only %d methods are noted: the test does not see them", noted)
	}
}

// declared says whether *Tx has the method itself and not from what it embeds.
func declared(m reflect.Method) bool {
	file, _ := runtime.FuncForPC(m.Func.Pointer()).FileLine(m.Func.Pointer())
	return strings.HasSuffix(file, "/trail/tx.go")
}

// try calls a method with arguments that are there and say nothing, and gives
// its error.
func try(ctx context.Context, tx store.Tx, name string) error {
	m := reflect.ValueOf(tx).MethodByName(name)
	args := []reflect.Value{reflect.ValueOf(ctx)}
	for i := 1; i < m.Type().NumIn(); i++ {
		switch in := m.Type().In(i); {
		case in.Kind() == reflect.Pointer:
			args = append(args, reflect.New(in.Elem()))
		case in == reflect.TypeFor[ref.Page]():
			args = append(args, reflect.ValueOf(ref.Page{Limit: 1}))
		case in == reflect.TypeFor[arn.Tenant]():
			args = append(args, reflect.ValueOf(arn.Default))
		case in.Kind() == reflect.Slice:
			args = append(args, reflect.MakeSlice(in, 1, 1))
		default:
			args = append(args, reflect.Zero(in))
		}
	}
	results := m.Call(args)
	last := results[len(results)-1]
	err, _ := last.Interface().(error)
	return err
}

func TestTheTestOfWritesSeesAWrite(t *testing.T) {
	db := open(t)
	for _, name := range []string{"InsertThing", "PutLink", "DeleteDocument", "UpdateAccessKey", "InsertIntent"} {
		err := db.View(t.Context(), func(ctx context.Context, tx store.Tx) error { return try(ctx, tx, name) })
		if _, text := fault.Show(err); !strings.Contains(text, "only reads") {
			t.Errorf("%s in a View: %v", name, err)
		}
	}
	if m, _ := reflect.TypeFor[*Tx]().MethodByName("Thing"); declared(m) {
		t.Error("a method of the embedded Tx counts as declared")
	}
}
