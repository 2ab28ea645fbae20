package pgtest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// holdEnv makes this test binary a process that starts a server, prints its
// folder and waits to be killed.
const holdEnv = "PGTEST_HOLD"

func TestMain(m *testing.M) {
	if os.Getenv(holdEnv) == "" {
		os.Exit(m.Run())
	}
	s, err := shared()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(s.dir)
	_, _ = io.ReadAll(os.Stdin)
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return conn
}

func TestStartGivesSeparateEmptyDatabases(t *testing.T) {
	t.Parallel()
	first, second := connect(t, Start(t)), connect(t, Start(t))
	_, err := first.Exec(t.Context(), "CREATE TABLE a (b int)")
	require.NoError(t, err)
	var tables int
	err = second.QueryRow(t.Context(), "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").Scan(&tables)
	require.NoError(t, err)
	require.Zero(t, tables)
}

func TestStartInParallel(t *testing.T) {
	t.Parallel()
	for range 4 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			require.NoError(t, connect(t, Start(t)).Ping(t.Context()))
		})
	}
}

func TestServerKeepsDurableDefaults(t *testing.T) {
	t.Parallel()
	conn := connect(t, Start(t))
	for setting, want := range map[string]string{
		"fsync":              "on",
		"synchronous_commit": "on",
		"full_page_writes":   "on",
		"max_connections":    "200",
		"listen_addresses":   "",
		"server_encoding":    "UTF8",
	} {
		var got string
		require.NoError(t, conn.QueryRow(t.Context(), "SHOW "+setting).Scan(&got))
		require.Equal(t, want, got, setting)
	}
}

func TestDatabaseIsDroppedWithTheTest(t *testing.T) {
	t.Parallel()
	var url string
	t.Run("inner", func(t *testing.T) {
		url = Start(t)
		_, err := pgx.Connect(t.Context(), url) // left open
		require.NoError(t, err)
	})
	_, err := pgx.Connect(t.Context(), url)
	require.ErrorContains(t, err, "does not exist")
}

func TestServerDiesWithItsProcess(t *testing.T) {
	t.Parallel()
	Start(t) // the same answer as every test when PostgreSQL is missing
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), holdEnv+"=1")
	child.Stderr = os.Stderr
	_, err := child.StdinPipe()
	require.NoError(t, err)
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	s := &server{dir: strings.TrimSpace(line)}
	require.NoError(t, s.exec(t.Context(), "SELECT 1"))

	require.NoError(t, child.Process.Kill())
	require.Error(t, child.Wait())
	require.Eventually(t, func() bool {
		_, err := os.Stat(s.dir)
		return errors.Is(err, os.ErrNotExist)
	}, 20*time.Second, 20*time.Millisecond, "the folder is removed")
	require.Error(t, s.exec(t.Context(), "SELECT 1"))
}

func TestNewestComparesNumbers(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	_, err := newest(root)
	require.ErrorIs(t, err, errMissing)
	for _, version := range []string{"9.6", "9", "15", "17", "docs"} {
		bin := filepath.Join(root, version, "bin")
		require.NoError(t, os.MkdirAll(bin, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(bin, "initdb"), nil, 0o600))
	}
	bin, err := newest(root)
	require.NoError(t, err)
	require.Equal(t, filepath.Join(root, "17", "bin"), bin)
}

func TestStartServerReportsTheLog(t *testing.T) {
	t.Parallel()
	root, err := os.MkdirTemp("", "pgtest-fake-") //nolint:usetesting // t.TempDir is closed to the server's user
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	require.NoError(t, os.Chmod(root, 0o755))
	bin := filepath.Join(root, "17", "bin")
	require.NoError(t, os.MkdirAll(bin, 0o755))
	script := []byte("#!/bin/sh\necho the disk is full\nexit 1\n")
	require.NoError(t, os.WriteFile(filepath.Join(bin, "initdb"), script, 0o755))
	_, err = startServer(root)
	require.ErrorContains(t, err, "the disk is full")
}

// recorder is a test that only notes how it ended.
type recorder struct {
	testing.TB
	ended []string
}

func (r *recorder) Helper() {}

func (r *recorder) Skipf(format string, args ...any) {
	r.ended = append(r.ended, "skip: "+fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.ended = append(r.ended, "fail: "+fmt.Sprintf(format, args...))
}

func TestRefuse(t *testing.T) {
	t.Parallel()
	other := errors.New("no space")
	for _, c := range []struct {
		name string
		err  error
		ci   string
		want string
	}{
		{"missing on a developer's machine", errMissing, "", "skip: "},
		{"missing in CI", errMissing, "true", "fail: "},
		{"another fault", other, "", "fail: pgtest: no space"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := &recorder{}
			refuse(r, c.err, c.ci)
			require.True(t, strings.HasPrefix(r.ended[0], c.want), "ended with %q", r.ended[0])
		})
	}
}
