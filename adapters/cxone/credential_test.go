package cxone

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core/server"
	"tandem/core/store"
)

func basic(name, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

// list asks for something small with a credential and returns the status.
func (r *rig) list(headers ...string) int {
	return r.do(nobody, http.MethodGet, "/incontactapi/services/v26.0/agent-integration/configuration", "", headers...).Code
}

func (r *rig) newToken(t testing.TB, key string) string {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"studio"}, "client_secret": {key}}
	rec := r.do(nobody, http.MethodPost, "/cxone/oauth/token", form.Encode())
	require.Equal(t, http.StatusOK, rec.Code, rec.Body.String())
	require.Contains(t, rec.Header().Get("Cache-Control"), "no-store")
	var answer struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int    `json:"expires_in"`
	}
	require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &answer))
	require.Equal(t, "Bearer", answer.TokenType)
	require.Equal(t, 3600, answer.ExpiresIn)
	require.NotContains(t, rec.Body.String(), key)
	return answer.AccessToken
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key := r.keys[admin]
	for _, c := range []struct {
		status  int
		headers []string
	}{
		{200, []string{"Authorization", "Bearer " + key}},
		{200, []string{"X-Api-Key", key}},
		{200, []string{"Authorization", basic("any one", key)}},
		{200, []string{"Authorization", basic("", key)}},
		{200, []string{"Authorization", "basic" + strings.TrimPrefix(basic("x", key), "Basic")}},
		{200, []string{"Authorization", basic("x", key), "X-Api-Key", key}},
		{401, []string{"Authorization", basic("x", key), "X-Api-Key", r.keys[stranger]}},
		{401, []string{"Authorization", basic(key, "")}},
		{401, []string{"Authorization", basic("x", r.keys[wrong])}},
		{401, []string{"Authorization", "Basic " + key}},
		{401, []string{"Authorization", "Digest " + key}},
		{401, []string{"Authorization", "Bearer tdt_"}},
		{401, []string{"Authorization", "Bearer tdt_" + key}},
		{401, nil},
		{403, []string{"Authorization", basic("x", r.keys[other])}},
	} {
		require.Equal(t, c.status, r.list(c.headers...), c.headers)
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key := r.key(t, admin, Platform)
	token := r.newToken(t, key)
	require.True(t, strings.HasPrefix(token, "tdt_"))
	require.Equal(t, 200, r.list("Authorization", "Bearer "+token))
	require.Equal(t, 401, r.list("X-Api-Key", token))
	require.Equal(t, 401, r.list("Authorization", basic("x", token)))
	for i := range token {
		damaged := []byte(token)
		damaged[i] ^= 1
		require.Equal(t, 401, r.list("Authorization", "Bearer "+string(damaged)), i)
	}
	sealed := sealer{}.Seal("another:place", append(make([]byte, timeSize), key...))
	require.Equal(t, 401, r.list("Authorization", "Bearer tdt_"+base64.RawURLEncoding.EncodeToString(sealed)))

	r.clock.Advance(time.Hour - time.Second)
	require.Equal(t, 200, r.list("Authorization", "Bearer "+token))
	r.clock.Advance(time.Second)
	require.Equal(t, 401, r.list("Authorization", "Bearer "+token), "expired")

	token = r.newToken(t, key)
	require.NoError(t, r.db.Write(context.Background(), func(ctx context.Context, tx *store.Tx) error {
		return tx.RevokeAPIKey(ctx, key[:12], r.clock.Now())
	}))
	require.Equal(t, 401, r.list("Authorization", "Bearer "+token), "its key was revoked")
}

func TestTokenAddress(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key := r.keys[admin]
	unknown, _ := server.NewKey()
	const grant = "grant_type=client_credentials"
	for _, c := range []struct {
		form    string
		headers []string
		status  int
		want    string
	}{
		{grant, []string{"Authorization", basic("studio", key)}, 200, "tdt_"},
		{grant + "&scope=all&client_id=x&client_secret=" + key, nil, 200, "tdt_"},
		{grant, nil, 401, "invalid_client"},
		{grant + "&client_id=x", nil, 401, "invalid_client"},
		{grant + "&client_secret=" + key, nil, 401, "invalid_client"},
		{grant + "&client_id=x&client_secret=" + unknown, nil, 401, "invalid_client"},
		{grant + "&client_id=x&client_secret=" + r.keys[other], nil, 401, "invalid_client"},
		{grant + "&client_id=x&client_secret=" + r.keys[agent], nil, 401, "invalid_client"},
		{grant + "&client_id=x&client_secret=" + r.newToken(t, key), nil, 401, "invalid_client"},
		{grant + "&client_id=x&client_secret=" + key + "&client_id=y", nil, 400, "invalid_request"},
		{grant + "&client_secret=" + key, []string{"Authorization", basic("x", key)}, 400, "invalid_request"},
		{"client_id=x&client_secret=" + key, nil, 400, "invalid_request"},
		{"%zz", nil, 400, "invalid_request"},
		{"", nil, 400, "invalid_request"},
		{"grant_type=password&username=x", nil, 400, "unsupported_grant_type"},
	} {
		rec := r.do(nobody, http.MethodPost, "/cxone/oauth/token", c.form, c.headers...)
		require.Equal(t, c.status, rec.Code, c.form)
		require.Contains(t, rec.Body.String(), c.want)
		require.NotContains(t, rec.Body.String(), key)
		require.Equal(t, c.status == http.StatusUnauthorized, rec.Header().Get("WWW-Authenticate") != "")
	}
}
