package server

import (
	"bytes"
	"errors"
	"net"
	"strconv"
)

// maxLine is above what net/http accepts as a whole head.
const maxLine = maxHeaderBytes + 8<<10

var errFraming = errors.New("ambiguous message framing")

// strictListener refuses messages that a proxy in front might cut elsewhere
// than net/http does, and which net/http repairs in silence: Content-Length
// beside Transfer-Encoding, a repeated Content-Length, lines that end in a bare
// LF, folded header lines. It stands under plain HTTP only: with TLS of the
// hub's own no proxy reads along.
type strictListener struct{ net.Listener }

// Accept implements net.Listener.
func (l strictListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err //nolint:wrapcheck // net/http looks at the type
	}
	return &strictConn{Conn: c}, nil
}

// strictConn follows the framing of all that is read. On a fault the read
// fails, and net/http answers 400 and closes.
type strictConn struct {
	net.Conn

	framing framing
	broken  bool
}

// Read implements net.Conn.
func (c *strictConn) Read(p []byte) (int, error) {
	if c.broken {
		return 0, errFraming
	}
	n, err := c.Conn.Read(p)
	if !c.framing.feed(p[:n]) {
		c.broken = true
		return 0, errFraming
	}
	return n, err //nolint:wrapcheck // net/http looks at the type
}

// CloseWrite lets net/http end an answer whose request it did not read whole.
func (c *strictConn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite() //nolint:wrapcheck // a pass-through
	}
	return nil
}

type part uint8

const (
	requestLine part = iota
	header
	chunkSize
	trailer
)

// framing is where in a stream of requests a reader stands.
type framing struct {
	part    part
	line    []byte // the begun line
	skip    int64  // bytes of body before the next line
	length  int64  // Content-Length; -1: none
	chunked bool
	modern  bool // the request line says HTTP/1.1
}

// feed follows the next bytes; false: they are ambiguous.
func (f *framing) feed(p []byte) bool {
	for len(p) > 0 {
		if f.skip > 0 {
			n := min(f.skip, int64(len(p)))
			f.skip -= n
			p = p[n:]
			continue
		}
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			f.line = append(f.line, p...)
			return len(f.line) <= maxLine
		}
		line := p[:end]
		if len(f.line) > 0 {
			f.line = append(f.line, line...)
			line = f.line
		}
		p = p[end+1:]
		cr := bytes.IndexByte(line, '\r')
		if cr < 0 || cr != len(line)-1 || !f.next(line[:cr]) {
			return false
		}
		f.line = f.line[:0]
	}
	return true
}

func (f *framing) next(line []byte) bool {
	switch f.part {
	case requestLine:
		f.part, f.length, f.chunked = header, -1, false
		f.modern = bytes.HasSuffix(line, []byte(" HTTP/1.1"))
		return true
	case header:
		return f.header(line)
	case chunkSize:
		digits, _, _ := bytes.Cut(line, []byte(";"))
		n, err := strconv.ParseInt(string(bytes.TrimRight(digits, " \t")), 16, 62)
		if err != nil || n < 0 || line[0] == '+' {
			return false
		}
		if f.skip = n + 2; n == 0 {
			f.skip, f.part = 0, trailer
		}
		return true
	default:
		if len(line) == 0 {
			f.part = requestLine
			return true
		}
		return line[0] != ' ' && line[0] != '\t'
	}
}

func (f *framing) header(line []byte) bool {
	if len(line) == 0 {
		return f.body()
	}
	if line[0] == ' ' || line[0] == '\t' {
		return false
	}
	name, value, _ := bytes.Cut(line, []byte(":"))
	switch {
	case len(name) == len("Content-Length") && bytes.EqualFold(name, []byte("Content-Length")):
		if f.length >= 0 {
			return false
		}
		n, err := strconv.ParseUint(string(bytes.Trim(value, " \t")), 10, 62)
		f.length = int64(n)
		return err == nil
	case len(name) == len("Transfer-Encoding") && bytes.EqualFold(name, []byte("Transfer-Encoding")):
		if f.chunked || !bytes.EqualFold(bytes.Trim(value, " \t"), []byte("chunked")) {
			return false
		}
		f.chunked = true
	}
	return true
}

// body says what follows the head.
func (f *framing) body() bool {
	switch {
	case f.chunked:
		f.part = chunkSize
		return f.length < 0 && f.modern
	case f.length > 0:
		f.skip = f.length
	}
	f.part = requestLine
	return true
}
