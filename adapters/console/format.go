package console

import (
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"tandem/adapters/console/identity"
)

// funcs are what the templates call.
func (c *Console) funcs() template.FuncMap {
	return template.FuncMap{
		"link":  c.link,
		"asset": c.assetLink,
		"when":  func(t time.Time) template.HTML { return when(t, c.o.Clock.Now()) },
		"date":  date,
		"exact": exact,
		"count": count, "sentence": sentence, "size": size, "short": short,
	}
}

func (c *Console) assetLink(name string) (string, error) {
	f, ok := c.files[name]
	if !ok {
		return "", fmt.Errorf("no static file %q", name)
	}
	return c.link("static", name) + "?v=" + f.version, nil
}

// when shows a time as people say it, with the exact one beside.
func when(t, now time.Time) template.HTML {
	if t.IsZero() {
		return "–"
	}
	t = t.UTC()
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s">%s</time>`, //nolint:gosec // made of times only
		t.Format(time.RFC3339), t.Format("2 January 2006, 15:04:05 UTC"), ago(t, now)))
}

// sentence begins a text with a capital letter and ends it with a full stop, as
// pages do and errors do not.
func sentence(text string) string {
	r, size := utf8.DecodeRuneInString(text)
	if size == 0 {
		return ""
	}
	if first, _, _ := strings.Cut(text, " "); !strings.Contains(first, ":") { // an address or a field stays as it is
		text = string(unicode.ToUpper(r)) + text[size:]
	}
	if !strings.ContainsAny(text[len(text)-1:], ".!?") && !strings.HasSuffix(text, "…") {
		text += "."
	}
	return text
}

// date shows the day of a time, with the exact time beside.
func date(t time.Time) template.HTML {
	t = t.UTC()
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s">%s</time>`, //nolint:gosec // made of times only
		t.Format(time.RFC3339), t.Format("2 January 2006, 15:04:05 UTC"), t.Format("2 January 2006")))
}

// exact shows a time to the millisecond.
func exact(t time.Time) template.HTML {
	t = t.UTC()
	return template.HTML(fmt.Sprintf(`<time datetime="%s">%s</time>`, //nolint:gosec // made of times only
		t.Format(time.RFC3339Nano), t.Format("2 January 2006, 15:04:05.000 UTC")))
}

// lasted shows how long something took.
func lasted(d time.Duration) string {
	switch {
	case d <= 0:
		return "0 ms"
	case d < time.Millisecond:
		return "under 1 ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	default:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
}

// maxIndent bounds how far pretty moves lines to the right.
const maxIndent = 16

// pretty lays out JSON on lines of its own, even where its end was cut off. What
// is no JSON stays as it is.
func pretty(text string) string {
	if !strings.HasPrefix(text, "{") && !strings.HasPrefix(text, "[") {
		return text
	}
	var b strings.Builder
	depth, quoted := 0, false
	line := func() { b.WriteString("\n" + strings.Repeat("  ", min(depth, maxIndent))) }
	for i := 0; i < len(text); i++ {
		ch := text[i]
		switch {
		case quoted:
			b.WriteByte(ch)
			if ch == '\\' && i+1 < len(text) {
				i++
				b.WriteByte(text[i])
			}
			quoted = ch != '"'
		case ch == '{' || ch == '[':
			b.WriteByte(ch)
			if i+1 < len(text) && text[i+1] == ch+2 { // it is empty: } and ] stand two after { and [
				i++
				b.WriteByte(text[i])
				continue
			}
			depth++
			line()
		case ch == '}' || ch == ']':
			depth = max(0, depth-1)
			line()
			b.WriteByte(ch)
		case ch == ',':
			b.WriteByte(ch)
			line()
		case ch == ':':
			b.WriteString(": ")
		case ch == ' ' || ch == '\n' || ch == '\t' || ch == '\r':
		default:
			b.WriteByte(ch)
			quoted = ch == '"'
		}
	}
	return b.String()
}

func ago(t, now time.Time) string {
	d := now.Sub(t)
	future := d < 0
	if future {
		d = -d
	}
	var text string
	switch {
	case d < 10*time.Second && !future:
		return "just now"
	case d < time.Minute:
		text = count(int(d/time.Second), "second", "seconds")
	case d < time.Hour:
		text = count(int(d/time.Minute), "minute", "minutes")
	case d < 48*time.Hour:
		text = count(int(d/time.Hour), "hour", "hours")
	case d < 90*24*time.Hour:
		text = count(int(d/(24*time.Hour)), "day", "days")
	default:
		return "on " + t.Format("2 January 2006")
	}
	if future {
		return "in " + text
	}
	return text + " ago"
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// daysLeft returns the days until t, a part of one counted as one; 0 when t is
// past.
func daysLeft(t, now time.Time) int {
	return max(0, int((t.Sub(now)+24*time.Hour-1)/(24*time.Hour)))
}

func may(role identity.Role, roles []identity.Role) bool { return slices.Contains(roles, role) }

// htmlPattern writes a Go pattern for the pattern attribute, whose dialect wants
// more escapes within brackets and is anchored by itself; "" when it cannot.
func htmlPattern(source string) string {
	source = strings.TrimSuffix(strings.TrimPrefix(source, "^"), "$")
	source = strings.TrimSuffix(strings.TrimPrefix(source, `\A`), `\z`)
	if goOnly(source) {
		return ""
	}
	var b strings.Builder
	class, first := false, false // within brackets, and at their first sign
	for i := 0; i < len(source); i++ {
		ch, last := source[i], i+1 < len(source) && source[i+1] == ']'
		switch {
		case ch == '\\' && i+1 < len(source):
			b.WriteByte(ch)
			i++
			ch, first = source[i], false
		case !class && ch == '[':
			class, first = true, true
		case class && first && ch == '^':
		case class && ch == ']' && !first:
			class = false
		case class:
			if needsEscape(ch) || ch == '-' && (first || last) {
				b.WriteByte('\\')
			}
			first = false
		}
		b.WriteByte(ch)
	}
	return b.String()
}

// goOnly tells whether a pattern uses what browsers do not know.
func goOnly(source string) bool {
	return strings.Contains(strings.ReplaceAll(source, "(?:", ""), "(?") || strings.Contains(source, "[[:") ||
		strings.Contains(source, `\p`) || strings.Contains(source, `\Q`)
}

// needsEscape tells whether a sign within brackets means something to browsers,
// alone or twice.
func needsEscape(ch byte) bool { return strings.IndexByte("()[]{}/|&!#$%*+,.:;<=>?@^`~", ch) >= 0 }
