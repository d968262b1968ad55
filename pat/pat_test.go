package pat_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern/internal/bearer"
	"github.com/postern-go/postern/pat"
	"github.com/postern-go/postern/zitadeltest"
)

const good = "dEnN0-this_is.a~token+of/ours=="

var bad = map[string]struct{ text, want string }{
	"nothing":                    {"", "got nothing"},
	"only line breaks":           {"\r\n\n", "got nothing"},
	"a space before it":          {" hunter2", "without spaces and line breaks, got one at byte 1"},
	"a space after it":           {"hunter2 ", "without spaces and line breaks, got one at byte 8"},
	"two lines":                  {"hunter2\nhunter2", "without spaces and line breaks"},
	"the scheme before it":       {"Bearer hunter2", "leave it out"},
	"the scheme in another case": {"bearer hunter2", "leave it out"},
	"a key file":                 {`{"type":"serviceaccount","key":"hunter2"}`, "a key file is for keyfile.Read"},
	"a byte order mark":          {"\ufeffhunter2", "byte order mark"},
	"UTF-16":                     {"\xff\xfeh\x00u\x00n\x00", "byte order mark"},
	"binary":                     {"\x7fELF\x00hunter2", "another character at byte 1"},
	"quotes":                     {`"hunter2"`, "another character at byte 1"},
	"an umlaut":                  {"hünter2", "another character at byte 2"},
	"a header after it":          {"hunter2\r\nX-Evil: 1", "without spaces and line breaks"},
	"too long":                   {strings.Repeat("hunter2", 3000), "at most 16384 bytes, got 21000"},
}

func TestATokenIsGivenAsItIs(t *testing.T) {
	for name, text := range map[string]string{
		"bare": good, "with a line break": good + "\n", "with line breaks as on Windows": good + "\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			src, err := pat.New(text)
			require.NoError(t, err)
			token, err := src.Token()
			require.NoError(t, err)
			assert.Equal(t, good, token.AccessToken)
			assert.Equal(t, "Bearer", token.Type())
			assert.True(t, token.Expiry.IsZero())
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			again, err := src.TokenCtx(ended)
			require.NoError(t, err)
			assert.Equal(t, token.AccessToken, again.AccessToken)
		})
	}
}

func TestWhatCannotBeATokenIsRefusedUnseen(t *testing.T) {
	dir := t.TempDir()
	for name, row := range bad {
		t.Run(name, func(t *testing.T) {
			_, err := pat.New(row.text)
			require.ErrorContains(t, err, row.want)
			assert.NotContains(t, err.Error(), "unter")

			path := filepath.Join(dir, "pat")
			require.NoError(t, os.WriteFile(path, []byte(row.text), 0o600))
			_, err = pat.FromFile(path)
			require.ErrorContains(t, err, path+": ")
			assert.NotContains(t, err.Error(), "unter")
			if name != "too long" { // the file is not read to its end
				assert.ErrorContains(t, err, row.want)
			}

			if !strings.Contains(row.text, "\x00") { // no variable can hold one
				t.Setenv("POSTERN_TEST_PAT", row.text)
				_, err = pat.FromEnv("POSTERN_TEST_PAT")
				require.ErrorContains(t, err, `environment variable "POSTERN_TEST_PAT": `)
				assert.ErrorContains(t, err, row.want)
				assert.NotContains(t, err.Error(), "unter")
			}
		})
	}
}

// Of a file that is being written. A text that a program has is taken as it is.
func TestAFileWithATokenThatWasCutOffIsRefused(t *testing.T) {
	server := zitadeltest.Start(t, zitadeltest.Config{InMemory: true})
	bot := server.AddServiceUser("bot", zitadeltest.JWTTokens())
	whole := bot.PAT()
	path := filepath.Join(t.TempDir(), "pat")
	for n := 1; n < len(whole); n++ {
		require.NoError(t, os.WriteFile(path, []byte(whole[:n]), 0o600))
		_, err := pat.FromFile(path)
		require.ErrorContains(t, err, path+": expected a whole token, got the beginning of one: write", n)
		_, err = pat.New(whole[:n])
		require.NoError(t, err, n)
	}
	for _, token := range []string{whole, server.IssueToken(bot), "e30.x", "eyJfake", "eyJ9vXlQ3x_yZ8kTn5wq", "eyJhbGciOiJub25lIn0.e30."} {
		require.NoError(t, os.WriteFile(path, []byte(token), 0o600))
		_, err := pat.FromFile(path)
		assert.NoError(t, err, "%d parts", strings.Count(token, ".")+1)
	}
}

func TestFromFileSaysWhatIsWrongWithTheFile(t *testing.T) {
	dir := t.TempDir()
	big := filepath.Join(dir, "big")
	require.NoError(t, os.WriteFile(big, make([]byte, 10<<20), 0o600))
	longest := filepath.Join(dir, "longest")
	require.NoError(t, os.WriteFile(longest, []byte(strings.Repeat("a", bearer.MaxLength)+"\r\n"), 0o600))
	for name, row := range map[string]struct{ path, want string }{
		"no path":     {"", "empty path"},
		"the token":   {strings.Repeat("hunter2.", 40), "expected the path of a file, got text that is none"},
		"missing":     {filepath.Join(dir, "gone"), "no such file"},
		"a directory": {dir, "got a directory: name the file in it"},
		"10 MB":       {big, "expected at most 16400 bytes, got more"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := pat.FromFile(row.path)
			assert.ErrorContains(t, err, row.want)
			assert.NotContains(t, err.Error(), "hunter2")
		})
	}
	_, err := pat.FromFile(longest)
	assert.NoError(t, err)
}

func TestFromEnvNamesAVariableThatIsNotSet(t *testing.T) {
	_, err := pat.FromEnv("POSTERN_TEST_UNSET")
	assert.EqualError(t, err, `pat: expected a token in the environment variable "POSTERN_TEST_UNSET", which is not set: set it`)
	for _, name := range []string{"", strings.Repeat("hunter2", 10), "hunter2.hunter2", "hunter2="} {
		_, err := pat.FromEnv(name)
		require.ErrorContains(t, err, "a token itself is for New", "a token that was taken for the name is not shown")
		assert.NotContains(t, err.Error(), "hunter2")
	}
	t.Setenv("POSTERN_TEST_PAT", good+"\n")
	src, err := pat.FromEnv("POSTERN_TEST_PAT")
	require.NoError(t, err)
	token, err := src.Token()
	require.NoError(t, err)
	assert.Equal(t, good, token.AccessToken)
}

func TestATokenIsGivenUntilItExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := time.Now().Add(time.Hour)
		src, err := pat.New(good, pat.Expires(end))
		require.NoError(t, err)
		token, err := src.Token()
		require.NoError(t, err)
		assert.Equal(t, end, token.Expiry)

		time.Sleep(time.Hour - 1)
		_, err = src.Token()
		assert.NoError(t, err)
		time.Sleep(time.Nanosecond)
		_, err = src.Token()
		assert.ErrorContains(t, err, "expired on "+end.UTC().Format(time.RFC3339))
		_, err = pat.New(good, pat.Expires(end))
		assert.ErrorContains(t, err, "expired on")
		_, err = pat.New(good, pat.Expires(time.Time{}))
		assert.NoError(t, err, "the zero time is no end")
	})
}

func FuzzNew(f *testing.F) {
	f.Add(good)
	for _, row := range bad {
		f.Add(row.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		src, err := pat.New(text)
		trimmed := strings.TrimRight(text, "\r\n")
		assert.Equal(t, bearer.Check(trimmed) == nil, err == nil)
		if err != nil {
			assert.Less(t, len(err.Error()), 400)
			if len(trimmed) > 40 {
				assert.NotContains(t, err.Error(), trimmed[:40])
			}
			return
		}
		token, err := src.Token()
		require.NoError(t, err)
		assert.Equal(t, trimmed, token.AccessToken)
	})
}
