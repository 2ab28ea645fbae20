package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"tandem/core"
)

// Limits that nobody has had a reason to configure.
const (
	dialTimeout      = 3 * time.Second
	handshakeTimeout = 5 * time.Second
	idleTimeout      = 90 * time.Second
	maxHeader        = 64 << 10
	maxClientBody    = 10 << 20 // for users of HTTPClient, who read bodies themselves
)

// Options configures a Client. The zero value is ready for use and reaches
// public https addresses only.
type Options struct {
	// AllowHosts are exact host:port pairs that pass the address guard,
	// loopback and private ones included, and that may be called over plain
	// http. Only the requested text counts, not what it resolves to.
	AllowHosts []string
	// Timeout is for all of a Do, the body included. 0: 15 s.
	Timeout time.Duration
	// MaxConnsPerHost is how many idle connections are kept for each host. It
	// should not be less than the calls in flight. 0: 64.
	MaxConnsPerHost int
	// MaxBody is how many bytes of a decompressed body a Do keeps. 0: 64 KiB.
	MaxBody int
	// RootCAs replaces the system's certificate authorities.
	RootCAs *x509.CertPool
	// Resolver replaces the system's name resolution.
	Resolver *net.Resolver

	// The rest is for Call.

	// Authorizer puts credentials on requests. nil: no call may ask for one.
	Authorizer Authorizer
	// Clock tells since when an upstream is in its state, and reads the dates
	// of Retry-After; waits and deadlines go by the machine's. nil: the
	// machine's.
	Clock core.Clock
	// Chance returns a random number from 0 to below 1. It is called from
	// several goroutines. nil: crypto/rand.
	Chance func() float64
	// Observe is told of every attempt, in the goroutine of the call.
	Observe func(Attempt)
	// Changed is told when a breaker has changed its state. It is called from
	// several goroutines, without a lock held.
	Changed func(Upstream)
}

// Client makes HTTP calls. It may be used by several goroutines at once.
type Client struct {
	transport *guarded
	timeout   time.Duration
	maxBody   int

	authorizer Authorizer
	clock      core.Clock
	chance     func() float64
	observe    func(Attempt)
	upstreams  *registry
	loop       *retryablehttp.Client
}

// Response is what came back: any status, 3xx included. The caller owns it.
type Response struct {
	Status    int
	Header    http.Header
	Body      []byte // decompressed
	Truncated bool   // by Do: the body was longer than Options.MaxBody; the rest was not read
}

// New returns a Client. The error is Invalid and names the malformed entry of
// AllowHosts.
func New(o Options) (*Client, error) {
	allow, err := parseAllow(o.AllowHosts)
	if err != nil {
		return nil, err
	}
	o.Timeout = orDefault(o.Timeout, 15*time.Second)
	o.MaxConnsPerHost = orDefault(o.MaxConnsPerHost, 64)
	o.MaxBody = orDefault(o.MaxBody, 64<<10)

	open := &net.Dialer{Timeout: dialTimeout, Resolver: o.Resolver}
	closed := &net.Dialer{Timeout: dialTimeout, Resolver: o.Resolver, ControlContext: newGuard().control}
	clock := o.Clock
	if clock == nil {
		clock = core.SystemClock{}
	}
	chance := o.Chance
	if chance == nil {
		chance = random
	}
	// HTTP/1.1 alone: a call that hangs then holds up its own connection and no other's.
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &Client{
		transport: &guarded{allow: allow, next: &http.Transport{
			DialContext:            dialer(open, closed, allow),
			Protocols:              protocols,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs},
			TLSHandshakeTimeout:    handshakeTimeout,
			MaxIdleConnsPerHost:    o.MaxConnsPerHost,
			IdleConnTimeout:        idleTimeout,
			MaxResponseHeaderBytes: maxHeader,
		}},
		timeout: o.Timeout,
		maxBody: o.MaxBody,

		authorizer: o.Authorizer,
		clock:      clock,
		chance:     chance,
		observe:    o.Observe,
		upstreams:  newRegistry(clock, o.Changed),
		loop:       newLoop(),
	}, nil
}

// Do sends req and reads the answer. Any status is an answer, not an error.
//
// Errors show no more of the URL than scheme and host. They are
//   - Forbidden with CodeAddressRefused: the guard refused the address,
//   - Unavailable: the request was not sent (name, connection or TLS fault),
//   - Timeout: the client's or the context's deadline passed,
//   - Uncertain: the request was sent and no whole answer came,
//   - context.Canceled (by errors.Is, without a kind): the caller gave up.
func (c *Client) Do(req *http.Request) (*Response, error) {
	ctx, cancel := context.WithTimeout(req.Context(), c.timeout)
	defer cancel()
	response, _, err := c.exchange(req.Context(), req.WithContext(ctx), c.maxBody)
	return response, err
}

// exchange sends req, whose context is below the caller's, and reads the answer
// up to maxBody bytes. sent tells whether the other side may have seen it.
func (c *Client) exchange(caller context.Context, req *http.Request, maxBody int) (_ *Response, sent bool, _ error) {
	var wrote atomic.Bool
	traced := httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		// The transport asks for a second connection only when nothing was
		// written on the first, or when the request is safe to repeat.
		GetConn:      func(string) { wrote.Store(false) },
		WroteHeaders: func() { wrote.Store(true) },
	})
	// RoundTrip, not http.Client: its errors do not carry the URL, it follows
	// nothing and sends no credentials out of a URL.
	answer, err := c.transport.RoundTrip(req.WithContext(traced))
	if err != nil {
		return nil, wrote.Load(), fault(caller, req, wrote.Load(), err)
	}
	defer func() { _ = answer.Body.Close() }()
	// One byte more than is kept: it tells a full body from a cut one, and
	// reaching the end gives the connection back for reuse.
	body, err := io.ReadAll(io.LimitReader(answer.Body, int64(maxBody)+1))
	if err != nil {
		return nil, true, fault(caller, req, true, err)
	}
	r := &Response{Status: answer.StatusCode, Header: answer.Header, Body: body}
	if len(body) > maxBody {
		r.Body, r.Truncated = body[:maxBody], true
	}
	return r, true, nil
}

// HTTPClient returns an http.Client over the same guarded connections, for
// libraries that want one. It follows no redirect, has the client's timeout and
// fails the reading of a body after 10 MiB. Its errors are those of net/http
// and show the whole URL: do not use it where a URL holds a secret.
func (c *Client) HTTPClient() *http.Client {
	return &http.Client{
		Transport: capped{c.transport},
		Timeout:   c.timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
}

// Close closes the idle connections. Calls in flight go on.
func (c *Client) Close() { c.transport.next.CloseIdleConnections() }

// capped bounds the bodies of answers.
type capped struct{ next http.RoundTripper }

// RoundTrip makes one exchange.
func (t capped) RoundTrip(req *http.Request) (*http.Response, error) {
	answer, err := t.next.RoundTrip(req)
	if err == nil {
		answer.Body = http.MaxBytesReader(nil, answer.Body, maxClientBody)
	}
	return answer, err
}

// NewRequest builds a request whose request line carries the path and the query
// of raw byte for byte. A URL that cannot be sent so is refused with an Invalid
// error that shows nothing of it.
func NewRequest(ctx context.Context, method, raw string, body []byte) (*http.Request, error) {
	u, err := parseExact(raw)
	if err != nil {
		return nil, err
	}
	// The text was parsed already, so an error here is about the method.
	req, err := http.NewRequestWithContext(ctx, method, u.Scheme+"://"+u.Host, bodyReader(body))
	if err != nil {
		return nil, core.Errorf(core.Invalid, "invalid HTTP method")
	}
	req.URL = u
	req.Header.Set("User-Agent", "tandem")
	return req, nil
}
