package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
	koanfyaml "github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"

	"tandem/core"
	"tandem/core/outbound"
)

// settings are the flags. Each has the same name in the environment
// (--data-dir is TANDEM_DATA_DIR) and in the config file (data-dir). Flags win
// over the environment, the environment over the file.
type settings struct {
	Config           *string `help:"Config file in YAML, with the names of these flags as keys." placeholder:"FILE"`
	Listen           *string `help:"Address for callers (127.0.0.1:8080)." placeholder:"HOST:PORT"`
	AdminListen      *string `help:"Address for /livez, /readyz, /metrics and the admin API (127.0.0.1:8081)." placeholder:"HOST:PORT"`
	DatabaseURL      *string `help:"sqlite:FILE or postgres://... (sqlite:<data dir>/tandem.db)." placeholder:"URL"`
	DataDir          *string `help:"Folder of the database and the master key (data)." placeholder:"DIR"`
	MappingsDir      *string `help:"Folder of mapping files (the samples built in)." placeholder:"DIR"`
	PublicURL        *string `help:"Address under which callers reach the hub (as they called it)." placeholder:"URL"`
	MasterKeyFile    *string `help:"File of the master key, mode 0600 (<data dir>/master.key on SQLite)." placeholder:"FILE"`
	LogLevel         *string `help:"debug, info, warn or error (info)." placeholder:"LEVEL"`
	TLSCertFile      *string `help:"Certificate, to serve https." placeholder:"FILE"`
	TLSKeyFile       *string `help:"Its key." placeholder:"FILE"`
	TrustedProxies   *string `help:"Networks of proxies whose X-Forwarded headers count, comma-separated." placeholder:"CIDR,..."`
	AllowHosts       *string `help:"host:port pairs that callbacks and calls may reach beside public https, comma-separated." placeholder:"HOST:PORT,..."`
	CallbackHosts    *string `help:"Hosts of callbacks of Power Automate and Webex Connect (*.logic.azure.com,*.environment.api.powerplatform.com,*.webexconnect.io)." placeholder:"HOST,..."`
	EntraIssuer      *string `help:"Issuer of Entra ID tokens; may hold {tenantid}. Empty: keys only." placeholder:"URL"`
	EntraAudience    *string `help:"Audiences that Entra ID tokens may have, comma-separated." placeholder:"ID,..."`
	EntraJWKSURL     *string `name:"entra-jwks-url" help:"Keys of the issuer (from its discovery document)." placeholder:"URL"`
	OIDCIssuer       *string `name:"oidc-issuer" help:"Issuer of people who sign in to the console; empty: local accounts only." placeholder:"URL"`
	OIDCClientID     *string `name:"oidc-client-id" help:"The console's client id there; its secret is TANDEM_OIDC_CLIENT_SECRET." placeholder:"ID"`
	Retention        *string `help:"How long ended tasks are kept (720h)." placeholder:"DURATION"`
	UnsafeDurability *string `help:"Start on a database that can lose acknowledged tasks in a power cut: true or false." placeholder:"BOOL"`
}

// config is what the hub runs with.
type config struct {
	Config         string   `koanf:"config"`
	Listen         string   `koanf:"listen"`
	AdminListen    string   `koanf:"admin-listen"`
	DatabaseURL    string   `koanf:"database-url"`
	DataDir        string   `koanf:"data-dir"`
	MappingsDir    string   `koanf:"mappings-dir"`
	PublicURL      string   `koanf:"public-url"`
	MasterKeyFile  string   `koanf:"master-key-file"`
	LogLevel       string   `koanf:"log-level"`
	TLSCertFile    string   `koanf:"tls-cert-file"`
	TLSKeyFile     string   `koanf:"tls-key-file"`
	TrustedProxies []string `koanf:"trusted-proxies"`
	AllowHosts     []string `koanf:"allow-hosts"`
	CallbackHosts  []string `koanf:"callback-hosts"`
	EntraIssuer    string   `koanf:"entra-issuer"`
	EntraAudience  []string `koanf:"entra-audience"`
	EntraJWKSURL   string   `koanf:"entra-jwks-url"`
	OIDCIssuer     string   `koanf:"oidc-issuer"`
	OIDCClientID   string   `koanf:"oidc-client-id"`
	RetentionText  string   `koanf:"retention"`
	UnsafeText     string   `koanf:"unsafe-durability"`

	masterKey  string // TANDEM_MASTER_KEY: a secret, so environment only
	oidcSecret string // TANDEM_OIDC_CLIENT_SECRET: likewise
	proxies    []netip.Prefix
	retention  time.Duration
	unsafe     bool
	unknown    []string // keys of the config file
	shipped    fs.FS    // in place of the samples built in; nil: those
}

func defaults() map[string]any {
	return map[string]any{
		"listen":            "127.0.0.1:8080",
		"admin-listen":      "127.0.0.1:8081",
		"data-dir":          "data",
		"log-level":         "info",
		"callback-hosts":    "*.logic.azure.com,*.environment.api.powerplatform.com,*.webexconnect.io",
		"retention":         "720h",
		"unsafe-durability": "false",
	}
}

// minRetention is above the 24 hours for which events are delivered.
const minRetention = 48 * time.Hour

// load merges flags, environment, file and defaults, and checks the whole. The
// error lists everything that is wrong.
func (p *program) load() (*config, error) {
	names := settingNames()
	env, flags := map[string]any{}, map[string]any{}
	given := reflect.ValueOf(p.given).Elem()
	for i, name := range names {
		if v := p.getenv(envName(name)); v != "" {
			env[name] = v
		}
		if f := given.Field(i); !f.IsNil() {
			flags[name] = f.Elem().String()
		}
	}
	k := koanf.New("\x00") // no nesting: a dot in a key is a dot
	_ = k.Load(confmap.Provider(defaults(), ""), nil)
	var unknown []string
	var err error
	path, _ := env["config"].(string)
	if f, ok := flags["config"].(string); ok {
		path = f
	}
	if path != "" {
		if unknown, err = loadFile(k, path, names); err != nil {
			return nil, err
		}
	}
	_ = k.Load(confmap.Provider(env, ""), nil)
	_ = k.Load(confmap.Provider(flags, ""), nil)
	var c config
	err = k.UnmarshalWithConf("", &c, koanf.UnmarshalConf{
		DecoderConfig: &mapstructure.DecoderConfig{TagName: "koanf", WeaklyTypedInput: true, DecodeHook: splitList},
	})
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	c.unknown, c.masterKey, c.oidcSecret = unknown, p.getenv("TANDEM_MASTER_KEY"), p.getenv("TANDEM_OIDC_CLIENT_SECRET")
	if c.DatabaseURL == "" {
		c.DatabaseURL = "sqlite:" + filepath.Join(c.DataDir, "tandem.db")
	}
	return &c, c.validate()
}

// splitList reads a list from a text with commas.
func splitList(from, to reflect.Type, value any) (any, error) {
	if from.Kind() != reflect.String || to != reflect.TypeFor[[]string]() {
		return value, nil
	}
	var list []string
	for item := range strings.SplitSeq(reflect.ValueOf(value).String(), ",") {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	return list, nil
}

// loadFile reads the config file and returns a complaint for each key that is no
// setting.
func loadFile(k *koanf.Koanf, path string, names []string) (unknown []string, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("config file: %w", err)
	}
	if err := k.Load(rawbytes.Provider(text), koanfyaml.Parser()); err != nil {
		return nil, fmt.Errorf("config file %s: %w", path, err)
	}
	for _, key := range k.Keys() {
		if !slices.Contains(names, key) {
			unknown = append(unknown, fmt.Sprintf("%s: unknown key %q; the keys are the names of the flags", path, key))
		}
	}
	return unknown, nil
}

// settingNames are the names of all settings, in the order of settings.
func settingNames() []string {
	t := reflect.TypeFor[config]()
	names := make([]string, 0, t.NumField())
	for i := range t.NumField() {
		if name := t.Field(i).Tag.Get("koanf"); name != "" {
			names = append(names, name)
		}
	}
	return names
}

func envName(setting string) string {
	return "TANDEM_" + strings.ToUpper(strings.ReplaceAll(setting, "-", "_"))
}

// validate returns one error with all complaints.
func (c *config) validate() error {
	postgres := strings.HasPrefix(c.DatabaseURL, "postgres://") || strings.HasPrefix(c.DatabaseURL, "postgresql://")
	var proxyErr, retentionErr, unsafeErr error
	c.retention, retentionErr = time.ParseDuration(c.RetentionText)
	c.unsafe, unsafeErr = strconv.ParseBool(c.UnsafeText)
	_, allowErr := outbound.New(outbound.Options{AllowHosts: c.AllowHosts})
	_, hostsErr := outbound.NewHosts(c.CallbackHosts, nil)
	for _, text := range c.TrustedProxies {
		prefix, err := parsePrefix(text)
		if err != nil {
			proxyErr = err
			break
		}
		c.proxies = append(c.proxies, prefix)
	}
	table := []struct {
		bad     bool
		message string
	}{
		{badAddress(c.Listen), "listen: want host:port"},
		{badAddress(c.AdminListen), "admin-listen: want host:port"},
		{c.Listen == c.AdminListen && !strings.HasSuffix(c.Listen, ":0"), "listen and admin-listen: want two addresses"},
		{!postgres && !strings.HasPrefix(c.DatabaseURL, "sqlite:"), "database-url: want sqlite:<file> or postgres://..."},
		{c.DataDir == "", "data-dir: must not be empty"},
		{!slices.Contains([]string{"debug", "info", "warn", "error"}, c.LogLevel), "log-level: want debug, info, warn or error"},
		{(c.TLSCertFile == "") != (c.TLSKeyFile == ""), "tls-cert-file and tls-key-file: want both or neither"},
		{c.PublicURL != "" && badURL(c.PublicURL), "public-url: want http(s)://host[:port][/path]"},
		{proxyErr != nil, fmt.Sprintf("trusted-proxies: %v", proxyErr)},
		{c.masterKey != "" && c.MasterKeyFile != "", "master-key-file and TANDEM_MASTER_KEY: want one of them"},
		{postgres && c.masterKey == "" && c.MasterKeyFile == "", "master-key-file: mandatory on PostgreSQL, where replicas share one key (make one with: openssl rand -hex 32)"},
		{c.EntraIssuer != "" && len(c.EntraAudience) == 0, "entra-audience: mandatory with entra-issuer"},
		{c.EntraIssuer == "" && (len(c.EntraAudience) > 0 || c.EntraJWKSURL != ""), "entra-issuer: mandatory with entra-audience and entra-jwks-url"},
		{retentionErr != nil || c.retention < minRetention, fmt.Sprintf("retention: want a duration of at least %s, such as 720h", minRetention)},
		{unsafeErr != nil, "unsafe-durability: want true or false"},
		{allowErr != nil, fmt.Sprintf("allow-hosts: %v", allowErr)},
		{hostsErr != nil, fmt.Sprintf("callback-hosts: %v", hostsErr)},
		{badHTTPS(strings.ReplaceAll(c.EntraIssuer, "{tenantid}", "x")), "entra-issuer: want an https address"},
		{badHTTPS(c.EntraJWKSURL), "entra-jwks-url: want an https address"},
		{badHTTPS(c.OIDCIssuer), "oidc-issuer: want an https address"},
		{(c.OIDCIssuer == "") != (c.OIDCClientID == ""), "oidc-issuer and oidc-client-id: want both or neither"},
		{c.OIDCIssuer == "" && c.oidcSecret != "", "oidc-issuer: mandatory with TANDEM_OIDC_CLIENT_SECRET"},
		{missing(c.TLSCertFile), "tls-cert-file: no such file"},
		{missing(c.TLSKeyFile), "tls-key-file: no such file"},
	}
	var errs []error
	for _, message := range c.unknown {
		errs = append(errs, errors.New("configuration: "+message))
	}
	for _, row := range table {
		if row.bad {
			errs = append(errs, errors.New("configuration: "+row.message))
		}
	}
	return errors.Join(errs...)
}

// warnings tell what works, but not for the console.
func (c *config) warnings() []string {
	u, err := url.Parse(c.PublicURL)
	if err != nil || c.PublicURL == "" {
		return nil
	}
	switch {
	case u.Scheme == "http" && !core.Loopback(u.Hostname()):
		return []string{"public-url is plain http: the console works over https only"}
	case u.Scheme == "https" && c.TLSCertFile == "" && len(c.TrustedProxies) == 0:
		return []string{"public-url is https, and there is neither a certificate nor a proxy in trusted-proxies: the console will take every request for plain http and refuse it"}
	}
	return nil
}

func parsePrefix(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return prefix, fmt.Errorf("%q is neither an address nor a network", text)
	}
	return prefix, nil
}

func missing(file string) bool {
	if file == "" {
		return false
	}
	_, err := os.Stat(file)
	return err != nil
}

func badAddress(text string) bool {
	_, port, err := net.SplitHostPort(text)
	return err != nil || port == ""
}

// badHTTPS tells whether a setting that is given is no https address.
func badHTTPS(text string) bool {
	return text != "" && (badURL(text) || !strings.HasPrefix(text, "https://"))
}

func badURL(text string) bool {
	u, err := url.Parse(text)
	return err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || strings.ContainsAny(text, " \t")
}
