package outbound

import (
	"context"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
)

// Credential says whose authorization a call goes out with: the one of that
// name, or, without a name, the default of the node, or of the integration.
type Credential struct {
	Tenant      string
	Integration string
	Node        string // empty: any
	Name        string // empty: the default
}

// Authorizer puts credentials on requests. It is called from several goroutines
// at once and must answer from memory while a token is good.
type Authorizer interface {
	// Authorize sets the credential on the request, whose host must be the one
	// the credential is for (Forbidden otherwise), and confides the secrets that
	// it is made of. The stamp tells credentials apart. Errors: NeedsAuthorization when there is none that works,
	// NotConfigured when it cannot be read, Unavailable when a token cannot be
	// had now, and the context's.
	Authorize(ctx context.Context, c Credential, req *http.Request) (stamp int64, err error)

	// Rejected reports that the provider answered 401 to the credential with
	// that stamp. After nil another Authorize is worth while, once. Errors are
	// those of Authorize.
	Rejected(ctx context.Context, c Credential, stamp int64) error
}

// confidence finds in a request's context where Confide puts secrets.
type confidence struct{}

// Confide is for Authorizers: it names secrets that went into what they have set
// on a request. Answers to it are given without them, and without the value that
// was set, which need not hold them as they are. One of under 8 bytes is not
// looked for: it is found where it is none.
func Confide(req *http.Request, secrets ...string) {
	if all, ok := req.Context().Value(confidence{}).(*[]string); ok {
		*all = append(*all, secrets...)
	}
}

// added are the secrets in the headers that an Authorizer has set: what stands
// behind the word for the scheme, and what that is made of.
func added(before, after http.Header) []string {
	var texts []string
	for name, values := range after {
		if slices.Equal(values, before[name]) {
			continue
		}
		for _, value := range values {
			scheme, rest, found := strings.Cut(value, " ")
			if !found {
				texts = append(texts, value)
				continue
			}
			texts = append(texts, strings.TrimRight(rest, "=")) // some leave out what only fills up base64
			if pair, err := base64.StdEncoding.DecodeString(rest); err == nil && strings.EqualFold(scheme, "Basic") {
				_, password, _ := strings.Cut(string(pair), ":")
				texts = append(texts, string(pair), password)
			}
		}
	}
	return texts
}
