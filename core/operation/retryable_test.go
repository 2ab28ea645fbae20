package operation_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/operation"
	"tandem/core/outbound"
)

func TestRetryable(t *testing.T) {
	t.Parallel()
	redirected := &core.Error{Kind: core.Uncertain, Code: outbound.CodeRedirected}
	for _, c := range []struct {
		err         error
		read, wrote bool
	}{
		{core.Errorf(core.Unavailable, "x"), true, false},
		{core.Errorf(core.Throttled, "x"), true, false},
		{core.Errorf(core.Timeout, "x"), true, false},
		{&core.Error{Kind: core.Uncertain, Code: outbound.CodeUpstreamFailed}, true, false},
		{redirected, false, false},
		{core.Errorf(core.NotFound, "x"), false, false},
		{core.Errorf(core.Mapping, "x"), false, false},
		{errors.New("x"), core.Table[core.Internal].Retry, false},
	} {
		require.Equal(t, c.read, (&operation.Error{Err: c.err}).Retryable(), "%#v", c.err)
		require.Equal(t, c.wrote, (&operation.Error{Err: c.err, Wrote: true}).Retryable(), "%v", c.err)
	}
}
