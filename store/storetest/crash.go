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
	"github.com/slipway-iot/slipway/fault"
	"github.com/slipway-iot/slipway/store"
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

// writeForever has eight callers store a thing and its certificate in one
// Update each, and says the name of each thing when it was acknowledged.
func writeForever(db store.DB) {
	together(8, func(i int) {
		for j := 0; ; j++ {
			n := i*callerStride + j
			err := db.Update(context.Background(), func(ctx context.Context, tx tx) error {
				if err := insert(ctx, tx, fmt.Sprint(n)); err != nil {
					return err
				}
				return tx.InsertCertificate(ctx, certificate(n))
			})
			if err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			os.Stdout.WriteString(fmt.Sprintf("stored %d\n", n)) // one write, so that no line is torn
		}
	})
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
