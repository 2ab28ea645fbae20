package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"tandem/core"
)

// The limits of the listener. WriteTimeout is above the longest deadline of a
// handler, so that an answer at the deadline is still sent.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 150 * time.Second
	idleTimeout       = 60 * time.Second
	shutdownTimeout   = 10 * time.Second
	maxHeaderBytes    = 32 << 10
	defaultMaxBody    = 1 << 20
)

// Options are what a Server is built from.
type Options struct {
	Logger         *slog.Logger   // nil: nothing is logged
	Clock          core.Clock     // nil: the machine's
	PublicURL      string         // the address callers use, for example https://hub.example/tandem; empty: taken from each request
	TrustedProxies []netip.Prefix // peers whose X-Forwarded-For and X-Forwarded-Proto are believed; empty: nobody's
	TLSCertFile    string         // PEM; both files or none
	TLSKeyFile     string
	MaxBody        int64 // bytes; 0: 1 MiB

	// Observe is told of every answered request, nil: nobody. Route is the
	// template, or "unmatched"; method is one of HTTP's or "OTHER". It is called
	// from many goroutines at once and must return quickly.
	Observe func(route, method string, status int, d time.Duration)
}

// Server is the listener side of the hub. Its methods may be called from
// several goroutines once all routes are mounted.
type Server struct {
	echo    *echo.Echo
	log     *slog.Logger
	clock   core.Clock
	public  string
	proxies proxies
	tls     *tls.Config // nil: plain HTTP
	maxBody int64
	observe func(route, method string, status int, d time.Duration)
	grace   time.Duration
}

// New builds a server without routes. The error says which option is wrong.
func New(o Options) (*Server, error) {
	s := &Server{
		echo:    echo.New(),
		log:     o.Logger,
		clock:   o.Clock,
		proxies: o.TrustedProxies,
		maxBody: o.MaxBody,
		observe: o.Observe,
		grace:   shutdownTimeout,
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.clock == nil {
		s.clock = core.SystemClock{}
	}
	if s.maxBody <= 0 {
		s.maxBody = defaultMaxBody
	}
	var err error
	if s.public, err = publicURL(o.PublicURL); err != nil {
		return nil, err
	}
	if s.tls, err = tlsConfig(o.TLSCertFile, o.TLSKeyFile); err != nil {
		return nil, err
	}
	s.echo.Logger.SetOutput(io.Discard)
	s.echo.HTTPErrorHandler = func(err error, c echo.Context) { s.fail(c, err) }
	s.echo.IPExtractor = s.proxies.client
	s.echo.SchemeExtractor = s.proxies.scheme
	s.echo.Use(s.front)
	return s, nil
}

func publicURL(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.User != nil ||
		u.RawQuery != "" || u.Fragment != "" || !validHost(u.Host) {
		return "", errors.New("public URL: want http(s)://host[:port][/path]")
	}
	return strings.TrimRight(text, "/"), nil
}

func tlsConfig(certFile, keyFile string) (*tls.Config, error) {
	if certFile == "" && keyFile == "" {
		return nil, nil
	}
	if certFile == "" || keyFile == "" {
		return nil, errors.New("TLS needs both a certificate file and a key file")
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("TLS certificate: %w", err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}, nil
}

// Echo returns the router on which adapters mount their routes, before Serve.
// Middleware that an adapter adds must be its group's, never the router's.
func (s *Server) Echo() *echo.Echo { return s.echo }

// Serve answers on l until ctx ends, then lets requests in flight finish for up
// to 10 s. One address, unless it is a trusted proxy, holds at most 1,024
// connections. It returns nil after a clean end, and closes l in every case.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler:                      s.echo,
		ReadHeaderTimeout:            readHeaderTimeout,
		ReadTimeout:                  readTimeout,
		WriteTimeout:                 writeTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeaderBytes,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		TLSConfig:                    s.tls,
	}
	l = newFairListener(l, maxPerAddress, s.proxies)
	served := make(chan error, 1)
	go func() {
		if s.tls != nil {
			served <- srv.ServeTLS(l, "", "")
			return
		}
		served <- srv.Serve(strictListener{l})
	}()
	select {
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.grace)
	defer cancel()
	if err := srv.Shutdown(wait); err != nil {
		_ = srv.Close() // the requests still open are cut; the error below says so
		<-served        //nolint:errcheck // always http.ErrServerClosed
		return fmt.Errorf("shutdown: %w", err)
	}
	<-served //nolint:errcheck // always http.ErrServerClosed
	return nil
}
