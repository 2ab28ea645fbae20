package expression

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/nyaruka/phonenumbers"
)

// maxPhone is how long a text may be that is read as a telephone number.
const maxPhone = 64

// phoneWork is what reading a number costs, in units of a run's work.
const phoneWork = 200

// maxForms is how many ways of writing a number are tried.
const maxForms = 12

// parsePhone reads a telephone number, which may stand in an address of SIP or
// tel; given is what is left without that. A region may be nil or empty.
func parsePhone(r *run, args []any) (given string, n *phonenumbers.PhoneNumber, err error) {
	region := ""
	if len(args) == 2 && !isNil(args[1]) {
		text, ok := asText(args[1])
		if !ok {
			return "", nil, wrong("needs a region such as \"CH\", not %s", kindOf(args[1]))
		}
		region = strings.ToUpper(strings.TrimSpace(text))
	}
	if isNil(args[0]) {
		return "", nil, nil
	}
	given, ok := Text(args[0])
	if !ok {
		return "", nil, wrong("needs a telephone number, not %s", kindOf(args[0]))
	}
	if err := r.spend(phoneWork + len(given)/4); err != nil {
		return "", nil, err
	}
	if given = subscriber(given); len(given) > maxPhone {
		return given, nil, nil
	}
	return given, readPhone(given, region), nil
}

// extension is what stands behind a number to which nobody is called back.
var extension = regexp.MustCompile(`(?i)[\s,;]*(?:ext\.?|x|#)\s*\d{1,7}\s*$`)

// subscriber takes off what an address has around its number: name, scheme, host
// and parameters; and an extension.
func subscriber(text string) string {
	if _, rest, ok := strings.Cut(text, "<"); ok {
		text, _, _ = strings.Cut(rest, ">")
	}
	text = strings.TrimSpace(text)
	if scheme, rest, ok := strings.Cut(text, ":"); ok && slices.Contains([]string{"sip", "sips", "tel"}, strings.ToLower(scheme)) {
		text = rest
		if plain, err := url.PathUnescape(text); err == nil {
			text = plain
		}
	}
	text, _, _ = strings.Cut(text, "@")
	text, _, _ = strings.Cut(text, ";")
	return strings.TrimSpace(extension.ReplaceAllString(text, ""))
}

// readPhone reads a number of a region, or in international form. Networks also
// hand over numbers whose country code has no + before it: those are taken only
// when there is such a number.
func readPhone(text, region string) *phonenumbers.PhoneNumber {
	const none = "ZZ" // the region of numbers that say theirs
	number := parsed(text, cmp.Or(region, none))
	if number != nil && (strings.HasPrefix(text, "+") || phonenumbers.IsValidNumber(number)) {
		return number
	}
	if rest, ok := strings.CutPrefix(text, "00"); ok {
		if n := parsed("+"+rest, none); n != nil {
			return n
		}
	}
	digits := onlyDigits(text)
	if len(digits) >= 11 && len(digits) <= 15 && digits[0] != '0' && !hasLetter(text) {
		if n := parsed("+"+digits, none); n != nil && phonenumbers.IsValidNumber(n) {
			return n
		}
	}
	return number
}

// parsed is the number that a text may be, nil for none.
func parsed(text, region string) *phonenumbers.PhoneNumber {
	n, err := phonenumbers.Parse(text, region)
	if err != nil || !phonenumbers.IsPossibleNumber(n) {
		return nil
	}
	n.Extension = nil // nobody is found by it
	return n
}

func hasLetter(s string) bool { return strings.ContainsFunc(s, unicode.IsLetter) }

func onlyDigits(s string) string {
	return strings.Map(func(c rune) rune {
		if notDigit(c) {
			return -1
		}
		return c
	}, s)
}

func digits(r *run, args []any) (any, error) {
	if isNil(args[0]) {
		return nil, nil //nolint:nilnil // nothing stays nothing
	}
	return texts(func(_ *run, s []string) (any, error) { return onlyDigits(s[0]), nil })(r, args)
}

func national(r *run, args []any) (any, error) {
	given, n, err := parsePhone(r, args)
	switch {
	case err != nil || isNil(args[0]):
		return nil, err
	case n == nil:
		return onlyDigits(given), nil
	}
	return phonenumbers.GetNationalSignificantNumber(n), nil
}

func e164(r *run, args []any) (any, error) {
	_, n, err := parsePhone(r, args)
	if err != nil || n == nil {
		return nil, err
	}
	return phonenumbers.Format(n, phonenumbers.E164), nil
}

// phones gives the ways in which a number may be stored, the most exact first.
// What holds letters is no number but says that there is none (anonymous).
func phones(r *run, args []any) (any, error) {
	given, n, err := parsePhone(r, args)
	if err != nil {
		return nil, err
	}
	list := []any{}
	if hasLetter(given) {
		return list, nil
	}
	forms := []string{given}
	if n != nil {
		forms = append(forms, written(n)...)
	}
	for _, form := range append(forms, onlyDigits(given)) {
		if form != "" && !slices.Contains(list, any(form)) {
			list = append(list, form)
		}
	}
	return list[:min(len(list), maxForms)], nil
}

// written are the usual ways to write a number.
func written(n *phonenumbers.PhoneNumber) []string {
	e164 := phonenumbers.Format(n, phonenumbers.E164)
	international := phonenumbers.Format(n, phonenumbers.INTERNATIONAL)
	national := phonenumbers.Format(n, phonenumbers.NATIONAL)
	country, _, _ := strings.Cut(international, " ")
	groups := strings.FieldsFunc(national, notDigit)
	all := strings.FieldsFunc(international, notDigit)
	forms := []string{
		e164, international, national, onlyDigits(national), e164[1:],
		strings.Join(groups, "-"), strings.Join(groups, "."), "+" + strings.Join(all, "-"),
	}
	if country == "+1" {
		return append(forms, "+1 "+national, "+"+strings.Join(all, " "), strings.Join(all, "-"))
	}
	if rest, ok := strings.CutPrefix(national, "0"); ok && !strings.HasPrefix(phonenumbers.GetNationalSignificantNumber(n), "0") {
		forms = append(forms, country+" (0)"+rest)
	}
	return append(forms, "00"+e164[1:], "00"+international[1:])
}

func notDigit(c rune) bool { return c < '0' || c > '9' }
