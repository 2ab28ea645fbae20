package mapping_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core/coretest"
	"tandem/core/mapping"
)

func parse(t *testing.T, text string) mapping.File {
	t.Helper()
	f, findings := mapping.Parse("f.yaml", []byte(text))
	require.Empty(t, texts(findings))
	return f
}

func TestDecode(t *testing.T) {
	t.Parallel()
	f := parse(t, `
title: common
text: "007"
count: 0x10
small: -8
share: 1
on: true
wait: 10m
list: [one, 2024-01-02]
map: {k: v}
inner: {n: 1}
inners:
  - n: 2
limit: 7
raw: [any, {thing: 1}]
`)
	var v sample
	require.Empty(t, texts(mapping.Decode(f, &v)))
	require.Equal(t, "common", v.Title)
	require.Equal(t, mapping.Pos{Line: 2, Column: 1}, v.Pos)
	require.Equal(t, "007", v.Text)
	require.Equal(t, 16, v.Count)
	require.Equal(t, int8(-8), v.Small)
	require.InDelta(t, 1.0, v.Share, 0)
	require.True(t, v.On)
	require.Equal(t, 10*time.Minute, v.Wait)
	require.Equal(t, []mapping.Text{
		{Pos: mapping.Pos{Line: 9, Column: 8}, Value: "one"},
		{Pos: mapping.Pos{Line: 9, Column: 13}, Value: "2024-01-02"},
	}, v.List)
	require.Equal(t, map[mapping.Text]mapping.Text{
		{Pos: mapping.Pos{Line: 10, Column: 7}, Value: "k"}: {Pos: mapping.Pos{Line: 10, Column: 10}, Value: "v"},
	}, v.Map)
	require.Equal(t, &inner{mapping.Pos{Line: 11, Column: 8}, 1}, v.Inner)
	require.Equal(t, []inner{{mapping.Pos{Line: 13, Column: 5}, 2}}, v.Inners)
	require.Equal(t, 7, v.Limit.Value)
	require.True(t, v.Limit.Given())
	require.Len(t, v.Raw.Content, 2)

	require.Equal(t, "f.yaml:15:6: here 1", f.At(v.Raw, "here %d", 1).String())
}

func TestDecodeNullIsAbsent(t *testing.T) {
	t.Parallel()
	var v sample
	require.Empty(t, texts(mapping.Decode(parse(t, "text: x\nlist:\nmap: ~\ninner: null\n"), &v)))
	require.Nil(t, v.Inner)
	require.False(t, v.Limit.Given())
}

func TestDecodeFindings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		want []string
	}{
		{"count: 1", []string{`f.yaml:1:1: "text" is missing`}},
		{"text: ''", []string{`f.yaml:1:7: "text" must not be empty`}},
		{"text:", []string{`f.yaml:1:6: "text" must not be empty`}},
		{"[a]", []string{`f.yaml:1:1: the file must be a mapping of keys to values`}},
		{"text: x\ntitel: y\nListe: []\n", []string{
			`f.yaml:2:1: unknown key "titel" (did you mean "title"?)`,
			`f.yaml:3:1: unknown key "Liste" (did you mean "list"?)`,
		}},
		{"text: x\nxylophone: y\nOwn: 1\n", []string{
			`f.yaml:2:1: unknown key "xylophone"`,
			`f.yaml:3:1: unknown key "Own" (did you mean "on"?)`,
		}},
		{"text: 7\ntitle: [x]\ncount: '7'\nsmall: 128\nshare: .inf\non: 'true'\nwait: 10\n", []string{
			`f.yaml:1:7: "text" must be text: put it in quotes, "7"`,
			`f.yaml:2:8: "title" must be text`,
			`f.yaml:3:8: "count" must be a whole number`,
			`f.yaml:4:8: "small" must be a whole number`,
			`f.yaml:5:8: "share" must be a number`,
			`f.yaml:6:5: "on" must be true or false`,
			`f.yaml:7:7: "wait" must be a duration such as 30s, 10m or 24h`,
		}},
		{"text: x\ntitle:\ncount: 1.5\nlist: [a, {b: c}, 3]\nmap: {k: 1}\ninner: x\ninners: {n: 1}\nlimit: x\n", []string{
			`f.yaml:2:7: "title" must be text`,
			`f.yaml:3:8: "count" must be a whole number`,
			`f.yaml:4:11: an entry of "list" must be text`,
			`f.yaml:4:19: an entry of "list" must be text: put it in quotes, "3"`,
			`f.yaml:5:10: "k" must be text: put it in quotes, "1"`,
			`f.yaml:6:8: "inner" must be a mapping of keys to values`,
			`f.yaml:7:9: "inners" must be a list`,
			`f.yaml:8:8: "limit" must be a whole number`,
		}},
		{"text: x\ninners:\n  - {m: 1}\n  -\n", []string{
			`f.yaml:3:5: "n" is missing`,
			`f.yaml:3:6: unknown key "m" (did you mean "n"?)`,
			`f.yaml:4:4: "n" is missing`,
		}},
	} {
		var v sample
		require.Equal(t, c.want, texts(mapping.Decode(parse(t, c.text), &v)), c.text)
	}
	var v sample
	require.Len(t, mapping.Decode(mapping.File{Path: "f.yaml"}, &v), 1)
}

func TestDecodeWords(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"size: small": "", "size: ''": "", "size:": `f.yaml:1:6: "size" must be text`,
		"size: lagre": `f.yaml:1:7: unknown size "lagre" (did you mean "large"?); known: small, large`,
		"size: 7":     `f.yaml:1:7: "size" must be text: put it in quotes, "7"`,
	} {
		var v struct {
			Size mapping.Text `yaml:"size" enum:"small,large"`
		}
		findings := texts(mapping.Decode(parse(t, text), &v))
		if want != "" {
			require.Equal(t, []string{want}, findings, text)
			require.Empty(t, v.Size.Value, text)
			continue
		}
		require.Empty(t, findings, text)
	}
}

func TestDecodeBoundsItsFindings(t *testing.T) {
	t.Parallel()
	text := strings.Builder{}
	for i := range 20_000 {
		fmt.Fprintf(&text, "texts%05d:\n", i)
	}
	coretest.Soon(t, 20*time.Second, "decode", func() {
		var v sample
		findings := mapping.Decode(parse(t, text.String()), &v)
		require.Len(t, findings, 101)
		require.Contains(t, findings[100].Message, "more findings follow")
	})
}

func TestSuggest(t *testing.T) {
	t.Parallel()
	known := []string{"Tenant Admin", "OU Admin", "Service Owner"}
	require.Equal(t, ` (did you mean "Tenant Admin"?)`, mapping.Suggest("tenant_admin", known))
	require.Equal(t, ` (did you mean "Service Owner"?)`, mapping.Suggest("Servcie Owner", known))
	require.Empty(t, mapping.Suggest("Janitor", known))
	require.Empty(t, mapping.Suggest("x", nil))
}
