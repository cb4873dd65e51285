package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/slipway-iot/slipway/sim/traffic"
)

// A mosquitto is the peer in a process of its own: the devices' certificates are
// required, and a rule of rights is asked for every message, as the gateway asks
// its policies.
type mosquitto struct {
	traffic.Broker
	version string
	cmd     *exec.Cmd
}

// findMosquitto finds the program, which Debian keeps out of users' paths.
func findMosquitto(name string) (string, error) {
	for _, at := range []string{name, filepath.Join("/usr/sbin", name)} {
		if path, err := exec.LookPath(at); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s, which this benchmark compares with, is not installed: on Debian, apt-get install mosquitto", name)
}

const mosquittoConfig = `listener %d 127.0.0.1
cafile %[2]s/ca.pem
certfile %[2]s/server.pem
keyfile %[2]s/server.key
require_certificate true
use_identity_as_username true
allow_anonymous false
acl_file %[2]s/acl
set_tcp_nodelay true
max_inflight_messages 100
max_queued_messages 0
max_queued_bytes 0
persistence true
persistence_location %[2]s/
log_dest stderr
log_type error
user %[3]s
`

// startMosquitto returns once it accepts connections.
func startMosquitto(ctx context.Context, program, dir, cores string, c *crowd) (*mosquitto, error) {
	dir = filepath.Join(dir, "mosquitto")
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	user := "mosquitto" // of no meaning but for root, who is to stay root
	if os.Geteuid() == 0 {
		user = "root"
	}
	if err := c.writeServer(dir); err != nil {
		return nil, err
	}
	for name, text := range map[string]string{"acl": "pattern readwrite bench/#\n", "mosquitto.conf": fmt.Sprintf(mosquittoConfig, port, dir, user)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(c.caPEM)
	m := &mosquitto{Broker: traffic.Broker{Address: fmt.Sprintf("127.0.0.1:%d", port), ServerName: "localhost", Roots: roots}, version: versionOf(program)}
	m.cmd = onCores(ctx, cores, program, "-c", filepath.Join(dir, "mosquitto.conf"))
	var said bytes.Buffer
	m.cmd.Stderr = &said
	if err := m.cmd.Start(); err != nil {
		return nil, err
	}
	if err := m.await(ctx); err != nil {
		m.stop()
		return nil, fmt.Errorf("%w: %s", err, strings.TrimSpace(said.String()))
	}
	return m, nil
}

func (m *mosquitto) await(ctx context.Context) error {
	for range 100 {
		conn, err := net.Dial("tcp", m.Address)
		if err == nil {
			return conn.Close()
		}
		if err := wait(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return errors.New("mosquitto does not accept connections")
}

func (m *mosquitto) cpu() (time.Duration, error) { return processTime(m.cmd.Process.Pid) }

func (m *mosquitto) stop() {
	if m == nil || m.cmd.Process == nil {
		return
	}
	_ = m.cmd.Process.Signal(os.Interrupt)
	_ = m.cmd.Wait()
}

// versionOf is the first line of what the program says of itself.
func versionOf(program string) string {
	out, _ := exec.Command(program, "-h").CombinedOutput() // it says so and fails
	first, _, _ := strings.Cut(string(out), "\n")
	return first
}

func freePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}

// writeServer writes what a peer needs that is to know the crowd: the
// authority, and a certificate of it for localhost.
func (c *crowd) writeServer(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	server, err := c.sign(0, func(form *x509.Certificate) {
		form.DNSNames, form.ExtKeyUsage = []string{"localhost"}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
	if err != nil {
		return err
	}
	key, err := x509.MarshalECPrivateKey(c.key)
	if err != nil {
		return err
	}
	for name, b := range map[string][]byte{
		"ca.pem":     c.caPEM,
		"server.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate[0]}),
		"server.key": pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: key}),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			return err
		}
	}
	return nil
}
