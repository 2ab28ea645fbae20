package authstore

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
)

// hidden is all that a secret shows when it is printed or logged.
const hidden = "[secret]"

// secret holds a text in a closure, so that nothing that prints what it stands
// in can show it. The zero value is the empty text.
type secret func() string

func conceal(text string) secret { return func() string { return text } }

func (s secret) reveal() string {
	if s == nil {
		return ""
	}
	return s()
}

// String returns a fixed text.
func (s secret) String() string { return hidden }

// GoString returns a fixed text.
func (s secret) GoString() string { return hidden }

// LogValue returns a fixed text.
func (s secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// bag holds named texts of which some are secret. The zero value is empty;
// nobody changes what it reveals.
type bag func() map[string]string

func pack(values map[string]string) bag { return func() map[string]string { return values } }

func (b bag) reveal() map[string]string {
	if b == nil {
		return nil
	}
	return b()
}

// with returns a bag that also holds values, which win.
func (b bag) with(values map[string]string) bag {
	all := maps.Clone(values)
	if all == nil {
		all = map[string]string{}
	}
	for name, text := range b.reveal() {
		if _, ok := all[name]; !ok {
			all[name] = text
		}
	}
	return pack(all)
}

// String returns a fixed text.
func (b bag) String() string { return hidden }

// GoString returns a fixed text.
func (b bag) GoString() string { return hidden }

// LogValue returns a fixed text.
func (b bag) LogValue() slog.Value { return slog.StringValue(hidden) }

// columnPlace names where a column of an authorization is kept, for the Sealer.
func columnPlace(tenant, id, column string) string {
	return tenant + "/authorizations:" + id + ":" + column
}

// seal returns nil for an empty bag.
func (s *Store) seal(place string, b bag) ([]byte, error) {
	values := b.reveal()
	if len(values) == 0 {
		return nil, nil
	}
	plain, err := json.Marshal(values)
	if err != nil {
		return nil, fmt.Errorf("seal %s: %w", place, err)
	}
	return s.o.Sealer.Seal(place, plain), nil
}

func (s *Store) unseal(place string, sealed []byte) (bag, error) {
	if sealed == nil {
		return nil, nil
	}
	plain, err := s.o.Sealer.Open(place, sealed)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", place, err)
	}
	var values map[string]string
	if err := json.Unmarshal(plain, &values); err != nil {
		return nil, fmt.Errorf("open %s: the value is not what was sealed", place)
	}
	return pack(values), nil
}
