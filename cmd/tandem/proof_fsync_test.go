package main_test

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/cmd/internal/sandbox"
)

var (
	traceLine = regexp.MustCompile(`^(\d+) +(?:<\.\.\. )?([a-z0-9_]+)(.*)$`)
	walWrite  = regexp.MustCompile(`^\(\d+<[^>]*\.db-wal>,`)
	walSync   = regexp.MustCompile(`^\(\d+<[^>]*\.db-wal>`)
)

// audit follows one request after the other through a trace.
type audit struct {
	asked    int             // line at which a request was read; 0: none is open
	written  bool            // the log of the database, since then
	syncing  map[string]bool // threads in an fsync of the log that began after that
	synced   bool            // one of these is through
	answered int
	wrong    []error
}

// auditTrace reads what strace saw of a hub whose only caller makes one create
// after the other. Each 2xx must come after the log of the database was written
// and synced, both since its request was read. It returns how many were.
func auditTrace(trace string) (int, error) {
	a := audit{syncing: map[string]bool{}}
	scan := bufio.NewScanner(strings.NewReader(trace))
	for n := 1; scan.Scan(); n++ {
		if m := traceLine.FindStringSubmatch(scan.Text()); m != nil {
			a.line(n, m[1], m[2], m[3])
		}
	}
	return a.answered, errors.Join(append(a.wrong, scan.Err())...)
}

func (a *audit) line(n int, thread, name, rest string) {
	switch name {
	case "read", "recvfrom":
		// On a connection that is kept, the server reads the first byte by itself.
		if strings.Contains(rest, `"POST `+addPath+" ") || strings.Contains(rest, `"OST `+addPath+" ") {
			*a = audit{asked: n, syncing: map[string]bool{}, answered: a.answered, wrong: a.wrong}
		}
	case "pwrite64":
		a.written = a.written || walWrite.MatchString(rest)
	case "fsync", "fdatasync":
		a.sync(thread, rest)
	case "write", "writev", "sendto":
		if a.asked == 0 || !strings.Contains(rest, `"HTTP/1.1 2`) {
			return
		}
		if !a.synced {
			a.wrong = append(a.wrong, fmt.Errorf("line %d answers the request of line %d before it is on disk", n, a.asked))
		}
		a.asked = 0
		a.answered++
	}
}

// sync looks at the begin or the end of an fsync, or at both in one line.
func (a *audit) sync(thread, rest string) {
	if walSync.MatchString(rest) {
		a.syncing[thread] = a.written
	}
	if strings.HasSuffix(rest, "<unfinished ...>") {
		return
	}
	if a.syncing[thread] && strings.HasSuffix(rest, "= 0") {
		a.synced = true
	}
	delete(a.syncing, thread)
}

const goodTrace = `11 read(18<socket:[1]>, "POST /v1/ExternalTasks HTTP/1.1\r\nHost: 127.0.0.1"..., 4096) = 248
12 pwrite64(8</d/tandem.db-wal>, "\0\0"..., 24, 0) = 24
12 fsync(8</d/tandem.db-wal> <unfinished ...>
11 read(18<socket:[1]>, 0xc000, 1) = -1 EAGAIN (Resource temporarily unavailable)
12 <... fsync resumed>) = 0
11 write(18<socket:[1]>, "HTTP/1.1 200 OK\r\n"..., 607) = 607
11 read(18<socket:[1]>, "P", 1) = 1
11 <... read resumed>"OST /v1/ExternalTasks HTTP/1.1\r\n"..., 4096) = 248
12 pwrite64(8</d/tandem.db-wal>, "\0\0"..., 24, 0) = 24
12 fdatasync(8</d/tandem.db-wal>) = 0
11 write(18<socket:[1]>, "HTTP/1.1 200 OK\r\n"..., 607 <unfinished ...>
11 <... write resumed>) = 607
`

func TestAuditTrace(t *testing.T) {
	t.Parallel()
	n, err := auditTrace(goodTrace)
	require.NoError(t, err)
	require.Equal(t, 2, n)

	lines := strings.SplitAfter(goodTrace, "\n")
	swapped := strings.Join(append(append(append([]string{}, lines[:8]...), lines[10], lines[8], lines[9]), lines[11:]...), "")
	for name, trace := range map[string]string{
		"answer first":      swapped,
		"none":              withoutSyncs(goodTrace),
		"of another file":   strings.ReplaceAll(goodTrace, "sync(8</d/tandem.db-wal>", "sync(9</d/other>"),
		"failed":            strings.ReplaceAll(goodTrace, "= 0\n", "= -1 EIO (Input/output error)\n"),
		"not after a write": strings.ReplaceAll(goodTrace, "pwrite64(8</d/tandem.db-wal>", "pwrite64(9</d/other>"),
		"not ended":         strings.ReplaceAll(goodTrace, "12 <... fsync resumed>) = 0\n", ""),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, err := auditTrace(trace)
			require.ErrorContains(t, err, "before it is on disk")
			require.Equal(t, 2, n)
		})
	}
}

func withoutSyncs(trace string) string {
	return regexp.MustCompile(`(?m)^.*(fsync|fdatasync).*\n`).ReplaceAllString(trace, "")
}

// TestFsyncBeforeAnswer watches the system calls of a hub: no power cut between
// an answer and the disk can lose a task.
func TestFsyncBeforeAnswer(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("strace"); err != nil {
		if os.Getenv("CI") == "true" {
			require.NoError(t, err, "the Debian package strace is missing")
		}
		t.Skip("strace is missing; apt-get install strace")
	}
	const creates = 200
	r := newRig(t, "")
	key := r.key(t, "powerautomate", admin)
	file := filepath.Join(r.dir, "trace")
	tracer := []string{
		"strace", "-D", "-f", "-y", "-s", "48", "-o", file,
		"-e", "trace=fsync,fdatasync,read,recvfrom,write,writev,sendto,pwrite64",
	}
	h, err := r.Start(t.Context(), tracer)
	require.NoError(t, err)
	t.Cleanup(h.Kill)
	c, err := sandbox.Dial(t.Context(), strings.TrimPrefix(h.URL, "http://"), key)
	require.NoError(t, err)
	defer c.Close()
	for range creates {
		status, body, err := c.Do(http.MethodPost, addPath, []byte(`{"serviceUpn":"`+work+`"}`))
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, status, string(body))
	}
	require.NoError(t, h.Stop(30*time.Second))
	ended := regexp.MustCompile(fmt.Sprintf(`(?m)^%d +\+\+\+ exited with 0`, h.PID()))
	var trace []byte
	require.Eventually(t, func() bool { // the tracer ends after the hub
		trace, err = os.ReadFile(file)
		return err == nil && ended.Match(trace)
	}, 20*time.Second, 20*time.Millisecond)

	n, err := auditTrace(string(trace))
	require.NoError(t, err)
	require.Equal(t, creates, n)
	_, err = auditTrace(withoutSyncs(string(trace)))
	require.Error(t, err, "the audit must see a hub that does not sync")
}
