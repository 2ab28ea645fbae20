package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzConfig reads any config file: it is complained about, or the hub can run
// with it.
func FuzzConfig(f *testing.F) {
	f.Add([]byte("listen: 127.0.0.1:1\nretention: 72h\ntrusted-proxies: 10.0.0.0/8, ::1\nallow-hosts: [crm.example:443]\n"))
	f.Add([]byte("listen: {a: 1}\nlisten.a: 2\n\"\": x\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("- listen\n"))
	path := filepath.Join(f.TempDir(), "tandem.yaml")
	f.Fuzz(func(t *testing.T, data []byte) {
		require.NoError(t, os.WriteFile(path, data, 0o600))
		p := &program{getenv: func(string) string { return "" }, given: &settings{Config: &path}}
		c, err := p.load()
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		require.False(t, badAddress(c.Listen))
		require.GreaterOrEqual(t, c.retention, minRetention)
		c.warnings()
	})
}
