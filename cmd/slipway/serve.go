package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"time"

	"github.com/slipway-iot/slipway/gateway"
	"github.com/slipway-iot/slipway/server"
	"github.com/slipway-iot/slipway/tenants"
)

// serveCmd runs the server. Its flags are also environment variables and keys
// of --config; server.Config says what each means.
type serveCmd struct {
	Config          configFlag `help:"JSON file with any of these settings, by their names without the dashes. Flags and environment go before it." placeholder:"FILE"`
	Data            string     `help:"Folder that holds everything, mode 0700; ./slipway-data if not given." default:"./slipway-data" env:"SLIPWAY_DATA" placeholder:"DIR"`
	Store           string     `help:"sqlite, or a postgres:// URL." default:"sqlite" env:"SLIPWAY_STORE"`
	MQTT            string     `name:"mqtt" help:"MQTT over mutual TLS; :8883 if not given." default:":8883" env:"SLIPWAY_MQTT" placeholder:"ADDR"`
	ALPN            string     `name:"alpn" help:"Everything on one port, such as :443, told apart by ALPN: MQTT, HTTPS, WebSocket." env:"SLIPWAY_ALPN" placeholder:"ADDR"`
	HTTPS           string     `name:"https" help:"HTTPS for devices: messages, MQTT over WebSocket, and a claim by a code. :8443 if not given, none if empty." default:":8443" env:"SLIPWAY_HTTPS" placeholder:"ADDR"`
	Control         string     `help:"Control API, metrics, health; TLS off loopback. 127.0.0.1:8080 if not given." default:"127.0.0.1:8080" env:"SLIPWAY_CONTROL" placeholder:"ADDR"`
	Host            []string   `help:"Name or IP address that devices use, first the one that DescribeEndpoint tells them; repeat for more." default:"localhost" env:"SLIPWAY_HOST"`
	Dev             bool       `help:"Take any access key. Refused off loopback." env:"SLIPWAY_DEV"`
	Profile         string     `help:"aws holds accounts without a profile of their own to AWS's requests a second; none does not." enum:"aws,none" default:"none" env:"SLIPWAY_PROFILE"`
	JITPInline      bool       `name:"jitp-inline" help:"Admit a device at the very CONNECT at which it was provisioned just in time; AWS closes that one." env:"SLIPWAY_JITP_INLINE"`
	PrivateEndpoint []string   `help:"Host name of endpoints that topic rules may reach at private addresses; repeat for more." env:"SLIPWAY_PRIVATE_ENDPOINT" placeholder:"HOST" sep:","`
	AdminKeyID      string     `name:"admin-key-id" help:"Take this access key for the first admin." env:"SLIPWAY_ADMIN_KEY_ID"`
	AdminSecret     string     `help:"The secret of --admin-key-id; better given by environment." env:"SLIPWAY_ADMIN_SECRET"`
	Passphrase      string     `help:"Unlocks the keys in --data; better given by environment." env:"SLIPWAY_PASSPHRASE"`
	Pool            int        `help:"RSA keys made ahead for devices without a key of their own." default:"32" env:"SLIPWAY_POOL"`
	LogLevel        string     `help:"debug, info, warn or error." enum:"debug,info,warn,error" default:"info" env:"SLIPWAY_LOG_LEVEL"`
	LogFormat       string     `help:"text or json." enum:"text,json" default:"text" env:"SLIPWAY_LOG_FORMAT"`

	Handshake   time.Duration `help:"From accept to CONNECT." default:"10s" env:"SLIPWAY_HANDSHAKE" group:"Limits"`
	Connections int           `help:"All connections." default:"100000" env:"SLIPWAY_CONNECTIONS" group:"Limits"`
	Strangers   int           `help:"Connections that did not pass CONNECT yet." default:"2048" env:"SLIPWAY_STRANGERS" group:"Limits"`
	Failures    float64       `help:"Failed connections a second that are borne from one address." default:"20" env:"SLIPWAY_FAILURES" group:"Limits"`
	Burst       int           `help:"… and at once." default:"200" env:"SLIPWAY_BURST" group:"Limits"`
}

func (c *serveCmd) config(s streams) server.Config {
	return server.Config{
		Data: c.Data, Store: c.Store, MQTT: c.MQTT, ALPN: c.ALPN, HTTPS: c.HTTPS, Control: c.Control, Hosts: c.Host,
		Dev: c.Dev, Profile: tenants.Profile(c.Profile), JITPInline: c.JITPInline, PrivateEndpoints: c.PrivateEndpoint, AdminKeyID: c.AdminKeyID, AdminSecret: c.AdminSecret, Passphrase: c.Passphrase, Pool: c.Pool,
		Limits: gateway.Limits{Handshake: c.Handshake, Connections: c.Connections, Strangers: c.Strangers, Failures: c.Failures, Burst: c.Burst},
		Log:    c.logger(s),
	}
}

func (c *serveCmd) logger(s streams) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.LogLevel)) // kong checked the word
	o := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(s.err, o))
	}
	return slog.New(slog.NewTextHandler(s.err, o))
}

// Run serves until it is interrupted.
func (c *serveCmd) Run(ctx context.Context, s streams) (err error) {
	if c.Data == "" { // an empty SLIPWAY_DATA means none, and not the folder in which one stands
		c.Data = defaultData
	}
	// What is printed and written down holds in every other folder too.
	if c.Data, err = filepath.Abs(c.Data); err != nil {
		return err
	}
	spread()
	pacer := pace()
	srv, err := server.New(ctx, c.config(s))
	if err != nil {
		return err
	}
	strangers := srv.Strangers
	pacer.strangers.Store(&strangers)
	if srv.NewUnlockKey() {
		fmt.Fprintf(s.err, "Keys are sealed with %s, which lies on the same disk as what it protects. Set SLIPWAY_PASSPHRASE on a fresh data folder to keep them apart.\n", filepath.Join(c.Data, "unlock.key"))
	}
	if c.Dev {
		fmt.Fprintf(s.err, "%sDEV MODE: any access key is taken.%s\n", red(s.err), reset(s.err))
	}
	go rest(ctx)
	go func() {
		select {
		case <-srv.Ready():
			c.greet(s, srv.Endpoints())
		case <-ctx.Done():
		}
	}()
	return srv.Run(ctx)
}

func (c *serveCmd) greet(s streams, e server.Endpoints) {
	fmt.Fprintf(s.out, "MQTT     %s (%s)\n", net.JoinHostPort(e.Host, portOf(e.MQTT)), listening(c.MQTT))
	if e.ALPN != "" {
		fmt.Fprintf(s.out, "ALPN     %s\n", e.ALPN)
	}
	if e.HTTPS != "" {
		fmt.Fprintf(s.out, "HTTPS    %s (%s)\n", net.JoinHostPort(e.Host, portOf(e.HTTPS)), listening(c.HTTPS))
	}
	fmt.Fprintf(s.out, "Control  %s\nRoot CA  %s\nReady. In another terminal: eval \"$(slipway env --data %s)\"\n", e.Control, e.RootCA, shellQuote(c.Data))
}

// portOf is the port of an address; the server wrote it.
func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// listening says from where devices reach an address.
func listening(address string) string {
	host, _, _ := net.SplitHostPort(address)
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
		return "on every address of this machine"
	}
	return "on " + host + " only"
}
