package server

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core"
)

type keyTable struct {
	callers map[[32]byte]core.Caller
	err     error
}

func (k *keyTable) CallerByKeyHash(_ context.Context, hash [32]byte) (core.Caller, error) {
	if k.err != nil {
		return core.Caller{}, k.err
	}
	caller, ok := k.callers[hash]
	if !ok {
		return core.Caller{}, core.Errorf(core.NotFound, "no key")
	}
	return caller, nil
}

type tokenTable map[string]core.Caller

func (t tokenTable) Verify(_ context.Context, raw string) (core.Caller, error) {
	caller, ok := t[raw]
	if !ok {
		return core.Caller{}, core.Errorf(core.Unauthenticated, "bad token")
	}
	return caller, nil
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	key, hash := NewKey()
	other, otherHash := NewKey()
	require.Regexp(t, `^tdm_[A-Za-z0-9_-]{43}$`, key)
	require.NotEqual(t, key, other)
	require.Equal(t, hash, HashKey(key))
	caller := core.Caller{Tenant: "contoso", UPN: "admin@contoso.example", Adapter: "powerautomate"}
	keys := &keyTable{callers: map[[32]byte]core.Caller{hash: caller, otherHash: {Tenant: "contoso", Adapter: "cxone"}}}
	a := NewCallers(keys, tokenTable{"a.b.c": caller})
	unknown, _ := NewKey()
	for _, tc := range []struct {
		name    string
		headers []string
		query   string
		kind    core.Kind // empty: accepted
	}{
		{name: "key", headers: []string{"X-Api-Key", key}},
		{name: "bearer key", headers: []string{"Authorization", "Bearer " + key}},
		{name: "any case", headers: []string{"Authorization", "bEARER  " + key}},
		{name: "token", headers: []string{"Authorization", "bearer a.b.c"}},
		{name: "same twice", headers: []string{"Authorization", "Bearer " + key, "X-Api-Key", key}},
		{name: "none", kind: core.Unauthenticated},
		{name: "query", query: "?api_key=" + key + "&X-Api-Key=" + key, kind: core.Unauthenticated},
		{name: "empty key", headers: []string{"X-Api-Key", ""}, kind: core.Unauthenticated},
		{name: "empty bearer", headers: []string{"Authorization", "Bearer "}, kind: core.Unauthenticated},
		{name: "empty beside a good one", headers: []string{"X-Api-Key", key, "Authorization", "Bearer "}, kind: core.Unauthenticated},
		{name: "unknown", headers: []string{"X-Api-Key", unknown}, kind: core.Unauthenticated},
		{name: "basic", headers: []string{"Authorization", "Basic " + key}, kind: core.Unauthenticated},
		{name: "api key scheme", headers: []string{"Authorization", "ApiKey " + key}, kind: core.Unauthenticated},
		{name: "no scheme", headers: []string{"Authorization", key}, kind: core.Unauthenticated},
		{name: "other form", headers: []string{"X-Api-Key", "secret"}, kind: core.Unauthenticated},
		{name: "token as key", headers: []string{"X-Api-Key", "a.b.c"}, kind: core.Unauthenticated},
		{name: "bad token", headers: []string{"Authorization", "Bearer a.b.d"}, kind: core.Unauthenticated},
		{name: "two keys", headers: []string{"X-Api-Key", key, "X-Api-Key", other}, kind: core.Unauthenticated},
		{name: "key and token", headers: []string{"X-Api-Key", key, "Authorization", "Bearer a.b.c"}, kind: core.Unauthenticated},
		{name: "key and basic", headers: []string{"X-Api-Key", key, "Authorization", "Basic x"}, kind: core.Unauthenticated},
		{name: "other adapter", headers: []string{"X-Api-Key", other}, kind: core.Forbidden},
	} {
		r := httptest.NewRequest("GET", "/"+tc.query, nil)
		for i := 0; i < len(tc.headers); i += 2 {
			r.Header.Add(tc.headers[i], tc.headers[i+1])
		}
		got, err := a.Authenticate(r, "powerautomate")
		if tc.kind == "" {
			require.NoError(t, err, tc.name)
			require.Equal(t, caller, got)
			continue
		}
		require.Error(t, err, tc.name)
		require.Equal(t, tc.kind, core.KindOf(err), tc.name)
		require.Empty(t, got)
		require.NotContains(t, err.Error(), key)
	}

	keys.err = errors.New("disk")
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Api-Key", key)
	got, err := a.Authenticate(r, "powerautomate")
	require.Equal(t, core.Internal, core.KindOf(err), "a store that fails denies")
	require.Empty(t, got)

	r.Header.Del("X-Api-Key")
	r.Header.Set("Authorization", "Bearer a.b.c")
	_, err = NewCallers(keys, nil).Authenticate(r, "powerautomate")
	require.Equal(t, core.Unauthenticated, core.KindOf(err), "tokens are off")
}

func TestIsKey(t *testing.T) {
	t.Parallel()
	key, _ := NewKey()
	for _, bad := range []string{"", key + "A", key[:46], "TDM_" + key[4:], "tdm_" + strings.Repeat("*", 43), "tdm_" + strings.Repeat("\n", 43)} {
		require.False(t, isKey(bad), bad)
	}
}
