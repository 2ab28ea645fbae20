package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/adapters/powerautomate/connector"
)

func TestConnectorExport(t *testing.T) {
	t.Parallel()
	tandem := func(args ...string) (code int, out, errs string) {
		var stdout, stderr bytes.Buffer
		code = run(context.Background(), append([]string{"connector", "export"}, args...), func(string) string { return "" }, &stdout, &stderr)
		return code, stdout.String(), stderr.String()
	}
	dir := filepath.Join(t.TempDir(), "new", "folder")
	code, out, errs := tandem("--out", dir)
	require.Zero(t, code, errs)
	require.Contains(t, out, "public-url is not set")

	const address = "https://hub.contoso.example"
	code, out, errs = tandem("--out", dir, "--format=certified", "--public-url", address)
	require.Zero(t, code, errs)
	require.NotContains(t, out, "public-url")
	files, err := connector.Export(address)
	require.NoError(t, err)
	for _, f := range files {
		path := filepath.Join(dir, f.Name)
		require.Contains(t, out, "Wrote "+path)
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, string(f.Data), string(data), "an earlier export is replaced")
	}

	code, _, errs = tandem("--out", dir, "--format=legacy")
	require.Equal(t, 2, code)
	require.Contains(t, errs, "certified")
	code, _, errs = tandem()
	require.Equal(t, 2, code)
	require.Contains(t, errs, "--out")
	code, _, errs = tandem("--out", dir, "--public-url", "https://[::1]:8080")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "public-url: a connector cannot call")
	code, _, errs = tandem("--out", filepath.Join(dir, connector.DefinitionFile))
	require.Equal(t, 1, code)
	require.Contains(t, errs, "folder of the connector")
}
