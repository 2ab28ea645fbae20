package outbound

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a network in memory, so that a test in a bubble owns the time.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

const crm = "http://crm.example"

// inMemory returns a client whose every call reaches the handler; without one
// no connection is ever made.
func inMemory(t *testing.T, o Options, handler http.HandlerFunc) *Client {
	t.Helper()
	for _, host := range []string{"crm", "other"} {
		o.AllowHosts = append(o.AllowHosts, host+".example:80")
	}
	c := newClient(t, o)
	network := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	c.transport.next.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		if handler == nil {
			return nil, &net.OpError{Op: "dial", Err: net.ErrClosed}
		}
		near, far := net.Pipe()
		select {
		case network.conns <- far:
			return near, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	var busy atomic.Int64
	counted := func(w http.ResponseWriter, r *http.Request) {
		busy.Add(1)
		defer busy.Add(-1)
		handler(w, r)
	}
	server := &http.Server{Handler: http.HandlerFunc(counted), ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Hour}
	go func() { _ = server.Serve(network) }()
	t.Cleanup(func() {
		c.Close()
		_ = server.Close()
		_ = network.Close()
		// The bubble ends when nothing runs in it any more, and its time stands
		// still after that.
		for synctest.Wait(); busy.Load() > 0; synctest.Wait() {
			time.Sleep(time.Second)
		}
	})
	return c
}

// bubble runs a test in its own time.
func bubble(t *testing.T, f func(*testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, f)
}
