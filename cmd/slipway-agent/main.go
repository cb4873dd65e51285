// Command slipway-agent is the device's side of Slipway. It works against
// Slipway and against AWS IoT Core.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/slipway-iot/slipway/agent"
)

type commandLine struct {
	Provision provision        `cmd:"" help:"Trade a claim certificate for an identity of the device's own."`
	Join      join             `cmd:"" help:"Take a temporary claim from an installer, and trade it for an identity."`
	Version   kong.VersionFlag `env:"-" help:"Print the version and exit."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// execute is the program without its process: it returns the exit code.
func execute(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var line commandLine
	parser, err := newParser(&line, stdout, stderr)
	var chosen *kong.Context
	if err == nil {
		chosen, err = parser.Parse(args)
	}
	if err != nil {
		fmt.Fprintf(stderr, "slipway-agent: %v\nRun slipway-agent provision --help or slipway-agent join --help for the flags.\nclass: %s\n", err, agent.Usage)
		return agent.ExitUsage
	}
	if chosen.Command() == "join" {
		return line.Join.execute(ctx, stdin, stdout, stderr)
	}
	return line.Provision.execute(ctx, line.Provision.config(), stdout, stderr)
}

const description = `The device's side of Slipway. Every flag is also an environment variable (SLIPWAY_AGENT_ and the flag's name)
and a key of the JSON file that --config names. The command line wins over the environment, and that over the file.`

func newParser(line *commandLine, stdout, stderr io.Writer) (*kong.Kong, error) {
	return kong.New(line,
		kong.Name("slipway-agent"),
		kong.Description(description),
		kong.Writers(stdout, stderr),
		kong.DefaultEnvars(environment),
		kong.Configuration(configFile),
		kong.Vars{"version": version()},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "unknown"
}
