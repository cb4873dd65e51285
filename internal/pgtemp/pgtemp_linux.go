// Package pgtemp runs a PostgreSQL for as long as somebody needs one: tests,
// and the benchmark that compares registries.
//
// It lives in a temporary directory, reachable through a socket there and
// nowhere else, and ends with Stop, or with the process. PostgreSQL refuses to
// run as root: a process that does runs it as the user postgres, or else as
// nobody.
package pgtemp

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// A Server is one PostgreSQL.
type Server struct {
	url    string // of the database from which others are made
	dir    string // empty: the server was there before
	proc   *exec.Cmd
	ended  chan struct{}
	serial int
}

// At is the server with this URL, which names a database in which its user may
// make others. Nothing is asked of it yet.
func At(url string) *Server { return &Server{url: url} }

// Create makes an empty database and gives its URL, and what drops it again.
func (s *Server) Create() (database string, drop func() error, err error) {
	s.serial++
	name := fmt.Sprintf("slipway_%d_%d", os.Getpid(), s.serial)
	if _, err := s.SQL(s.url, "CREATE DATABASE "+name); err != nil {
		return "", nil, err
	}
	u, err := url.Parse(s.url)
	if err != nil {
		return "", nil, err
	}
	u.Path = "/" + name
	return u.String(), func() error {
		_, err := s.SQL(s.url, "DROP DATABASE "+name+" WITH (FORCE)")
		return err
	}, nil
}

// Own says whether the server goes with Stop, and all its databases with it.
func (s *Server) Own() bool { return s.dir != "" }

// Stop ends a server that Start started, and removes its files.
func (s *Server) Stop() {
	if s.proc != nil {
		s.proc.Process.Signal(syscall.SIGQUIT) // immediate shutdown: nothing is kept
		<-s.ended
		s.proc = nil
	}
	if s.dir != "" {
		os.RemoveAll(s.dir)
	}
}

// SQL runs one statement through psql, so that nobody needs a client library,
// and gives the bare value that it answers.
func (s *Server) SQL(database, statement string) (string, error) {
	psql, err := find("psql")
	if err != nil {
		return "", err
	}
	out, err := exec.Command(psql, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement, database).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", statement, err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// find looks for one of PostgreSQL's programs on the PATH and where Debian
// keeps them, newest version first.
func find(program string) (string, error) {
	if path, err := exec.LookPath(program); err == nil && program != "psql" {
		return path, nil
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + program) // the pattern is well formed
	if len(found) == 0 {
		if path, err := exec.LookPath(program); err == nil {
			return path, nil
		}
		return "", fmt.Errorf("PostgreSQL's %s is needed: install the Debian package postgresql-15 or newer, or name a server that runs", program)
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(strings.Split(path, "/")[4])
		return n
	}
	return slices.MaxFunc(found, func(a, b string) int { return cmp.Compare(version(a), version(b)) }), nil
}

// Start makes a server.
func Start() (*Server, error) {
	s := &Server{}
	if err := s.start(); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

func (s *Server) start() error {
	initdb, err := find("initdb")
	if err != nil {
		return err
	}
	// A socket's path holds about a hundred bytes, fewer than many a temporary
	// directory has.
	if s.dir, err = os.MkdirTemp("/tmp", "pgtemp-"); err != nil {
		return err
	}
	who, err := unprivileged(s.dir)
	if err != nil {
		return err
	}
	data := filepath.Join(s.dir, "data")
	first := command(who, s.dir, initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync", "--no-instructions")
	if out, err := first.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	postgres, err := find("postgres")
	if err != nil {
		return err
	}
	return s.serve(command(who, s.dir, postgres, "-D", data, "-k", s.dir,
		"-c", "listen_addresses=", "-c", "max_connections=200", "-c", "shared_buffers=64MB", "-c", "log_min_messages=log"))
}

// unprivileged gives the directory to the user that is to run the server, if
// the process itself may not.
func unprivileged(dir string) (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	who, err := user.Lookup("postgres")
	if err != nil {
		if who, err = user.Lookup("nobody"); err != nil {
			return nil, err
		}
	}
	uid, err := strconv.Atoi(who.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(who.Gid)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, os.Chown(dir, uid, gid)
}

func command(who *syscall.Credential, dir, program string, args ...string) *exec.Cmd {
	c := exec.Command(program, args...)
	c.Dir = dir
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	c.SysProcAttr = &syscall.SysProcAttr{Credential: who}
	return c
}

// serve runs the server and waits until it takes connections. The server ends
// with the thread that started it, which is therefore kept until then.
func (s *Server) serve(c *exec.Cmd) error {
	c.SysProcAttr.Pdeathsig = syscall.SIGQUIT
	stderr, err := c.StderrPipe()
	if err != nil {
		return err
	}
	s.ended = make(chan struct{})
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer close(s.ended)
		if err := c.Start(); err != nil {
			started <- err
			return
		}
		var said bytes.Buffer
		ready := false
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			if !ready {
				fmt.Fprintln(&said, lines.Text())
			}
			if !ready && strings.Contains(lines.Text(), "ready to accept connections") {
				ready = true
				started <- nil
			}
		}
		c.Wait()
		if !ready {
			started <- errors.New("PostgreSQL did not start:\n" + said.String())
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	s.proc = c
	s.url = "postgres://postgres@/postgres?host=" + url.QueryEscape(s.dir)
	return nil
}
