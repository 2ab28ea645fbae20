package server

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRefusals(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{MaxBody: 100})
	cases := []struct {
		name, method, target string
		change               func(*http.Request)
		body                 string
		status               int
		code                 string
	}{
		{name: "fine", method: "POST", target: "/v1/tasks", body: "{}", status: 200},
		{name: "body at the limit", method: "POST", target: "/v1/tasks", body: strings.Repeat("x", 100), status: 200},
		{name: "body too large", method: "POST", target: "/v1/tasks", body: strings.Repeat("x", 101), status: 413, code: "BODY_TOO_LARGE"},
		{
			name: "chunked body too large", method: "POST", target: "/v1/tasks", body: strings.Repeat("x", 101), status: 413, code: "BODY_TOO_LARGE",
			change: func(r *http.Request) { r.ContentLength = -1 },
		},
		{
			name: "gzip", method: "POST", target: "/v1/tasks", body: "x", status: 415, code: "UNSUPPORTED_MEDIA_TYPE",
			change: func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") },
		},
		{
			name: "identity", method: "POST", target: "/v1/tasks", body: "x", status: 200,
			change: func(r *http.Request) { r.Header.Set("Content-Encoding", "identity") },
		},
		{name: "long address", method: "GET", target: "/v1/tasks/" + strings.Repeat("x", 9000), status: 414, code: "URI_TOO_LONG"},
		{
			name: "many headers", method: "GET", target: "/v1/tasks/1", status: 431, code: "TOO_MANY_HEADERS",
			change: func(r *http.Request) {
				for i := range 101 {
					r.Header.Add("X-A", fmt.Sprint(i))
				}
			},
		},
		{name: "host", method: "GET", target: "/v1/tasks/1", status: 400, code: "INVALID", change: func(r *http.Request) { r.Host = "a b/c" }},
		{name: "TRACE", method: "TRACE", target: "/v1/tasks", status: 405, code: "METHOD_NOT_ALLOWED"},
		{name: "CONNECT", method: "CONNECT", target: "/v1/tasks", status: 405, code: "METHOD_NOT_ALLOWED"},
		{name: "OPTIONS", method: "OPTIONS", target: "/v1/tasks", status: 405, code: "METHOD_NOT_ALLOWED"},
		{name: "unused method", method: "DELETE", target: "/v1/tasks", status: 405, code: "METHOD_NOT_ALLOWED"},
		{
			name: "no override", method: "POST", target: "/v1/tasks/1?_method=GET", status: 405, code: "METHOD_NOT_ALLOWED",
			change: func(r *http.Request) { r.Header.Set("X-HTTP-Method-Override", "GET") },
		},
		{name: "unknown route", method: "GET", target: "/v1/nothing", status: 404, code: "NOT_FOUND"},
		{name: "wildcard", method: "GET", target: "/console/a/b.css", status: 200},
		{name: "wildcard dots", method: "GET", target: "/console/../v1/tasks/1", status: 404, code: "NOT_FOUND"},
	}
	for _, path := range []string{
		"/v1/tasks%2f1", "/v1/tasks%2F1", "/v1%2ftasks/1", "/v1/tasks/a%2Fb", "/v1//tasks/1", "//v1/tasks/1", "/v1/../v1/tasks/1",
		"/v1/tasks/..", "/v1/tasks/%2e%2e", "/v1/./tasks/1", "/v1/tasks;a=1/1", "/v1/tasks/1;a", "/V1/tasks/1",
		"/v1/Tasks/1", "/v1/tasks/1/", "/v1/tasks/1/2", "/v1/%74asks/1", "/v1/tasks/a%00", "/v1/tasks/a%5cb", "/v1/tasks/a%0ab", "/v1/tasks/",
	} {
		cases = append(cases, struct {
			name, method, target string
			change               func(*http.Request)
			body                 string
			status               int
			code                 string
		}{name: path, method: "GET", target: path, status: 404, code: "NOT_FOUND"})
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(tc.method, tc.target, strings.NewReader(tc.body))
			if tc.change != nil {
				tc.change(r)
			}
			rec := call(s, r)
			require.Equal(t, tc.status, rec.Code, rec.Body.String())
			require.Equal(t, "nosniff", rec.Header().Get("X-Content-Type-Options"))
			require.Equal(t, "no-store", rec.Header().Get("Cache-Control"))
			require.Len(t, rec.Header().Get("X-Request-Id"), 36)
			if tc.code != "" {
				require.Equal(t, tc.code, failureOf(t, rec).Error.Code)
			}
			if tc.status == 405 && tc.method == "OPTIONS" {
				require.Equal(t, "POST", rec.Header().Get("Allow"))
			}
		})
	}
}

func TestParametersAreUnescapedOnce(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{})
	for target, want := range map[string]string{
		"/v1/tasks/a%20b": "a b", "/v1/tasks/%c3%a9": "é", "/v1/tasks/%C3%A9": "é", "/v1/tasks/a%3Bb": "a;b",
		"/v1/tasks/100%25": "100%", "/v1/tasks/%2541%21": "%41!", "/v1/tasks/a..b": "a..b",
	} {
		rec := call(s, httptest.NewRequest("GET", target, nil))
		require.Equal(t, 200, rec.Code, target)
		require.Equal(t, want, rec.Body.String(), target)
	}
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{})
	for _, tc := range []struct {
		header, value string
		kept          bool
	}{
		{"X-Request-Id", "abc.DEF_1-2", true},
		{"x-ms-client-request-id", "abc", true},
		{"X-Request-Id", strings.Repeat("a", 128), true},
		{"X-Request-Id", strings.Repeat("a", 129), false},
		{"X-Request-Id", "a b", false},
		{"X-Request-Id", "a\tb", false},
		{"X-Request-Id", "é", false},
		{"X-Request-Id", "", false},
	} {
		r := httptest.NewRequest("GET", "/v1/tasks/1", nil)
		r.Header.Set(tc.header, tc.value)
		got := call(s, r).Header().Get("X-Request-Id")
		require.Equal(t, tc.kept, got == tc.value, tc)
		require.NotEmpty(t, got)
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, tc := range []struct {
		name, remote, public string
		proxies              []netip.Prefix
		forwarded            []string
		proto                string
		want                 string
	}{
		{name: "direct", remote: "192.0.2.1:5", want: "http://hub.example:8080 192.0.2.1"},
		{name: "direct, spoofed", remote: "10.0.0.1:5", forwarded: []string{"1.1.1.1"}, proto: "https", want: "http://hub.example:8080 10.0.0.1"},
		{name: "stranger, spoofed", remote: "192.0.2.1:5", proxies: trusted, forwarded: []string{"1.1.1.1"}, proto: "https", want: "http://hub.example:8080 192.0.2.1"},
		{name: "proxy", remote: "10.0.0.1:5", proxies: trusted, forwarded: []string{"8.8.8.8, 1.1.1.1"}, proto: "https", want: "https://hub.example:8080 1.1.1.1"},
		{name: "two proxies", remote: "10.0.0.1:5", proxies: trusted, forwarded: []string{"8.8.8.8", "1.1.1.1 , 10.2.2.2"}, want: "http://hub.example:8080 1.1.1.1"},
		{name: "all proxies", remote: "10.0.0.1:5", proxies: trusted, forwarded: []string{"10.3.3.3,10.2.2.2"}, want: "http://hub.example:8080 10.3.3.3"},
		{name: "garbage", remote: "10.0.0.1:5", proxies: trusted, forwarded: []string{"8.8.8.8, x, 10.2.2.2"}, want: "http://hub.example:8080 10.2.2.2"},
		{name: "no header", remote: "10.0.0.1:5", proxies: trusted, want: "http://hub.example:8080 10.0.0.1"},
		{name: "v6 with port", remote: "[fd00::1]:5", proxies: trusted, forwarded: []string{"[2001:db8::7]:99"}, want: "http://hub.example:8080 2001:db8::7"},
		{name: "mapped v4", remote: "[::ffff:10.0.0.1]:5", proxies: trusted, forwarded: []string{"1.1.1.1"}, want: "http://hub.example:8080 1.1.1.1"},
		{name: "public", remote: "10.0.0.1:5", public: "https://x.example/t/", proto: "http", want: "https://x.example/t 10.0.0.1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, Options{PublicURL: tc.public, TrustedProxies: tc.proxies})
			r := httptest.NewRequest("GET", "http://hub.example:8080/v1/base", nil)
			r.RemoteAddr = tc.remote
			r.Header.Set("X-Real-IP", "9.9.9.9")
			r.Header.Set("X-Forwarded-Host", "evil.example")
			for _, f := range tc.forwarded {
				r.Header.Add("X-Forwarded-For", f)
			}
			if tc.proto != "" {
				r.Header.Set("X-Forwarded-Proto", tc.proto)
			}
			require.Equal(t, tc.want, call(s, r).Body.String())
		})
	}
}

func TestValidHost(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"a": true, "a.example": true, "a:1": true, "1.2.3.4:80": true, "[::1]": true, "[::1]:80": true,
		"": false, "a:": false, "a:x": false, "a:123456": false, "a/b": false, "a@b": false, "::1": false,
		"[::1": false, "[::1]x": false, "a b": false, "a\r\nb": false, "[1.2.3.4]": false, "[fe80::1%25eth0]": false,
	} {
		require.Equal(t, want, validHost(host), host)
	}
}
