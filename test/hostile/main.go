// Command hostile attacks a server from other addresses, and measures what
// well-behaved devices notice of it. test/hostile/run makes the network
// namespaces that it needs, and runs it.
//
//	judge    runs the server, the honest devices and the attackers, and prints the table
//	honest   takes devices through the claim flow, one every so often
//	attack   does one kind of harm until its standard input ends
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "hostile:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("expected judge, honest or attack; test/hostile/run knows how")
	}
	switch args[0] {
	case "judge":
		return judge(ctx, args[1:])
	case "honest":
		return honest(ctx, args[1:])
	case "attack":
		return attack(ctx, args[1:])
	}
	return fmt.Errorf("%q is none of judge, honest and attack", args[0])
}
