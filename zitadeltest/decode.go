package zitadeltest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// message reads a protobuf message from JSON as ZITADEL's gateway does: unknown fields are ignored, names may be written in camel or
// snake case, and what has the wrong type is told with its place. The first mistake is kept in err; later reads give zero values.
type message struct {
	name   string // as validation errors call it, like AddMachineUserRequest
	fields map[string]field
	source []byte   // the whole body, in which mistakes have their place
	parent *message // the one that this is a field of
	label  string   // which field of it, as validation errors call it, like Metadata[0]
	err    error
}

type field struct {
	raw json.RawMessage
	at  int // where it begins in the source

	again   string // its name where it is given once more
	againAt int
}

func (c *call) message(name string) *message {
	return (&message{name: name, source: c.body}).read(field{raw: c.body})
}

// keep remembers the first mistake, for the messages around this one too.
func (m *message) keep(text string) {
	err := invalidArgument("", text)
	for ; m != nil; m = m.parent {
		if m.err == nil {
			m.err = err
		}
	}
}

// fail tells what is no such message.
func (m *message) fail(format string, args ...any) { m.keep(fmt.Sprintf("proto: "+format, args...)) }

// read takes the message's fields from an object.
func (m *message) read(of field) *message {
	m.fields = map[string]field{}
	body := of.raw
	dec := json.NewDecoder(bytes.NewReader(body))
	if open, _ := dec.Token(); open != json.Delim('{') {
		m.fail("syntax error (%s): unexpected token %s", m.place(of), token(body))
		return m
	}
	for dec.More() {
		keyAt := skip(body, dec, " \t\r\n,")
		key, _ := dec.Token()
		quoted := string(body[keyAt:dec.InputOffset()])
		start := skip(body, dec, " \t\r\n:")
		var raw json.RawMessage
		if dec.Decode(&raw) != nil {
			return m // cannot be: the body was parsed before
		}
		name, _ := key.(string)
		name = camel(name)
		if first, ok := m.fields[name]; ok { // a mistake where the field is known
			first.again, first.againAt = quoted, of.at+keyAt
			m.fields[name] = first
			continue
		}
		m.fields[name] = field{raw: raw, at: of.at + start}
	}
	return m
}

// skip finds where the next value begins after what a decoder has read.
func skip(body []byte, dec *json.Decoder, separators string) int {
	at := int(dec.InputOffset())
	for at < len(body) && strings.IndexByte(separators, body[at]) >= 0 {
		at++
	}
	return at
}

// place is where a field begins, like "line 1:14".
func (m *message) place(f field) string {
	return m.placeAt(f.at)
}

func (m *message) placeAt(at int) string {
	before := m.source[:at]
	line := bytes.Count(before, []byte("\n")) + 1
	return fmt.Sprintf("line %d:%d", line, utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])+1)
}

// token is what stands at the beginning of a value.
func token(raw []byte) string {
	switch {
	case len(raw) == 0:
		return ""
	case raw[0] == '{' || raw[0] == '[':
		return string(raw[:1])
	}
	return string(raw)
}

func camel(name string) string {
	head, tail, more := strings.Cut(name, "_")
	for more {
		var part string
		if part, tail, more = strings.Cut(tail, "_"); part != "" {
			head += strings.ToUpper(part[:1]) + part[1:]
		}
	}
	return head
}

// get finds a field that is there and not null.
func (m *message) get(name string) (field, bool) {
	f, ok := m.fields[name]
	if ok && f.again != "" {
		m.fail("(%s): duplicate field %s", m.placeAt(f.againAt), f.again)
	}
	return f, ok && m.err == nil && string(f.raw) != "null"
}

func (m *message) has(name string) bool { _, ok := m.get(name); return ok }

func (m *message) wrong(kind, name string, f field) {
	m.fail("(%s): invalid value for %s field %s: %s", m.place(f), kind, name, token(f.raw))
}

func (m *message) text(name string) string {
	f, ok := m.get(name)
	if !ok {
		return ""
	}
	var s string
	if json.Unmarshal(f.raw, &s) != nil {
		m.wrong("string", name, f)
	}
	return s
}

func (m *message) flag(name string) bool {
	f, ok := m.get(name)
	if !ok {
		return false
	}
	var b bool
	if json.Unmarshal(f.raw, &b) != nil {
		m.wrong("bool", name, f)
	}
	return b
}

// number takes a number or, as protobuf writes 64-bit ones, a string of digits.
func (m *message) number(name, kind string) int {
	f, ok := m.get(name)
	if !ok {
		return 0
	}
	var n int
	if json.Unmarshal(bytes.Trim(f.raw, `"`), &n) != nil || n < 0 {
		m.wrong(kind, name, f)
		return 0
	}
	return n
}

// bytes takes base64, standard or for URLs, padded or not.
func (m *message) bytes(name string) []byte {
	f, ok := m.get(name)
	if !ok {
		return nil
	}
	var s string
	if json.Unmarshal(f.raw, &s) == nil {
		s = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(s), "=")
		if b, err := base64.RawStdEncoding.DecodeString(s); err == nil {
			return b
		}
	}
	m.wrong("bytes", name, f)
	return nil
}

func (m *message) time(name string) time.Time {
	f, ok := m.get(name)
	if !ok {
		return time.Time{}
	}
	var t time.Time
	if f.raw[0] != '"' {
		m.fail("syntax error (%s): unexpected token %s", m.place(f), token(f.raw))
		return t
	}
	if json.Unmarshal(f.raw, &t) != nil {
		m.fail("(%s): invalid google.protobuf.Timestamp value %s", m.place(f), token(f.raw))
		return time.Time{}
	}
	return t.UTC()
}

// duration takes seconds, like "1.5s", as protobuf writes them.
func (m *message) duration(name string) time.Duration {
	f, ok := m.get(name)
	if !ok {
		return 0
	}
	var s string
	if f.raw[0] != '"' {
		m.fail("syntax error (%s): unexpected token %s", m.place(f), token(f.raw))
		return 0
	}
	d, err := time.Duration(0), json.Unmarshal(f.raw, &s)
	if number, ok := strings.CutSuffix(s, "s"); err == nil && ok && strings.Trim(number, "-.0123456789") == "" {
		d, err = time.ParseDuration(s)
	} else {
		err = errors.New("no seconds")
	}
	if err != nil {
		m.fail("(%s): invalid google.protobuf.Duration value %s", m.place(f), token(f.raw))
		return 0
	}
	return d
}

// enum takes a name or its number and returns the name. The first name is the zero value. A number out of range is kept as it is:
// validation refuses it.
func (m *message) enum(name string, values ...string) string {
	f, ok := m.get(name)
	if !ok {
		return values[0]
	}
	var n int
	if json.Unmarshal(f.raw, &n) == nil {
		if n < 0 || n >= len(values) {
			m.invalid(title(name), "value must be one of the defined enum values")
			return values[0]
		}
		return values[n]
	}
	var s string
	if json.Unmarshal(f.raw, &s) != nil || !slices.Contains(values, s) {
		m.wrong("enum", name, f)
		return values[0]
	}
	return s
}

func (m *message) texts(name string) []string {
	var out []string
	for _, f := range m.list(name) {
		var s string
		if json.Unmarshal(f.raw, &s) != nil {
			m.wrong("string", name, f)
			return nil
		}
		out = append(out, s)
	}
	return out
}

// messages reads a repeated field of messages.
func (m *message) messages(name string) []*message {
	var out []*message
	for i, f := range m.list(name) {
		out = append(out, m.inner(fmt.Sprintf("%s[%d]", title(name), i)).read(f))
	}
	return out
}

// sub reads a field that is a message; without it the message is empty.
func (m *message) sub(name string) *message {
	f, ok := m.get(name)
	if !ok {
		return m.inner(title(name))
	}
	return m.inner(title(name)).read(f)
}

// inner is a field that is a message. Its name is its label unless the caller knows better.
func (m *message) inner(label string) *message {
	return &message{name: label, source: m.source, parent: m, label: label, err: m.err}
}

func (m *message) list(name string) []field {
	f, ok := m.get(name)
	if !ok {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(f.raw))
	if open, _ := dec.Token(); open != json.Delim('[') {
		m.fail("syntax error (%s): unexpected token %s", m.place(f), token(f.raw))
		return nil
	}
	var out []field
	for dec.More() {
		start := skip(f.raw, dec, " \t\r\n,")
		var raw json.RawMessage
		if dec.Decode(&raw) != nil {
			return out // cannot be: the body was parsed before
		}
		out = append(out, field{raw: raw, at: f.at + start})
	}
	return out
}

// invalid tells a broken rule of the message, in the words of protoc-gen-validate: a message within another is told with the one
// around it.
func (m *message) invalid(field, reason string) {
	text := fmt.Sprintf("invalid %s.%s: %s", m.name, field, reason)
	for in := m; in.parent != nil; in = in.parent {
		text = fmt.Sprintf("invalid %s.%s: embedded message failed validation | caused by: %s", in.parent.name, in.label, text)
	}
	m.keep(text)
}

// length asks for a text of so many characters.
func (m *message) length(field, value string, least, most int) {
	if n := utf8.RuneCountInString(value); n < least || n > most {
		if least == 0 {
			m.invalid(field, fmt.Sprintf("value length must be at most %d runes", most))
			return
		}
		m.invalid(field, fmt.Sprintf("value length must be between %d and %d runes, inclusive", least, most))
	}
}

// optional asks for a text of so many characters of a field that is there.
func (m *message) optional(name string, least, most int) {
	if m.has(name) {
		m.length(title(name), m.text(name), least, most)
	}
}

// required asks for a field.
func (m *message) required(name string) {
	if !m.has(name) {
		m.invalid(title(name), "value is required")
	}
}

func title(name string) string { return strings.ToUpper(name[:1]) + name[1:] }
