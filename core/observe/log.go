package observe

import (
	"encoding"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// NewLogger returns a logger that writes one line of JSON a record, with times
// in UTC and without secrets: attributes whose key says that they are secret
// are replaced, and all other text (messages, errors, groups, structs) is
// cleaned by Redact and cut at 8 KB. Level is debug, info (also when empty),
// warn or error; the LevelVar changes it at run time. The logger may be used
// from several goroutines at once.
func NewLogger(w io.Writer, level string) (*slog.Logger, *slog.LevelVar, error) {
	var v slog.LevelVar
	if level != "" {
		if err := v.UnmarshalText([]byte(level)); err != nil {
			return nil, nil, fmt.Errorf("log level %q: want debug, info, warn or error", level)
		}
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: &v, ReplaceAttr: clean})), &v, nil
}

// clean is the handler's ReplaceAttr: slog calls it for every attribute that is
// no group, the message included, with the value resolved.
func clean(groups []string, a slog.Attr) slog.Attr {
	if secretKey(a.Key) {
		return slog.String(a.Key, redacted)
	}
	for _, g := range groups {
		if secretKey(g) {
			return slog.String(a.Key, redacted)
		}
	}
	switch a.Value.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(Redact(a.Value.String()))
	case slog.KindTime:
		a.Value = slog.TimeValue(a.Value.Time().UTC())
	case slog.KindAny:
		a.Value = cleanAny(a.Value.Any())
	}
	return a
}

// cleanAny turns a value of any type into one without secrets. A value whose
// own methods fail must not cost the record, or the process.
func cleanAny(v any) (out slog.Value) {
	defer func() {
		if recover() != nil {
			out = slog.StringValue("!PANIC in " + fmt.Sprintf("%T", v))
		}
	}()
	switch v := v.(type) {
	case nil, slog.Level:
		return slog.AnyValue(v)
	case *slog.Source:
		return slog.AnyValue(v)
	case error:
		return slog.StringValue(Redact(v.Error()))
	case fmt.Stringer:
		return slog.StringValue(Redact(v.String()))
	case []byte:
		return slog.StringValue(Redact(string(v)))
	case encoding.TextMarshaler:
		text, err := v.MarshalText()
		if err != nil {
			return slog.StringValue("!ERROR in " + fmt.Sprintf("%T", v))
		}
		return slog.StringValue(Redact(string(text)))
	}
	data, err := json.Marshal(v)
	if err != nil {
		return slog.StringValue(Redact(fmt.Sprintf("%+v", v)))
	}
	var plain any
	if len(data) > maxValue || json.Unmarshal(data, &plain) != nil {
		return slog.StringValue(Redact(string(data)))
	}
	return slog.AnyValue(walk(plain))
}

// walk cleans what JSON made of a value.
func walk(v any) any {
	switch v := v.(type) {
	case string:
		return Redact(v)
	case []any:
		for i := range v {
			v[i] = walk(v[i])
		}
	case map[string]any:
		for k := range v {
			if secretKey(k) {
				v[k] = redacted
			} else {
				v[k] = walk(v[k])
			}
		}
	}
	return v
}

// secretWords anywhere in a key make its value a secret.
var secretWords = []string{
	"authorization", "token", "secret", "password", "passwd", "passphrase", "cookie", "credential",
	"signature", "callback", "assertion", "verifier", "apikey", "bearer",
}

// secretKey tells whether a key names a secret: it holds one of the words, is
// sig, or ends in key (api_key, X-Api-Key, masterKey; not keys or keyId).
func secretKey(key string) bool {
	k := strings.ToLower(key)
	if k == "sig" || strings.HasSuffix(k, "_sig") || strings.HasSuffix(k, "key") || k == "pwd" {
		return true
	}
	for _, w := range secretWords {
		if strings.Contains(k, w) {
			return true
		}
	}
	return false
}
