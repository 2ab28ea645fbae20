package main_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/cmd/internal/sandbox"
	"tandem/core/store/pgtest"
)

// both runs a test on SQLite and on PostgreSQL.
func both(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) { t.Parallel(); test(t, "") })
	t.Run("PostgreSQL", func(t *testing.T) { t.Parallel(); test(t, pgtest.Start(t)) })
}

func TestServeKeys(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, url string) {
		r := newRig(t, url)
		h := r.start(t)
		out, err := r.Run(t.Context(), "keys", "create", "--tenant", tenant, "--adapter", "powerautomate", "--user", strings.ToUpper(admin))
		require.NoError(t, err)
		key := strings.TrimSuffix(out, "\n")
		require.NotContains(t, key, "\n")
		require.NotContains(t, key, " ")
		addTask(t, h, key, work)

		out, err = r.Run(t.Context(), "keys", "list")
		require.NoError(t, err)
		require.NotContains(t, out, key)
		rows := strings.Split(strings.TrimSpace(out), "\n")
		require.Len(t, rows, 2)
		columns := strings.Fields(rows[1])
		require.Equal(t, []string{tenant, "powerautomate", admin}, columns[1:4])

		_, err = r.Run(t.Context(), "keys", "revoke", columns[0])
		require.NoError(t, err)
		a := call(t, key, http.MethodPost, h.URL+addPath, `{"serviceUpn":"`+work+`"}`)
		require.Equal(t, http.StatusUnauthorized, a.status, a.body)

		for name, args := range map[string][]string{
			"tenant":  {"--tenant", "nobody", "--adapter", "admin", "--user", admin},
			"user":    {"--tenant", tenant, "--adapter", "admin", "--user", "nobody@proof.example"},
			"adapter": {"--tenant", tenant, "--adapter", "fax", "--user", admin},
		} {
			_, err := r.Run(t.Context(), append([]string{"keys", "create"}, args...)...)
			require.Error(t, err, name)
		}
	})
}

func TestServeRefusesAnotherMasterKey(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, url string) {
		r := newRig(t, url)
		require.NoError(t, r.start(t).Stop(15*time.Second))
		r.Env = append(r.Env, "TANDEM_MASTER_KEY="+strings.Repeat("ab", 32))
		_, err := r.Start(t.Context(), nil)
		require.ErrorContains(t, err, "master key")
	})
}

func TestServeRefuses(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	h := r.start(t)
	_, err := r.Start(t.Context(), nil)
	require.ErrorContains(t, err, "another tandem serves")
	require.NoError(t, h.Stop(15*time.Second))

	key := filepath.Join(r.data(), "master.key")
	require.NoError(t, os.Chmod(key, 0o644))
	_, err = r.Start(t.Context(), nil)
	require.ErrorContains(t, err, "master.key")
	require.NoError(t, os.Remove(key))
	_, err = r.Start(t.Context(), nil)
	require.ErrorContains(t, err, "put it back")
	require.NoFileExists(t, key, "a lost key is never replaced")
}

func TestFilesAreTheOwnersAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	h := r.start(t)
	addTask(t, h, r.key(t, "powerautomate", admin), work)
	files, err := os.ReadDir(r.data())
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 4)
	for _, f := range files {
		info, err := f.Info()
		require.NoError(t, err)
		require.Zero(t, info.Mode().Perm()&0o077, f.Name())
	}
}

func TestDemoTellsItsStory(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	out, err := sandbox.Setup{Binary: r.Binary, Env: []string{"TANDEM_LISTEN=127.0.0.1:0", "TANDEM_ADMIN_LISTEN=127.0.0.1:0"}}.Run(t.Context(), "demo", "--once")
	require.NoError(t, err)
	at := 0
	for _, part := range []string{
		`"Created"`, "address book", "updated the task", `"Queued"`, "removed the task", `"Terminated"`, "has ended",
		"Success ", "Success ", "Success ", "InternalError ", "AUTHORIZATION_REQUIRED", "Timeout ", "ValidationError ", "InvalidWorkflow ", "NotConfigured ", "Default ",
		"through all platforms", `"Created"`, `"Parameter Updated"`, `"Queued"`, "has the task in its queue", "who took it",
		`"Connected to User"`, "screen-pop/pop: onScreenPopSuccess", "closed the task on the desktop", `"Terminated"`, "has what became of it",
	} {
		next := strings.Index(out[at:], part)
		require.GreaterOrEqual(t, next, 0, "%s in\n%s", part, out)
		at += next
	}
}

func TestConfigComplaintsComeAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", "TANDEM_RETENTION=1h", "TANDEM_LOG_LEVEL=loud", "TANDEM_ADMIN_LISTEN=nowhere", "TANDEM_TLS_CERT_FILE=cert.pem")
	_, err := r.Run(t.Context(), "serve")
	for _, part := range []string{"retention", "log-level", "admin-listen", "tls-key-file"} {
		require.ErrorContains(t, err, part)
	}
}

func TestConfigPrecedence(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	key := r.key(t, "powerautomate", admin)
	file := filepath.Join(r.dir, "tandem.yaml")
	require.NoError(t, os.WriteFile(file, []byte("public-url: http://file.example\nretention: 50h\n"), 0o600))
	location := func(args ...string) string {
		h := r.start(t, args...)
		defer h.Kill()
		config := `{"config":{"url":"` + r.got.sink.Callback(1) + `","services":["` + work + `"],"taskEvents":[]}}`
		a := call(t, key, http.MethodPost, h.URL+"/v1/triggers/tasks", config)
		require.Equal(t, http.StatusCreated, a.status, a.body)
		return a.header.Get("Location")
	}
	require.Contains(t, location("--config", file), "http://file.example/")
	r.Env = append(r.Env, "TANDEM_CONFIG="+file, "TANDEM_PUBLIC_URL=http://env.example")
	require.Contains(t, location(), "http://env.example/")
	require.Contains(t, location("--public-url", "http://flag.example"), "http://flag.example/")

	require.NoError(t, os.WriteFile(file, []byte("publik-url: http://file.example\nretention: 50h\nmaster-key: x\n"), 0o600))
	_, err := r.Run(t.Context(), "serve")
	require.ErrorContains(t, err, `"publik-url"`)
	require.ErrorContains(t, err, `"master-key"`)
	require.NotContains(t, err.Error(), `"retention"`)
}

// TestStopUnderLoad ends a hub in the middle of its work: what it acknowledged
// is there when it comes back.
func TestStopUnderLoad(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, url string) {
		r := newRig(t, url)
		key, adminKey := r.key(t, "powerautomate", admin), r.key(t, "admin", admin)
		h := r.start(t)
		subscribe(t, h, key, r.got.sink.Callback(1), work)
		var acks atomic.Int64
		busy := make(chan struct{})
		kept := make([][]string, 8)
		var running sync.WaitGroup
		for i := range kept {
			running.Go(func() {
				c, err := sandbox.Dial(t.Context(), strings.TrimPrefix(h.URL, "http://"), key)
				for err == nil {
					var status int
					var body []byte
					var task struct{ ID string }
					status, body, err = c.Do(http.MethodPost, addPath, []byte(`{"serviceUpn":"`+work+`"}`))
					if err != nil || status != http.StatusOK || json.Unmarshal(body, &task) != nil {
						return
					}
					kept[i] = append(kept[i], task.ID)
					if acks.Add(1) == 300 {
						close(busy)
					}
				}
			})
		}
		select {
		case <-busy:
		case <-time.After(30 * time.Second):
			require.Fail(t, "no load came up", "%d tasks", acks.Load())
		}
		began := time.Now()
		require.NoError(t, h.Stop(15*time.Second), "SIGTERM must end it well")
		t.Logf("%d tasks, stopped in %s", acks.Load(), time.Since(began))
		require.NotContains(t, h.Log(), `"level":"ERROR"`)
		running.Wait()

		h = r.start(t)
		c, err := sandbox.Dial(t.Context(), strings.TrimPrefix(h.Admin, "http://"), adminKey)
		require.NoError(t, err)
		defer c.Close()
		for _, ids := range kept {
			for _, id := range ids {
				status, body, err := c.Do(http.MethodGet, "/admin/v1/tasks/"+id, nil)
				require.NoError(t, err)
				require.Equal(t, http.StatusOK, status, string(body))
				r.got.await(t, id, "Queued")
			}
		}
	})
}

func TestMappingsReload(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	key := r.key(t, "powerautomate", admin)
	h := r.start(t)
	services := func() []string { return get[[]string](t, key, h.URL+"/v1/ExternalTasks/service-contacts") }
	require.ElementsMatch(t, []string{slow, work}, services())

	more := proofDirectory + "  - upn: more@proof.example\n    licence: Contact Center\n    workflows: {ExternalTask: work}\n"
	began := time.Now()
	r.write(t, "directory/proof.yaml", more)
	require.Eventually(t, func() bool { return len(services()) == 3 }, 20*time.Second, 20*time.Millisecond)
	t.Logf("taken over after %s", time.Since(began))

	r.write(t, "directory/proof.yaml", more+"    oops: none\n")
	require.Eventually(t, func() bool { return strings.Contains(h.Log(), "directory/proof.yaml:18:5") }, 20*time.Second, 20*time.Millisecond)
	require.Len(t, services(), 3, "the last good set goes on")
	addTask(t, h, key, "more@proof.example")

	r.write(t, "directory/proof.yaml", proofDirectory)
	require.Eventually(t, func() bool { return len(services()) == 2 }, 20*time.Second, 20*time.Millisecond)

	_, err := newBrokenRig(t).Start(t.Context(), nil)
	require.ErrorContains(t, err, "directory/proof.yaml:15:5", "a broken set is a reason not to start")
}

func newBrokenRig(t *testing.T) *rig {
	t.Helper()
	r := newRig(t, "")
	r.write(t, "directory/proof.yaml", proofDirectory+"    oops: none\n")
	return r
}

func TestUsage(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	for _, args := range [][]string{{"--help"}, {"serve", "--help"}, {"version"}} {
		out, err := r.Run(t.Context(), args...)
		require.NoError(t, err)
		require.NotEmpty(t, out)
	}
	_, err := r.Run(t.Context(), "sevre")
	require.ErrorContains(t, err, "exit status 2")
}
