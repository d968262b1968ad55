package strictjson

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var decided = []string{"active", "exp", "sub", "urn:zitadel:iam:org:project:*:roles"}

func TestParseKeepsMembersInOrderWithTheirText(t *testing.T) {
	object, err := Parse(` { "a" : [1, {"x":"}\"]"}] ,"b":-1.5e3 , "c":"t\u0041" ,"d":null,"e":{},"f":true} `, decided...)
	require.NoError(t, err)
	assert.Equal(t, Object{
		{"a", `[1, {"x":"}\"]"}]`}, {"b", "-1.5e3"}, {"c", `"t\u0041"`}, {"d", "null"}, {"e", "{}"}, {"f", "true"},
	}, object)
	value, ok := object.Get("b")
	assert.True(t, ok)
	assert.Equal(t, "-1.5e3", value)
	_, ok = object.Get("B")
	assert.False(t, ok, "names match exactly")
}

func TestParseRefuses(t *testing.T) {
	for name, row := range map[string]struct{ text, want string }{
		"nothing":                                 {"", "not JSON"},
		"half an object":                          {`{"active":true`, "not JSON"},
		"text after the object":                   {`{} {}`, "not JSON"},
		"an array":                                {`[]`, "another JSON value"},
		"a string":                                {`"active"`, "another JSON value"},
		"bytes that are not UTF-8":                {"{\"sub\":\"\xff\"}", "UTF-8"},
		"a byte order mark":                       {"\ufeff{}", "not JSON"},
		"a decided name twice":                    {`{"active":false,"active":true}`, `"active" once`},
		"a decided name twice, once escaped":      {`{"active":false,"\u0061ctive":true}`, `"active" once`},
		"a decided name in capitals":              {`{"ACTIVE":true}`, `"active", got another spelling`},
		"a decided name in capitals beside it":    {`{"active":false,"Active":true}`, `"active", got another spelling`},
		"a decided name with a long s":            {`{"` + "ſ" + `ub":"1"}`, `"sub", got another spelling`},
		"a decided pattern twice":                 {`{"urn:zitadel:iam:org:project:1:roles":{},"urn:zitadel:iam:org:project:1:roles":{}}`, "once"},
		"a decided pattern in capitals":           {`{"urn:zitadel:iam:org:project:1:ROLES":{}}`, "another spelling"},
		"a decided pattern in another case twice": {`{"urn:zitadel:iam:org:project:a:roles":{},"urn:zitadel:iam:org:project:A:roles":{}}`, "once"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(row.text, decided...)
			assert.ErrorContains(t, err, row.want)
		})
	}
}

func TestParseTakesNamesInMixedCase(t *testing.T) {
	object, err := Parse(`{"keyId":"1"}`, "keyId")
	require.NoError(t, err)
	assert.Equal(t, Object{{Name: "keyId", Value: `"1"`}}, object)
	_, err = Parse(`{"keyid":"1"}`, "keyId")
	assert.ErrorContains(t, err, `"keyId", got another spelling`)
	_, err = Parse(`{"keyId":"1","keyId":"2"}`, "keyId")
	assert.ErrorContains(t, err, `"keyId" once`)
}

func TestParseLeavesOtherNamesAlone(t *testing.T) {
	object, err := Parse(`{"x":1,"X":2,"x":3,"urn:zitadel:iam:org:project:aB:roles":{},"urn:zitadel:iam:org:project:1:2:roles":1,
		"urn:zitadel:iam:org:project:1:2:ROLES":2}`, decided...)
	require.NoError(t, err)
	assert.Len(t, object, 6)
}

func TestErrorsShowNoValue(t *testing.T) {
	for _, text := range []string{`{"active":"hunter2","Active":"hunter2"}`, `hunter2`, `["hunter2"]`} {
		_, err := Parse(text, decided...)
		assert.NotContains(t, err.Error(), "hunter2")
	}
	_, err := Time(`"hunter2"`)
	assert.NotContains(t, err.Error(), "hunter2")
	_, err = Strings(`{"hunter2":1}`)
	assert.NotContains(t, err.Error(), "hunter2")
}

func TestString(t *testing.T) {
	for value, want := range map[string]string{`""`: "", `"a b"`: "a b", `"\"\u00e9\\"`: `"é\`} {
		got, err := String(value)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	for value, want := range map[string]string{
		"1": "a number", "null": "null", "true": "a boolean", "{}": "an object", "[]": "an array", "": "nothing",
	} {
		_, err := String(value)
		assert.EqualError(t, err, "expected a string, got "+want)
	}
}

func TestStrings(t *testing.T) {
	for value, want := range map[string][]string{`"a"`: {"a"}, `[]`: nil, `["a" , "b"]`: {"a", "b"}} {
		got, err := Strings(value)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	for _, value := range []string{"1", "{}", "null", `["a",1]`, `[["a"]]`} {
		_, err := Strings(value)
		assert.Error(t, err, value)
	}
}

// RFC 7519 §2: a NumericDate is a number of seconds, with or without a fraction.
func TestTime(t *testing.T) {
	for value, want := range map[string]int64{"0": 0, "1795337286": 1795337286, "1.9": 1, "-0.5": -1, "1.7e9": 1.7e9, "253402300799": 253402300799} {
		got, err := Time(value)
		require.NoError(t, err)
		assert.Equal(t, time.Unix(want, 0), got)
	}
	for _, value := range []string{"", "null", `"1"`, "true", "{}", "253402300800", "1e300", "1e999", "-1e12", "92233720368547758070"} {
		_, err := Time(value)
		assert.Error(t, err, value)
	}
}

// FuzzParse holds the scanner to encoding/json: what one reads the other reads, member by member.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"active":true,"exp":1}`, `{"a":[{"b":"]}"}],"c":"\\\""}`, `{"urn:zitadel:iam:org:project:1:roles":{"r":{"o":"d"}}}`, `{"ACTIVE":1}`, `[]`, `{"a":1}x`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		object, err := Parse(text, decided...)
		if err != nil {
			return
		}
		dec := json.NewDecoder(strings.NewReader(text))
		_, _ = dec.Token()
		for _, m := range object {
			name, err := dec.Token()
			require.NoError(t, err)
			require.Equal(t, name, m.Name)
			var want, got any
			require.NoError(t, dec.Decode(&want))
			require.NoError(t, json.Unmarshal([]byte(m.Value), &got))
			require.Equal(t, want, got)
			if s, err := String(m.Value); err == nil {
				require.Equal(t, want, s)
			}
			_, _ = Strings(m.Value)
			_, _ = Time(m.Value)
		}
		require.False(t, dec.More())
	})
}
