// Package strictjson reads the JSON objects that decide about access.
//
// encoding/json matches names in any case and lets the last of two equal names win, so {"active":false,"ACTIVE":true}
// would be read as active. Here names match exactly, and an object in which a name the caller decides on stands twice, or
// in another case, is refused.
package strictjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Object holds the members of one JSON object in their order.
type Object []Member

// Member is one name with its value, still as JSON. Both are substrings of the parsed text where no escape forbids it, so
// an Object costs little beyond the text itself.
type Member struct {
	// Name is the name with its escapes resolved.
	Name string
	// Value is the JSON of the value.
	Value string
}

// Parse reads text as one JSON object in valid UTF-8. The names the caller decides on are given as they are to be
// spelt; in each, one "*" may stand for any text without a colon. A member that differs from such a name only by case, or that repeats it, is an
// error. Errors quote no part of text but those names.
func Parse(text string, decided ...string) (Object, error) {
	if !utf8.ValidString(text) {
		return nil, errors.New("expected JSON in UTF-8, got bytes that are not UTF-8")
	}
	if !json.Valid([]byte(text)) {
		return nil, errors.New("expected a JSON object, got text that is not JSON")
	}
	s := scanner{rest: text}
	if !s.take('{') {
		return nil, errors.New("expected a JSON object, got another JSON value")
	}
	var object Object
	seen := make(map[string]bool)
	folded := make([]string, len(decided))
	for i, pattern := range decided {
		folded[i] = fold(pattern)
	}
	for !s.take('}') {
		s.take(',')
		name, err := String(s.value())
		if err != nil {
			return nil, err
		}
		s.take(':')
		value := s.value()
		canonical := fold(name)
		if i, ok := match(folded, canonical); ok {
			pattern := decided[i]
			if _, exact := match(decided[i:i+1], name); !exact {
				return nil, fmt.Errorf("expected the name %q, got another spelling of it", pattern)
			}
			if seen[canonical] {
				return nil, fmt.Errorf("expected the name %q once, got it twice", pattern)
			}
			seen[canonical] = true
		}
		object = append(object, Member{Name: name, Value: value})
	}
	return object, nil
}

// Get returns the value of the first member with exactly that name.
func (o Object) Get(name string) (value string, ok bool) {
	for _, m := range o {
		if m.Name == name {
			return m.Value, true
		}
	}
	return "", false
}

// String reads a JSON string.
func String(value string) (string, error) {
	if !strings.HasPrefix(value, `"`) {
		return "", errors.New("expected a string, got " + kind(value))
	}
	if !strings.Contains(value, `\`) {
		return value[1 : len(value)-1], nil
	}
	var s string
	err := json.Unmarshal([]byte(value), &s)
	return s, err
}

// Strings reads a JSON string or an array of strings, as "aud" is (RFC 7519 §4.1.3).
func Strings(value string) ([]string, error) {
	if strings.HasPrefix(value, `"`) {
		s, err := String(value)
		return []string{s}, err
	}
	s := scanner{rest: value}
	if !s.take('[') {
		return nil, errors.New("expected a string or an array of strings, got " + kind(value))
	}
	var all []string
	for !s.take(']') {
		s.take(',')
		item, err := String(s.value())
		if err != nil {
			return nil, err
		}
		all = append(all, item)
	}
	return all, nil
}

// maxDate is the last second of the year 9999, which ZITADEL gives to what never ends.
const maxDate = 253402300799

// Time reads a NumericDate (RFC 7519 §2): seconds since 1970, a fraction dropped, at most year 9999.
func Time(value string) (time.Time, error) { return date(value, math.Floor) }

// TimeUp is Time with a fraction rounded up, for nbf: dropping it would let a token in before its time.
func TimeUp(value string) (time.Time, error) { return date(value, math.Ceil) }

func date(value string, round func(float64) float64) (time.Time, error) {
	if value == "" || !strings.ContainsRune("-0123456789", rune(value[0])) {
		return time.Time{}, errors.New("expected a number of seconds, got " + kind(value))
	}
	seconds, err := strconv.ParseFloat(value, 64)
	if err != nil || math.Abs(seconds) > maxDate {
		return time.Time{}, errors.New("expected seconds since 1970, at most year 9999, got a number beyond it")
	}
	return time.Unix(int64(round(seconds)), 0), nil
}

// kind names the type of a JSON value for an error text, without showing the value.
func kind(value string) string {
	if value == "" {
		return "nothing"
	}
	switch value[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

// fold maps every spelling of a name that encoding/json would take for it to one: the Kelvin sign folds to k, too.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			least = min(least, next)
		}
		return unicode.ToLower(least)
	}, name)
}

// match finds the first pattern that the name fits.
func match(patterns []string, name string) (index int, ok bool) {
	for i, pattern := range patterns {
		before, after, wild := strings.Cut(pattern, "*")
		if !wild {
			if name == pattern {
				return i, true
			}
			continue
		}
		if rest, ok := strings.CutPrefix(name, before); ok {
			if middle, ok := strings.CutSuffix(rest, after); ok && !strings.Contains(middle, ":") {
				return i, true
			}
		}
	}
	return 0, false
}

// scanner walks text that is known to be valid JSON.
type scanner struct{ rest string }

func (s *scanner) space() { s.rest = strings.TrimLeft(s.rest, " \t\r\n") }

func (s *scanner) take(c byte) bool {
	s.space()
	if s.rest != "" && s.rest[0] == c {
		s.rest = s.rest[1:]
		return true
	}
	return false
}

// value cuts the next value off and returns it.
func (s *scanner) value() string {
	s.space()
	depth := 0
	for i := 0; i < len(s.rest); i++ {
		switch s.rest[i] {
		case '"':
			for i++; s.rest[i] != '"'; i++ {
				if s.rest[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return s.cut(i + 1)
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 { // a scalar that ends its container
				return s.cut(i)
			}
			if depth--; depth == 0 {
				return s.cut(i + 1)
			}
		case ',', ':', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return s.cut(i)
			}
		}
	}
	return s.cut(len(s.rest))
}

func (s *scanner) cut(n int) string {
	value := s.rest[:n]
	s.rest = s.rest[n:]
	return value
}
