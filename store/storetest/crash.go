package storetest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/slipway-iot/slipway/arn"
	"github.com/slipway-iot/slipway/audit"
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/ref"
	"github.com/slipway-iot/slipway/store"
	"github.com/slipway-iot/slipway/things"
)

// placeVariable names the database in the environment of a child process.
const placeVariable = "SLIPWAY_STORETEST_PLACE"

// Main is what a driver's TestMain calls: it runs the tests, or, in a child
// process of Killed, writes without end to the database at the child's place.
func Main(tests func() int, open func(place string) (store.DB, error)) {
	if place := os.Getenv(placeVariable); place != "" {
		db, err := open(place)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		writeForever(db)
	}
	os.Exit(tests())
}

// callerStride keeps the numbers of writeForever's callers apart.
const callerStride = 1_000_000

// writeForever has eight callers store a thing, its certificate and its audit
// record in one Update each, and says the name of each thing when it was
// acknowledged. A ninth seals the records.
func writeForever(db store.DB) {
	together(9, func(i int) {
		if i == 8 {
			sealForever(db)
		}
		for j := 0; ; j++ {
			n := i*callerStride + j
			err := db.Update(context.Background(), func(ctx context.Context, tx tx) error {
				if err := insert(ctx, tx, fmt.Sprint(n)); err != nil {
					return err
				}
				if err := tx.InsertCertificate(ctx, certificate(n)); err != nil {
					return err
				}
				return tx.AppendAudit(ctx, auditRecord(arn.Default, n))
			})
			if err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			os.Stdout.WriteString(fmt.Sprintf("stored %d\n", n)) // one write, so that no line is torn
		}
	})
}

func sealForever(db store.DB) {
	for {
		var (
			from    audit.Head
			entries []audit.Entry
		)
		err := db.View(context.Background(), func(ctx context.Context, tx tx) (err error) {
			if from, err = tx.AuditHead(ctx); err != nil {
				return err
			}
			entries, err = tx.UnsealedAudit(ctx, 5)
			return err
		})
		if err == nil {
			to := audit.Chain(from, entries)
			err = db.Update(context.Background(), func(ctx context.Context, tx tx) error { return tx.SealAudit(ctx, from, to, entries) })
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
}

// Killed kills a process in the midst of its commits to a fresh place, and
// asserts that all it was told to be stored is there, and no Update by half.
func Killed(t *testing.T, place string, open func(place string) (store.DB, error)) {
	told := killWriter(t, place, 60)
	db, err := open(place)
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, db)
	next := make(map[int]int) // by caller: the first that was not acknowledged
	for _, n := range told {
		caller := n / callerStride
		next[caller] = max(next[caller], n+1)
	}
	view(t, db, func(ctx context.Context, tx tx) error {
		for _, n := range told {
			if _, err := tx.Thing(ctx, arn.Default, fmt.Sprint(n)); err != nil {
				t.Errorf("acknowledged, and lost: %v", err)
			}
		}
		for _, n := range next {
			_, one := tx.Thing(ctx, arn.Default, fmt.Sprint(n))
			_, two := tx.Certificate(ctx, arn.Default, certID(n))
			if fault.Is(one, fault.Missing) != fault.Is(two, fault.Missing) {
				t.Errorf("half an Update: thing %v, certificate %v", one, two)
			}
		}
		return nil
	})
	afterwards(t, db)
}

// afterwards asserts that every thing has its record and no record is without
// one, and that the chain goes on from where it was.
func afterwards(t *testing.T, db store.DB) {
	t.Helper()
	made := walk(t, db, ref.Page{Limit: 1000}, nil, func(ctx context.Context, tx tx, p ref.Page) ([]*things.Thing, string, error) {
		return tx.ListThings(ctx, arn.Default, things.Filter{}, p)
	})
	soundAudit(t, db)
	for _, _, waiting := chained(t, db); len(waiting) > 0; _, _, waiting = chained(t, db) {
		sealAudit(t, db)
	}
	if n := soundAudit(t, db); n != int64(len(made)) {
		t.Errorf("%d things were made, and %d records tell of it", len(made), n)
	}
}

// killWriter starts a child that writes, kills it after some acknowledgements
// and gives all that it had said.
func killWriter(t *testing.T, place string, after int) []int {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(self)
	child.Env = append(os.Environ(), placeVariable+"="+place)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var told []int
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var n int
		if _, err := fmt.Sscanf(lines.Text(), "stored %d", &n); err != nil {
			if strings.HasPrefix(lines.Text(), "stored") {
				break // the kill tore the line
			}
			t.Errorf("the child says: %s", lines.Text())
			break
		}
		if told = append(told, n); len(told) == after {
			child.Process.Kill()
		}
	}
	child.Process.Kill()
	child.Wait()
	return told
}
