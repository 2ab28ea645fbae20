package core_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core"
)

func TestLoopback(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"localhost": true, "LocalHost": true, "127.0.0.1": true, "127.9.9.9": true, "::1": true, "[::1]": true,
		"": false, "127.0.0.1:80": false, "localhost.example": false, "10.0.0.1": false, "0.0.0.0": false, "::1%eth0": false,
	} {
		require.Equal(t, want, core.Loopback(host), host)
	}
}
