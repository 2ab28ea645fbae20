package expression

import (
	"slices"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// maxPhone is how long a text may be that is read as a telephone number.
const maxPhone = 64

// phoneWork is what reading a number costs, in units of a run's work.
const phoneWork = 200

// parsePhone reads a telephone number; 00 in front means the same as +. Without
// a region only numbers in international form are read.
func parsePhone(r *run, args []any) (given string, n *phonenumbers.PhoneNumber, err error) {
	region := "ZZ"
	if len(args) == 2 && !isNil(args[1]) {
		text, ok := asText(args[1])
		if !ok {
			return "", nil, wrong("needs a region such as \"CH\", not %s", kindOf(args[1]))
		}
		region = strings.ToUpper(text)
	}
	if isNil(args[0]) {
		return "", nil, nil
	}
	given, ok := scalarText(args[0])
	if !ok {
		return "", nil, wrong("needs a telephone number, not %s", kindOf(args[0]))
	}
	if err := r.spend(phoneWork); err != nil {
		return "", nil, err
	}
	given = strings.TrimSpace(given)
	if len(given) > maxPhone {
		return given, nil, nil
	}
	text := given
	if rest, ok := strings.CutPrefix(text, "00"); ok && region == "ZZ" {
		text = "+" + rest
	}
	parsed, err := phonenumbers.Parse(text, region)
	if err != nil || !phonenumbers.IsPossibleNumber(parsed) {
		return given, nil, nil //nolint:nilerr // no number is an answer, not a fault
	}
	return given, parsed, nil
}

func onlyDigits(s string) string {
	return strings.Map(func(c rune) rune {
		if c < '0' || c > '9' {
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

func phones(r *run, args []any) (any, error) {
	given, n, err := parsePhone(r, args)
	if err != nil {
		return nil, err
	}
	forms := []string{given}
	if n != nil {
		forms = append(forms,
			phonenumbers.Format(n, phonenumbers.E164),
			phonenumbers.Format(n, phonenumbers.INTERNATIONAL),
			phonenumbers.Format(n, phonenumbers.NATIONAL),
			onlyDigits(phonenumbers.Format(n, phonenumbers.NATIONAL)),
			onlyDigits(phonenumbers.Format(n, phonenumbers.E164)))
	}
	list := []any{}
	for _, form := range append(forms, onlyDigits(given)) {
		if form != "" && !slices.Contains(list, any(form)) {
			list = append(list, form)
		}
	}
	return list[:min(len(list), 8)], nil
}
