package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"tandem/core"
)

type inner struct {
	Name  string `json:"name"`
	Count int8   `json:"count"`
}

type base struct {
	Origin string `json:"origin"`
}

type sample struct {
	base

	ServiceUPN string                      `json:"serviceUpn"`
	Config     struct{ Services []string } `json:"config"`
	Items      []inner                     `json:"items"`
	ByName     map[string]inner            `json:"byName"`
	Rate       float64                     `json:"rate"`
	On         *bool                       `json:"on"`
	At         time.Time                   `json:"at"`
	Raw        json.RawMessage             `json:"raw"`
	Any        any                         `json:"any"`
	Self       *sample                     `json:"self"`
	Kind       core.Kind                   `json:"kind"`
	Text       int                         `json:"text,string"`
	Hidden     string                      `json:"-"`
	Number     json.Number                 `json:"number"`
	Own        own                         `json:"own"`
	Bytes      []byte                      `json:"bytes"`
}

// own is a type with its own form and its own words.
type own struct{}

func (*own) UnmarshalJSON(data []byte) error {
	if string(data) != `"ok"` {
		return core.InvalidField("own", "expected ok")
	}
	return nil
}

func TestUnmarshalStrictAccepts(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{}`, ` { } `, `{"unknown":1,"other":{"a":[1,2,{}]}}`,
		`{"serviceUpn":"a","rate":-1.5e3,"on":true,"at":"2026-03-01T12:00:00Z","kind":"invalid","origin":"x"}`,
		`{"serviceUpn":null,"items":null,"on":null,"at":null,"own":"ok","self":null}`,
		`{"items":[{"name":"a","count":1},{"name":"a"}],"byName":{"A":{"name":"x"},"b":{}}}`,
		`{"config":{"Services":["a","b"]},"self":{"self":{"serviceUpn":"x"}}}`,
		`{"raw":{"Any":[{}]},"any":[1,"a",null],"text":"5","number":12.5,"bytes":"YQ=="}`,
		`{"s\u0065rviceUpn":"a\ud83d\ude00\n"}`, `{"Hidden":"x"}`,
		"{\"\u00e9\":1,\"e\":2}",
		strings.Repeat(`{"self":`, 63) + `{}` + strings.Repeat(`}`, 63),
		`{"any":[` + strings.Repeat("1,", maxElements-2) + `1]}`,
	} {
		var v, plain sample
		require.NoError(t, UnmarshalStrict([]byte(text), &v), clip(text))
		require.NoError(t, json.Unmarshal([]byte(text), &plain))
		require.Equal(t, plain, v)
	}
	var list []int
	require.NoError(t, UnmarshalStrict([]byte(`[1,2]`), &list))
	var anything any
	require.NoError(t, UnmarshalStrict([]byte(`null`), &anything))
}

func TestUnmarshalStrictRefuses(t *testing.T) {
	t.Parallel()
	many := func(format string) string {
		var b strings.Builder
		for i := range 100 {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	for _, tc := range []struct{ text, field, message string }{
		{``, "body", "got the end of the document"},
		{`null`, "body", "expected an object, got null"},
		{`[]`, "body", "expected an object, got an array"},
		{`{} {}`, "body", "expected the end of the document (line 1, column 4, byte 3)"},
		{"{\n  \"rate\": 1,\n}", "body", "expected a key in quotation marks (line 3, column 1, byte 15)"},
		{`{"a":1,}`, "body", "expected a key"},
		{`{"any":[1,]}`, "any[1]", "expected a value"},
		{`{"any":[1 2]}`, "any", "expected ',' or ']'"},
		{`{"a" 1}`, "body", "expected ':'"},
		{`{"a":tru}`, "a", "expected true"},
		{`{"a":01}`, "body", "expected ',' or '}'"},
		{`{"a":1.}`, "a", "expected a digit"},
		{`{"a":1e}`, "a", "expected a digit"},
		{`{"a":-}`, "a", "expected a value"},
		{`{"a":+1}`, "a", "expected a value"},
		{`{"a":NaN}`, "a", "expected a value"},
		{`{"a":'b'}`, "a", "expected a value"},
		{`{"a":"b`, "a", "expected the end of the string"},
		{"{\"a\":\"b\x01\"}", "a", "control characters"},
		{"{\"a\":\"b\nc\"}", "a", "control characters"},
		{`{"a":"\x"}`, "a", "expected a valid escape"},
		{`{"a":"\u12g4"}`, "a", "expected a valid escape"},
		{"{\"a\":\"\xff\"}", "body", "expected UTF-8"},
		{"\xef\xbb\xbf{}", "body", "expected an object"},
		{"\xff\xfe{\x00}\x00", "body", "expected UTF-8"},
		{`{"serviceUpn":1}`, "serviceUpn", "expected a string, got a number"},
		{`{"config":{"Services":["a",{}]}}`, "config.Services[1]", "expected a string, got an object"},
		{`{"config":{"Services":[["a"]]}}`, "config.Services[0]", "expected a string, got an array"},
		{`{"items":[{"name":true}]}`, "items[0].name", "expected a string, got a boolean"},
		{`{"items":{}}`, "items", "expected an array, got an object"},
		{`{"byName":{"a":{"count":"1"}}}`, "byName.a.count", "expected a whole number, got a string"},
		{`{"items":[{"count":1.5}]}`, "items[0].count", "expected a whole number"},
		{`{"items":[{"count":1000}]}`, "items.count", "expected another value, got number 1000"},
		{`{"rate":"1"}`, "rate", "expected a number, got a string"},
		{`{"on":"true"}`, "on", "expected a boolean, got a string"},
		{`{"at":"yesterday"}`, "at", "expected a time as in RFC 3339"},
		{`{"kind":[]}`, "kind", "expected a string, got an array"},
		{`{"origin":1}`, "origin", "expected a string, got a number"},
		{`{"text":5}`, "", ""},
		{`{"own":1}`, "own", "expected ok"},
		{`{"serviceUpn":"a","serviceUpn":"b"}`, "serviceUpn", "expected one key of this name"},
		{`{"x":1,"X":2}`, "X", "expected one key of this name"},
		{`{"x":1,"\u0058":2}`, "X", "expected one key of this name"},
		{`{"k":1,"` + "\u212a" + `":2}`, "\u212a", "expected one key of this name"},
		{`{"any":{"s":1,"` + "\u017f" + `":2}}`, "any.\u017f", "expected one key of this name"},
		{`{` + many(`"k%d":1,`) + `"K57":1}`, "K57", "expected one key of this name"},
		{strings.Repeat(`{"q":1,"r":2,"x":`, 50) + `{"a":1,"b":2,"A":3}` + strings.Repeat(`}`, 50), "", "expected one key of this name"},
		{`{` + many(`"k%d":1,`) + `"k0":1}`, "k0", "expected one key of this name"},
		{`{"ServiceUpn":"a"}`, "ServiceUpn", "expected the spelling serviceUpn"},
		{`{"\u0053erviceUpn":"a"}`, "ServiceUpn", "expected the spelling serviceUpn"},
		{`{"\u017ferviceUpn":"a"}`, "\u017ferviceUpn", "expected the spelling serviceUpn"},
		{`{"self":{"Origin":"a"}}`, "self.Origin", "expected the spelling origin"},
		{`{"items":[{},{"Name":"a"}]}`, "items[1].Name", "expected the spelling name"},
		{strings.Repeat(`{"self":`, 64) + `{}` + strings.Repeat(`}`, 64), "", "expected at most 64 levels"},
		{strings.Repeat(`[`, 100_000), "", "expected an object, got an array"},
		{`{"any":` + strings.Repeat(`[`, 100_000), "", "expected at most 64 levels"},
		{`{"any":[` + strings.Repeat("1,", maxElements-1) + `1]}`, "any[9999]", "expected at most 10000 elements"},
		{`{"` + strings.Repeat("é", 500) + `":1,}`, "body", "expected a key"},
		{`{"` + strings.Repeat("é", 500) + `":x}`, strings.Repeat("é", 100) + "...", "expected a value"},
	} {
		var v sample
		err := UnmarshalStrict([]byte(tc.text), &v)
		require.Error(t, err, clip(tc.text))
		var e *core.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, core.Invalid, e.Kind)
		require.Len(t, e.Details, 1)
		if tc.field != "" {
			require.Equal(t, tc.field, e.Details[0].Field, clip(tc.text))
		}
		require.Contains(t, e.Details[0].Message, tc.message, clip(tc.text))
		require.Less(t, len(e.Message), 600)
	}
}

func TestDecodeJSON(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		body, media string
		status      int // 0: accepted
		optional    bool
		found       bool
	}{
		{`{"name":"a"}`, "application/json", 0, false, true},
		{`{"name":"a"}`, "application/json; charset=UTF-8", 0, false, true},
		{`{"name":"a"}`, "Application/JSON", 0, false, true},
		{`{"name":"a"}`, "application/merge-patch+json", 0, false, true},
		{`{"name":"a"}`, "", 0, false, true},
		{`{"name":"a"}`, "application/json; charset=utf-16", 415, false, false},
		{`{"name":"a"}`, "text/json", 415, false, false},
		{`{"name":"a"}`, "text/plain", 415, false, false},
		{`{"name":"a"}`, "multipart/form-data; boundary=x", 415, false, false},
		{`{"name":"a"}`, "application/json, text/plain", 415, false, false},
		{`{"name":1}`, "application/json", 400, false, false},
		{``, "text/plain", 400, false, false},
		{``, "", 0, true, false},
		{" \r\n", "application/json", 0, true, false},
		{`{"name":"a"}`, "application/json", 0, true, true},
		{`{"name":"a"}`, "text/plain", 415, true, false},
	} {
		r := httptest.NewRequest("POST", "/", strings.NewReader(tc.body))
		if tc.media != "" {
			r.Header.Set("Content-Type", tc.media)
		}
		c := echo.New().NewContext(r, httptest.NewRecorder())
		var v inner
		var err error
		found := tc.found
		if tc.optional {
			found, err = DecodeOptionalJSON(c, &v)
		} else {
			err = DecodeJSON(c, &v)
		}
		if tc.status != 0 {
			_, code := explain(err)
			require.Equal(t, tc.status, code, tc)
			continue
		}
		require.NoError(t, err, tc)
		require.Equal(t, tc.found, found)
		if found {
			require.Equal(t, "a", v.Name)
		}
		data, err := ReadBody(c) // once more: the handler wants the hash
		require.NoError(t, err)
		require.Equal(t, tc.body, string(data))
	}
	r := httptest.NewRequest("POST", "/", strings.NewReader("{}"))
	r.Header["Content-Type"] = []string{"application/json", "text/plain"}
	require.Error(t, DecodeJSON(echo.New().NewContext(r, httptest.NewRecorder()), &inner{}))
	r = httptest.NewRequest("POST", "/", strings.NewReader("{}"))
	r.ContentLength = 5 // cut short
	_, err := ReadBody(echo.New().NewContext(r, httptest.NewRecorder()))
	_, code := explain(err)
	require.Equal(t, http.StatusBadRequest, code)
}

func TestUnmarshalStrictCostsNothing(t *testing.T) {
	data := []byte(`{"serviceUpn":"support@contoso.example","items":[{"name":"a","count":1}],"self":{"rate":1.5}}`)
	p := planOf(reflect.TypeFor[*sample]())
	require.Zero(t, testing.AllocsPerRun(100, func() {
		s := scanner{data: data}
		if s.document(p) != nil {
			panic("refused")
		}
	}))
}

func FuzzUnmarshalStrict(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"serviceUpn":"a","items":[{"name":"a"}]}`, `{"a":1,"A":2}`, `{"at":"2026-03-01T12:00:00Z"}`, `[1e5,-0.1]`,
		`{"\u0061":"\ud800"}`, `{"raw":{},"own":"ok"}`, `{"byName":{"a":null}}`, `{"text":"5"}`, `nullx`, `{"Rate":1}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var v, plain sample
		if err := UnmarshalStrict(data, &v); err != nil {
			require.Equal(t, core.Invalid, core.KindOf(err))
		} else {
			require.NoError(t, json.Unmarshal(data, &plain))
			require.Equal(t, plain, v)
		}
		var free any
		if UnmarshalStrict(data, &free) == nil {
			require.NoError(t, json.Unmarshal(data, &free))
		} else if json.Valid(data) {
			_, err := json.Marshal(free)
			require.NoError(t, err)
		}
	})
}

func BenchmarkUnmarshalStrict(b *testing.B) {
	data := []byte(`{"serviceUpn":"support@contoso.example","items":[{"name":"a","count":1},{"name":"b"}],"self":{"rate":1.5},"any":{"x":[1,2,3]}}`)
	b.Run("strict", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var v sample
			_ = UnmarshalStrict(data, &v)
		}
	})
	b.Run("plain", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var v sample
			_ = json.Unmarshal(data, &v)
		}
	})
}
