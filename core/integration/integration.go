package integration

import (
	"regexp"
	"time"

	"tandem/core"
)

// GrantType is a way to obtain a credential.
type GrantType string

// The grant types. The first four are OAuth 2.0 and have a token address.
const (
	AuthorizationCode GrantType = "authorization_code" // an administrator signs in at the provider
	ClientCredentials GrantType = "client_credentials"
	Password          GrantType = "password"   // a machine's key pair, where a provider wants it so
	JWTBearer         GrantType = "jwt_bearer" // an assertion signed with the field private_key
	APIKey            GrantType = "api_key"    // a header of the provider's choice
	Basic             GrantType = "basic"
	Bearer            GrantType = "bearer" // a token that the provider handed out by itself: the field token
)

// OAuth tells whether the grant is of OAuth 2.0, which the tables show as Auth
// Type "oauth2".
func (t GrantType) OAuth() bool {
	switch t {
	case AuthorizationCode, ClientCredentials, Password, JWTBearer:
		return true
	default:
		return false
	}
}

// Integration is an outside system as its file describes it. Addresses and
// other templates hold {name} for the value of a field.
type Integration struct {
	ID          string // the name of its folder
	Title       string
	Description string
	Docs        string // https address of the vendor's documentation
	File        string // slash path in the mappings folder

	Base     string  // template of the base address of its API, without a slash at the end
	Settings []Field // filled in whatever the grant is
	Grants   []Grant // at least one, unless NoAuthorization

	// NoAuthorization says that its operations need none: administrators do
	// not see it in the list.
	NoAuthorization bool

	Limits Limits
	Errors []ErrorRule
	// ErrorTexts are the paths in the JSON body of a refusal, of which the first
	// that leads to a text is shown to whoever made the call.
	ErrorTexts []string
}

// Field is one thing that an administrator fills in.
type Field struct {
	Name      string
	Label     string
	Help      string
	Pattern   *regexp.Regexp // anchored at both ends; nil: anything
	Required  bool
	Secret    bool // never shown again
	Multiline bool
	Default   string
	Options   []Option // one of these, if any
}

// Option is one choice of a field.
type Option struct {
	Value string
	Label string
}

// Grant is one way to authorize an integration.
type Grant struct {
	ID     string
	Type   GrantType
	Title  string
	Help   string
	Fields []Field // beside the integration's settings

	// Templates of the addresses of OAuth. Revoke (RFC 7009) and Issuer (RFC
	// 9207: compared with iss in the answer when it is set) may be empty.
	Authorize string
	Token     string
	Revoke    string
	Issuer    string

	Scopes      []string
	InHeader    bool              // client id and secret go to the token address as Basic, not in the body
	Parameters  map[string]string // templates; added to the authorize address, or to the token call of the other grants
	Audience    string            // of a JWT bearer's assertion; template
	Subject     string            // of the assertion; template
	TokenBase   string            // name of the field of the token answer that is the base address; its host must be one of TokenHosts
	TokenHosts  []string          // patterns such as *.salesforce.com
	TokenLife   time.Duration     // of access tokens when the answer does not tell
	RefreshLife time.Duration     // of refresh tokens when the answer does not tell; 0: unknown

	Header string // of an API key
	Value  string // of that header; template

	Username string // of Basic and Password; templates
	Password string

	Account Account
}

// Account says where the provider tells whose credential it is, which also
// proves that it works.
type Account struct {
	URL   string // template, GET; empty: the provider does not tell
	Field string // path in the JSON answer with dots, for example emails.0
}

// MaxConcurrency is how many calls to an upstream may be in flight, per tenant,
// host and replica.
const MaxConcurrency = 32

// Limits are what the provider allows. They hold per tenant, host and replica:
// the hub does not count over more than that.
type Limits struct {
	RequestsPerMinute int // 0: unknown
	Concurrency       int // calls in flight, at most MaxConcurrency; 0: that
}

// ErrorRule gives an answer of the provider another kind than its status has.
type ErrorRule struct {
	Status int    // 0: any
	Field  string // path in the JSON body with dots, for example 0.errorCode; empty: the status alone
	Equals string // of that field
	Kind   core.Kind
}

// Fields returns the fields of a grant's form: the integration's settings, then
// the grant's own.
func (i *Integration) Fields(g *Grant) []Field {
	return append(append(make([]Field, 0, len(i.Settings)+len(g.Fields)), i.Settings...), g.Fields...)
}

// Grant returns one of the grants by its id; nil when there is none.
func (i *Integration) Grant(id string) *Grant {
	for n := range i.Grants {
		if i.Grants[n].ID == id {
			return &i.Grants[n]
		}
	}
	return nil
}
