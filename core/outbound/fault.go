package outbound

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"tandem/core"
)

// target is as much of a URL as may be shown.
func target(req *http.Request) string { return req.URL.Scheme + "://" + req.URL.Host }

// fault gives a failed exchange its kind. The request's context is below the
// caller's and has the deadline of the call.
func fault(caller context.Context, req *http.Request, sent bool, err error) error {
	target := target(req)
	if errors.Is(caller.Err(), context.Canceled) {
		return fmt.Errorf("%s: %w", target, context.Canceled)
	}
	if refusal, ok := errors.AsType[*core.Error](err); ok {
		named := *refusal
		named.Message = target + ": " + refusal.Message
		return &named
	}
	switch {
	case req.Context().Err() != nil:
		return core.Wrap(core.Timeout, context.DeadlineExceeded, "%s did not answer in time", target)
	case !sent:
		return &core.Error{
			Kind: core.Unavailable, Status: http.StatusBadGateway,
			Message: target + " cannot be reached", Err: harmless(err),
		}
	default:
		return core.Wrap(core.Uncertain, harmless(err), "%s did not give a whole answer", target)
	}
}

// harmless returns the part of a transport's error whose text is known to quote
// neither the request nor the answer. net/http quotes what it cannot parse, and
// an echoing server would put the URL there.
func harmless(err error) error {
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return e
	}
	if e, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return e
	}
	for _, known := range []error{io.ErrUnexpectedEOF, io.EOF} {
		if errors.Is(err, known) {
			return known
		}
	}
	return errors.New("protocol fault")
}

func bodyReader(body []byte) io.Reader {
	if len(body) == 0 {
		return http.NoBody
	}
	return bytes.NewReader(body)
}

func orDefault[T ~int | ~int64](value, standard T) T {
	if value <= 0 {
		return standard
	}
	return value
}
