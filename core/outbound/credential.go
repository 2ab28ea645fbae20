package outbound

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
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

// minSecret is the length from which on a text is looked for as a secret: shorter
// ones are found where they are none.
const minSecret = 8

const concealed = "[redacted]"

// credentials are the secrets that an Authorizer has put on a request, in the
// forms in which an answer could repeat them.
func credentials(before, after http.Header) []string {
	var secrets []string
	add := func(texts ...string) {
		for _, text := range texts {
			quoted, _ := json.Marshal(text) // a text can always be encoded
			for _, form := range []string{text, strings.Trim(string(quoted), `"`)} {
				if len(form) >= minSecret && !slices.Contains(secrets, form) {
					secrets = append(secrets, form)
				}
			}
		}
	}
	for name, values := range after {
		if slices.Equal(values, before[name]) {
			continue
		}
		for _, value := range values {
			scheme, rest, found := strings.Cut(value, " ")
			if !found {
				add(value)
				continue
			}
			add(rest)
			if plain, err := base64.StdEncoding.DecodeString(rest); err == nil && strings.EqualFold(scheme, "Basic") {
				_, password, _ := strings.Cut(string(plain), ":")
				add(string(plain), password)
			}
		}
	}
	return secrets
}

// conceal takes secrets out of an answer that repeats them, as refusals of
// credentials do: nobody behind this room may see them.
func (r *Response) conceal(secrets []string) {
	for _, secret := range secrets {
		if bytes.Contains(r.Body, []byte(secret)) {
			r.Body = bytes.ReplaceAll(r.Body, []byte(secret), []byte(concealed))
		}
		for name, values := range r.Header {
			for i, value := range values {
				if strings.Contains(value, secret) {
					r.Header[name][i] = strings.ReplaceAll(value, secret, concealed)
				}
			}
		}
	}
}
