// Lambda is the reference function of functiontest as a program for AWS
// Lambda, built with Amazon's library. The parameter SerialNumber and the
// variable INIT choose in which way it goes wrong.
//
// With PHONE it connects to that address when it starts, and never closes the
// connection: whoever listens sees its end when the program's comes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

var version = "one" // set by the linker

type request struct {
	Parameters map[string]string `json:"parameters"`
}

type answer struct {
	AllowProvisioning  bool              `json:"allowProvisioning"`
	ParameterOverrides map[string]string `json:"parameterOverrides,omitempty"`
}

func main() {
	fmt.Println("starting version", version)
	home := dial()
	switch os.Getenv("INIT") {
	case "exit":
		fmt.Fprintln(os.Stderr, "no licence found")
		os.Exit(3)
	case "error":
		initError(`{"errorMessage":"no database","errorType":"Runtime.Init"}`)
	case "hang":
		time.Sleep(time.Hour)
	case "wait":
		home.Read(make([]byte, 1))
	case "spawn":
		spawn()
	}
	lambda.Start(func(ctx context.Context, r request) (any, error) {
		return handle(ctx, r.Parameters["SerialNumber"], home)
	})
}

func dial() net.Conn {
	addr := os.Getenv("PHONE")
	if addr == "" {
		return nil
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		panic(err)
	}
	return c
}

func initError(report string) {
	resp, err := http.Post("http://"+os.Getenv("AWS_LAMBDA_RUNTIME_API")+"/2018-06-01/runtime/init/error", "application/json", strings.NewReader(report))
	if err == nil {
		io.Copy(io.Discard, resp.Body)
	}
	time.Sleep(time.Hour) // the server ends it
}

// spawn starts a process that phones too and never ends by itself.
func spawn() {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	cmd := exec.Command(self)
	cmd.Env = []string{"INIT=hang", "PHONE=" + os.Getenv("PHONE")}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		panic(err)
	}
}

func handle(ctx context.Context, serial string, home net.Conn) (any, error) {
	a := answer{AllowProvisioning: len(serial) == 2 && serial[0] == 'K', ParameterOverrides: map[string]string{}}
	o := a.ParameterOverrides
	switch serial {
	case "K1":
		o["Site"] = "berlin"
	case "version":
		o["version"] = version
	case "wait": // says that it is here, and answers when it is told to
		fmt.Fprintln(home, "waiting")
		home.Read(make([]byte, 1))
		o["version"] = version
	case "pid":
		o["pid"] = strconv.Itoa(os.Getpid())
	case "env":
		for _, kv := range os.Environ() {
			k, v, _ := strings.Cut(kv, "=")
			o[k] = v
		}
	case "context":
		lc, _ := lambdacontext.FromContext(ctx)
		o["id"], o["arn"] = lc.AwsRequestID, lc.InvokedFunctionArn
		o["trace"] = os.Getenv("_X_AMZN_TRACE_ID")
		d, _ := ctx.Deadline()
		o["deadline"] = d.Format(time.RFC3339Nano)
		o["name"] = lambdacontext.FunctionName
	case "stdin":
		b, err := io.ReadAll(os.Stdin)
		o["stdin"] = fmt.Sprintf("%q %v", b, err)
	default:
		return wrong(serial, a)
	}
	return a, nil
}

func wrong(serial string, a answer) (any, error) {
	switch serial {
	case "throw":
		return nil, errors.New("no database")
	case "panic":
		return []int{1}[len(serial)], nil
	case "hang":
		time.Sleep(time.Hour)
	case "flood":
		return strings.Repeat("x", 7<<20-2), nil
	case "tear":
		return io.MultiReader(strings.NewReader(`{"allowProvisioning":true`), torn{}), nil
	case "die":
		fmt.Fprintln(os.Stderr, "out of luck")
		os.Exit(3)
	case "kill":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		time.Sleep(time.Hour)
	}
	return a, nil
}

// torn is a reader that fails.
type torn struct{}

func (torn) Read([]byte) (int, error) { return 0, errors.New("the disk is gone") }
