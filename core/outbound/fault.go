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

// fault gives a failed exchange its kind. ctx is the call's own context, below
// the caller's and with the client's deadline.
func fault(ctx context.Context, req *http.Request, sent bool, err error) error {
	target := req.URL.Scheme + "://" + req.URL.Host
	if errors.Is(req.Context().Err(), context.Canceled) {
		return fmt.Errorf("%s: %w", target, context.Canceled)
	}
	if refusal, ok := errors.AsType[*core.Error](err); ok {
		named := *refusal
		named.Message = target + ": " + refusal.Message
		return &named
	}
	switch {
	case ctx.Err() != nil:
		return core.Wrap(core.Timeout, context.DeadlineExceeded, "%s did not answer in time", target)
	case !sent:
		return core.Wrap(core.Unavailable, harmless(err), "%s cannot be reached", target)
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
