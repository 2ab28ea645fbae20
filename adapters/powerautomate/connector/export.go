package connector

import (
	"bytes"
	_ "embed" // the two files
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

//go:embed apiDefinition.swagger.json
var definition []byte

//go:embed apiProperties.json
var properties []byte

// The names under which Power Automate's tools expect the files.
const (
	DefinitionFile = "apiDefinition.swagger.json"
	PropertiesFile = "apiProperties.json"
)

// The places of the files that hold the address of the hub.
const (
	host    = `"host": "localhost"`
	address = `"defaultValue": "https://localhost"`
)

// definable is what a definition may have as its host.
var definable = regexp.MustCompile(`^[A-Za-z0-9._-]+(:[0-9]+)?$`)

// File is one file of the connector. It holds no secret.
type File struct {
	Name string
	Data []byte
}

// Export returns the files of the connector for a hub that is reached under
// publicURL, which new connections are offered as its address; without one it
// is https://localhost, to be changed in each connection. The caller owns the
// data. The error tells an operator what a definition cannot have in publicURL.
func Export(publicURL string) ([]File, error) {
	if publicURL == "" {
		publicURL = "https://localhost"
	}
	u, err := url.Parse(publicURL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || !definable.MatchString(u.Host) {
		return nil, fmt.Errorf("a connector cannot call %q: want https:// and a name or an IPv4 address, an international name in its xn-- form", redacted(u))
	}
	base := u.Scheme + "://" + u.Host + strings.TrimRight(u.EscapedPath(), "/")
	return []File{
		{DefinitionFile, put(definition, host, u.Host)},
		{PropertiesFile, put(properties, address, base)},
	}, nil
}

// redacted writes an address without its password.
func redacted(u *url.URL) string {
	if u == nil {
		return ""
	}
	return u.Redacted()
}

// put returns data with value in place of the text of a member.
func put(data []byte, member, value string) []byte {
	name, _, _ := strings.Cut(member, ": ")
	return bytes.Replace(data, []byte(member), []byte(name+`: "`+value+`"`), 1)
}
