package outbound

import (
	"context"
	"net/http"
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
	// the credential is for (Forbidden otherwise). The stamp tells credentials
	// apart. Errors: NeedsAuthorization when there is none that works,
	// NotConfigured when it cannot be read, Unavailable when a token cannot be
	// had now, and the context's.
	Authorize(ctx context.Context, c Credential, req *http.Request) (stamp int64, err error)

	// Rejected reports that the provider answered 401 to the credential with
	// that stamp. After nil another Authorize is worth while, once. Errors are
	// those of Authorize.
	Rejected(ctx context.Context, c Credential, stamp int64) error
}
