// Command slipway is the provisioning authority: the server, and the verbs
// that people use on it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/slipway-iot/slipway/fault"
)

// commands is the command line: a noun, then a verb.
type commands struct {
	Serve serveCmd `cmd:"" help:"Run the server; print its endpoints."`
	Demo  demoCmd  `cmd:"" help:"Server, template, claim and 25 virtual devices, in one command."`
	Bench benches  `cmd:"" help:"Measure what this machine can do."`
	Env   envCmd   `cmd:"" help:"Print the exports that make the aws command line and the SDKs work."`
	verbs

	Version kong.VersionFlag `help:"Print the version and exit."`
}

// Exit codes (DESIGN.md, section 6).
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitRefused     = 3
	exitUnreachable = 4
)

func main() { os.Exit(Main()) }

// Main runs the command line and gives the exit code. It is apart from main so
// that test scripts can run it in a process of their own.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}

// streams are where a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// A usageError is a fault of the command line itself.
type usageError struct{ error }

func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) (code int) {
	var c commands
	exited := -1
	parser, err := kong.New(&c, kong.Name("slipway"),
		kong.Description("Slipway takes devices from the factory to the fleet."),
		kong.Writers(out, errOut), kong.Configuration(readSettings), kong.Vars{"version": version(), "uploads": uploads},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.Exit(func(code int) { exited = code; panic(exitNow{}) }))
	if err != nil {
		fmt.Fprintln(errOut, "slipway:", err)
		return exitFailed
	}
	defer func() { // kong exits after --help
		if r := recover(); r != nil {
			if _, ok := r.(exitNow); !ok {
				panic(r)
			}
			code = exited
		}
	}()
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(errOut, "slipway: %v\n`%s --help` says what it takes.\n", err, asked(err))
		return exitUsage
	}
	k.BindTo(ctx, (*context.Context)(nil))
	err = k.Run(streams{in, out, errOut})
	return report(errOut, err)
}

type exitNow struct{}

// asked is the command whose line could not be read, as far as it was clear.
func asked(err error) string {
	var parse *kong.ParseError
	if errors.As(err, &parse) && parse.Context != nil && parse.Context.Selected() != nil {
		return parse.Context.Selected().FullPath()
	}
	return "slipway"
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return "slipway " + info.Main.Version + " " + info.GoVersion
	}
	return "slipway, of an unknown version"
}

// report prints what failed and gives the exit code.
func report(w io.Writer, err error) int {
	var usage usageError
	var coded interface{ ExitCode() int }
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage):
		fmt.Fprintln(w, "slipway:", usage.error)
		return exitUsage
	case errors.As(err, &coded):
		fmt.Fprintln(w, "slipway:", err)
		var refused interface{ Class() string }
		if errors.As(err, &refused) { // the last line, for scripts
			fmt.Fprintln(w, "class:", refused.Class())
		}
		return coded.ExitCode()
	}
	fmt.Fprintln(w, "slipway:", withCause(err))
	if fault.Is(err, fault.InvalidRequest) {
		return exitUsage
	}
	return exitFailed
}

// withCause is an error in one line: a fault's sentence, and its cause in
// brackets, which whoever sits at this machine may read.
func withCause(err error) string {
	var f *fault.Error
	if !errors.As(err, &f) || f.Err == nil || f.Error() != err.Error() {
		return err.Error()
	}
	return f.Text + " (" + strings.Join(strings.Fields(withCause(f.Err)), " ") + ")"
}
