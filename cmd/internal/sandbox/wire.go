package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Conn is a keep-alive HTTP connection for load: it does as little as it can,
// so that what is measured is the other side. It belongs to one goroutine.
type Conn struct {
	conn net.Conn
	in   *bufio.Reader
	out  []byte
	body []byte
	head string // of each request, up to its length
}

// callTime bounds one call of a Conn.
const callTime = 30 * time.Second

// Dial connects to host:port. key may be empty.
func Dial(ctx context.Context, addr, key string) (*Conn, error) {
	dialer := net.Dialer{Timeout: callTime}
	c, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	head := " HTTP/1.1\r\nHost: " + addr + "\r\nContent-Type: application/json\r\n"
	if key != "" {
		head += "X-Api-Key: " + key + "\r\n"
	}
	return &Conn{conn: c, in: bufio.NewReaderSize(c, 4096), head: head + "Content-Length: "}, nil
}

// Close closes the connection.
func (c *Conn) Close() { _ = c.conn.Close() }

// Do makes a call and returns the answer's status and body. The body is good
// until the next call. After an error the connection is of no use.
func (c *Conn) Do(method, path string, body []byte) (int, []byte, error) {
	c.out = append(c.out[:0], method...)
	c.out = append(append(append(c.out, ' '), path...), c.head...)
	c.out = append(strconv.AppendInt(c.out, int64(len(body)), 10), "\r\n\r\n"...)
	c.out = append(c.out, body...)
	_ = c.conn.SetDeadline(time.Now().Add(callTime))
	if _, err := c.conn.Write(c.out); err != nil {
		return 0, nil, err
	}
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return 0, nil, err
	}
	if len(line) < len("HTTP/1.1 200") {
		return 0, nil, fmt.Errorf("no status line: %q", line)
	}
	status, err := strconv.Atoi(string(line[9:12]))
	if err != nil {
		return 0, nil, err
	}
	c.body, err = readMessage(c.in, c.body)
	return status, c.body, err
}

// readMessage reads headers and the body after them into buf.
func readMessage(in *bufio.Reader, buf []byte) ([]byte, error) {
	length := 0
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case len(name) == len("Content-Length") && bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return nil, err
			}
		case len(name) == len("Transfer-Encoding") && bytes.EqualFold(name, []byte("Transfer-Encoding")):
			return nil, errors.New("a chunked body, which this connection does not read")
		}
	}
	if cap(buf) < length {
		buf = make([]byte, length)
	}
	buf = buf[:length]
	_, err := io.ReadFull(in, buf)
	return buf, err
}

// Sink takes callbacks at a loopback address and answers 202 to each, with as
// little work as it can.
type Sink struct {
	listener net.Listener
	on       func(body []byte)
	got      atomic.Int64

	mu     sync.Mutex
	conns  map[net.Conn]bool
	served sync.WaitGroup
}

// NewSink starts a sink. on is called with each body before it is answered,
// from one goroutine a connection; the body is good until on returns. Nil:
// they are only counted.
func NewSink(ctx context.Context, on func(body []byte)) (*Sink, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Sink{listener: l, on: on, conns: map[net.Conn]bool{}}
	s.served.Go(s.accept)
	return s, nil
}

// Addr is the sink's host and port.
func (s *Sink) Addr() string { return s.listener.Addr().String() }

// Callback is the sink's address as that of the flow with a number.
func (s *Sink) Callback(number int) string {
	return "http://" + s.Addr() + fmt.Sprintf(callbackPath, number, 1, number)
}

// Count is how many callbacks came.
func (s *Sink) Count() int64 { return s.got.Load() }

// Close ends the sink and waits for its goroutines.
func (s *Sink) Close() {
	_ = s.listener.Close()
	s.mu.Lock()
	for c := range s.conns {
		_ = c.Close()
	}
	s.conns = nil
	s.mu.Unlock()
	s.served.Wait()
}

func (s *Sink) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		open := s.conns != nil
		if open {
			s.conns[c] = true
			s.served.Go(func() { s.serve(c) })
		}
		s.mu.Unlock()
		if !open {
			_ = c.Close()
		}
	}
}

func (s *Sink) serve(c net.Conn) {
	defer func() {
		_ = c.Close()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	in := bufio.NewReaderSize(c, 4096)
	var body []byte
	for {
		if _, err := in.ReadSlice('\n'); err != nil {
			return
		}
		var err error
		if body, err = readMessage(in, body); err != nil {
			return
		}
		s.got.Add(1)
		if s.on != nil {
			s.on(body)
		}
		if _, err := c.Write([]byte("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")); err != nil {
			return
		}
	}
}
