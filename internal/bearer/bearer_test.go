package bearer_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/postern-go/postern/internal/bearer"
)

// b64token of RFC 6750 §2.1.
var b64token = regexp.MustCompile(`\A[A-Za-z0-9\-._~+/]+=*\z`)

var tokens = map[string]struct {
	token string
	want  string // of the error, or empty
}{
	"letters, digits and all the rest": {"azAZ09-._~+/==", ""},
	"one byte":                         {"a", ""},
	"a JWT":                            {"eyJhbGciOiJSUzI1NiJ9.e30.c2ln", ""},
	"a five-part JWE":                  {"eyJ.abc.def.ghi.jkl", ""},
	"as long as may be":                {strings.Repeat("a", bearer.MaxLength), ""},
	"nothing":                          {"", "got nothing"},
	"only =":                           {"==", "only ="},
	"= in the middle":                  {"a=b", "another character at byte 2 of 3"},
	"a space":                          {"hunter 2", "at byte 7 of 8"},
	"a line break at the end":          {"hunter2\n", "spaces and line breaks, got one at byte 8 of 8"},
	"a carriage return":                {"hunter2\r\nX-Evil: 1", "at byte 8 of"},
	"a NUL":                            {"hunter2\x00", "another character at byte 8 of 8"},
	"an umlaut":                        {"hünter2", "another character at byte 2 of 8"},
	"a comma":                          {"hunter2,", "another character at byte 8 of 8"},
	"a quote":                          {`"hunter2"`, "another character at byte 1 of 9"},
	"too long":                         {strings.Repeat("a", bearer.MaxLength+1), "at most 16384 bytes, got 16385"},
}

func TestCheckTakesB64TokensOnly(t *testing.T) {
	for name, row := range tokens {
		t.Run(name, func(t *testing.T) {
			err := bearer.Check(row.token)
			if row.want == "" {
				assert.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, row.want)
			assert.NotContains(t, err.Error(), "unter")
		})
	}
}

func FuzzCheck(f *testing.F) {
	for _, row := range tokens {
		f.Add(row.token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		want := b64token.MatchString(token)
		assert.Equal(t, want, bearer.Valid(token))
		assert.Equal(t, want && len(token) <= bearer.MaxLength, bearer.Check(token) == nil)
	})
}
