package pgtest

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// debian is where the Debian packages put the programs of each major version.
const debian = "/usr/lib/postgresql"

// errMissing says that no PostgreSQL is installed.
var errMissing = errors.New("no PostgreSQL under " + debian + "; apt-get install postgresql")

//go:embed supervise.sh
var supervise string

// shared is the one server of this test binary. It ends with the process.
//
//nolint:gochecknoglobals // one server a process is the purpose of this package
var shared = sync.OnceValues(func() (*server, error) { return startServer(debian) })

// Start returns the URL of a new, empty database on the server of this test
// binary, which the first call starts. The database is dropped when the test
// ends, together with the connections that are still open to it. Start may be
// called from several tests at once.
//
// Without the Debian package postgresql the test is skipped, or fails where
// the environment says CI=true.
func Start(tb testing.TB) string {
	tb.Helper()
	s, err := shared()
	if err != nil {
		refuse(tb, err, os.Getenv("CI"))
	}
	name, err := s.createDatabase(tb.Context())
	if err != nil {
		tb.Fatalf("pgtest: create database: %v", err)
	}
	tb.Cleanup(func() {
		if err := s.exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			tb.Errorf("pgtest: drop database: %v", err)
		}
	})
	return s.url(name)
}

// refuse ends a test that cannot have its server: quietly on a developer's
// machine without PostgreSQL, as a failure everywhere else.
func refuse(tb testing.TB, err error, ci string) {
	tb.Helper()
	if errors.Is(err, errMissing) && ci != "true" {
		tb.Skipf("pgtest: %v", err)
	}
	tb.Fatalf("pgtest: %v", err)
}

// server is a running PostgreSQL.
type server struct {
	dir       string   // holds the socket, the cluster and the log
	lifeline  *os.File // the server ends when this is closed
	databases atomic.Int64
}

// startServer starts the newest PostgreSQL found in root and returns when it
// accepts connections. The error is errMissing when there is none.
func startServer(root string) (*server, error) {
	bin, err := newest(root)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pgtest-")
	if err != nil {
		return nil, err
	}
	attr, err := unprivileged(dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}

	lifeline, answer, err := supervised(bin, dir, attr)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	defer answer.Close()
	if err := awaitReady(answer); err != nil {
		return nil, errors.Join(err, lifeline.Close()) // the shell removes the folder
	}
	return &server{dir: dir, lifeline: lifeline}, nil
}

// supervised starts the shell that runs the server in dir. The server ends when
// lifeline is closed; answer is what the shell prints.
func supervised(bin, dir string, attr *syscall.SysProcAttr) (lifeline, answer *os.File, err error) {
	stdin, lifeline, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer stdin.Close()
	answer, stdout, err := os.Pipe()
	if err != nil {
		return nil, nil, errors.Join(err, lifeline.Close())
	}
	defer stdout.Close()

	// Files, not writers: exec then needs no goroutine, which goleak would
	// report in every package that uses this one. For the same reason nobody
	// waits for the shell.
	cmd := exec.Command("/bin/sh", "-c", supervise, bin, dir) //nolint:noctx // outlives the test that starts it
	cmd.Dir = dir
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"} // none of the caller's PG variables
	cmd.SysProcAttr = attr
	cmd.Stdin, cmd.Stdout = stdin, stdout
	if err := cmd.Start(); err != nil {
		return nil, nil, errors.Join(err, lifeline.Close(), answer.Close())
	}
	return lifeline, answer, nil
}

// newest returns the program folder of the highest version under root.
func newest(root string) (string, error) {
	found, err := filepath.Glob(filepath.Join(root, "*", "bin", "initdb"))
	if err != nil {
		return "", err
	}
	bin, highest := "", 0
	for _, initdb := range found {
		dir := filepath.Dir(initdb)
		if major, err := strconv.Atoi(filepath.Base(filepath.Dir(dir))); err == nil && major > highest {
			bin, highest = dir, major
		}
	}
	if bin == "" {
		return "", errMissing
	}
	return bin, nil
}

// unprivileged returns how to start the server: in a session of its own, so
// that Ctrl-C reaches only the test, and, because PostgreSQL refuses to run as
// root, as the package's own user, who then gets the folder.
func unprivileged(dir string) (*syscall.SysProcAttr, error) {
	attr := &syscall.SysProcAttr{Setsid: true}
	if os.Getuid() != 0 {
		return attr, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attr, os.Chown(dir, int(uid), int(gid))
}

// awaitReady reads the shell's answer: one line, or the log of what went wrong.
func awaitReady(answer *os.File) error {
	if err := answer.SetReadDeadline(time.Now().Add(90 * time.Second)); err != nil {
		return err
	}
	r := bufio.NewReader(answer)
	line, err := r.ReadString('\n')
	if line == "ready\n" {
		return nil
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("wait for PostgreSQL: %w", err)
	}
	rest, err := io.ReadAll(r)
	return errors.Join(fmt.Errorf("PostgreSQL did not start: %s", strings.TrimSpace(line+string(rest))), err)
}

// url returns the address of a database. The socket's folder stands in the
// query because a URL's host cannot be a path.
func (s *server) url(database string) string {
	return fmt.Sprintf("postgres://postgres@/%s?host=%s&sslmode=disable", database, s.dir)
}

// createDatabase creates an empty database and returns its name.
func (s *server) createDatabase(ctx context.Context) (string, error) {
	name := fmt.Sprintf("test%d", s.databases.Add(1))
	return name, s.exec(ctx, "CREATE DATABASE "+name)
}

// exec runs one statement on a connection of its own.
func (s *server) exec(ctx context.Context, statement string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}
