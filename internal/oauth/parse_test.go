package oauth_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/internal/bearer"
	"github.com/postern-go/postern/internal/oauth"
)

var sent = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

var goodTokens = map[string]struct {
	text string
	life time.Duration
}{
	"as the server makes it":       {`{"access_token":"hunter2","token_type":"Bearer","expires_in":43199,"id_token":"x"}`, 43199 * time.Second},
	"token_type in another case":   {`{"access_token":"hunter2","token_type":"bEARER","expires_in":1}`, time.Second},
	"a fraction, which is dropped": {`{"access_token":"hunter2","token_type":"Bearer","expires_in":1.9}`, time.Second},
	"an exponent":                  {`{"access_token":"hunter2","token_type":"Bearer","expires_in":3.6e3}`, time.Hour},
	"ten years":                    {`{"access_token":"hunter2","token_type":"Bearer","expires_in":315360000}`, 87600 * time.Hour},
	"other members":                {`{"scope":null,"access_token":"hunter2","token_type":"Bearer","expires_in":60,"EXTRA":{}}`, time.Minute},
}

var badTokens = map[string]struct{ text, want string }{
	"nothing":                        {``, "not JSON"},
	"an array":                       {`[]`, "another JSON value"},
	"half of it":                     {`{"access_token":"hunter2","token_type":"Bearer","expires`, "not JSON"},
	"an empty object":                {`{}`, "with access_token, got one without"},
	"no access_token":                {`{"token_type":"Bearer","expires_in":60}`, "with access_token"},
	"an empty access_token":          {`{"access_token":"","token_type":"Bearer","expires_in":60}`, "access_token: expected a token, got nothing"},
	"access_token is a number":       {`{"access_token":1,"token_type":"Bearer","expires_in":60}`, "access_token: expected a string, got a number"},
	"access_token is null":           {`{"access_token":null,"token_type":"Bearer","expires_in":60}`, "access_token: expected a string, got null"},
	"access_token with a line break": {`{"access_token":"hunter2\r\nX-Evil: 1","token_type":"Bearer","expires_in":60}`, "spaces and line breaks"},
	"access_token with an umlaut":    {`{"access_token":"hünter2","token_type":"Bearer","expires_in":60}`, "another character"},
	"access_token too long":          {`{"access_token":"` + strings.Repeat("hunter2", 3000) + `","token_type":"Bearer","expires_in":60}`, "at most 16384 bytes, got 21000"},
	"access_token twice":             {`{"access_token":"hunter2","access_token":"b","token_type":"Bearer","expires_in":60}`, `"access_token" once`},
	"ACCESS_TOKEN":                   {`{"ACCESS_TOKEN":"hunter2","token_type":"Bearer","expires_in":60}`, `"access_token", got another spelling`},
	"no token_type":                  {`{"access_token":"hunter2","expires_in":60}`, "with token_type"},
	"another token_type":             {`{"access_token":"hunter2","token_type":"DPoP","expires_in":60}`, "token_type: expected Bearer"},
	"token_type is a number":         {`{"access_token":"hunter2","token_type":1,"expires_in":60}`, "token_type: expected a string"},
	"no expires_in":                  {`{"access_token":"hunter2","token_type":"Bearer"}`, "with expires_in"},
	"expires_in is a string":         {`{"access_token":"hunter2","token_type":"Bearer","expires_in":"3600"}`, "expires_in: expected a number of seconds from 1 to ten years, got another type"},
	"expires_in is null":             {`{"access_token":"hunter2","token_type":"Bearer","expires_in":null}`, "got another type"},
	"expires_in is true":             {`{"access_token":"hunter2","token_type":"Bearer","expires_in":true}`, "got another type"},
	"expires_in is zero":             {`{"access_token":"hunter2","token_type":"Bearer","expires_in":0}`, "got less"},
	"expires_in is a fraction":       {`{"access_token":"hunter2","token_type":"Bearer","expires_in":0.9}`, "got less"},
	"expires_in is negative":         {`{"access_token":"hunter2","token_type":"Bearer","expires_in":-60}`, "got less"},
	"expires_in is minus infinity":   {`{"access_token":"hunter2","token_type":"Bearer","expires_in":-1e999}`, "got less"},
	"expires_in is over ten years":   {`{"access_token":"hunter2","token_type":"Bearer","expires_in":315360001}`, "got more"},
	"expires_in overflows":           {`{"access_token":"hunter2","token_type":"Bearer","expires_in":9223372036854775808}`, "got more"},
	"expires_in is infinity":         {`{"access_token":"hunter2","token_type":"Bearer","expires_in":1e999}`, "got more"},
}

func TestParseTokenTakesBearerTokensWithALifetime(t *testing.T) {
	for name, row := range goodTokens {
		t.Run(name, func(t *testing.T) {
			token, err := oauth.ParseToken(row.text, sent)
			require.NoError(t, err)
			assert.Equal(t, "hunter2", token.AccessToken)
			assert.Equal(t, "Bearer", token.TokenType)
			assert.Equal(t, sent.Add(row.life), token.Expiry, "counted from when the request left")
		})
	}
}

func TestParseTokenSaysWhatIsWrong(t *testing.T) {
	for name, row := range badTokens {
		t.Run(name, func(t *testing.T) {
			token, err := oauth.ParseToken(row.text, sent)
			assert.Nil(t, token)
			require.ErrorContains(t, err, row.want)
			assert.NotContains(t, err.Error(), "unter")
			assert.NotContains(t, err.Error(), "\n")
		})
	}
}

func FuzzParseToken(f *testing.F) {
	for _, row := range goodTokens {
		f.Add(row.text)
	}
	for _, row := range badTokens {
		f.Add(row.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		token, err := oauth.ParseToken(text, sent)
		if err != nil {
			assert.Nil(t, token)
			assert.Less(t, len(err.Error()), 1000)
			return
		}
		assert.NoError(t, bearer.Check(token.AccessToken))
		assert.Equal(t, "Bearer", token.TokenType)
		life := token.Expiry.Sub(sent)
		assert.GreaterOrEqual(t, life, time.Second)
		assert.LessOrEqual(t, life, 10*365*24*time.Hour)
	})
}

func FuzzRefusal(f *testing.F) {
	f.Add(400, "application/json", `{"error":"invalid_grant","error_description":"`+secretInForm+`"}`, "")
	f.Add(429, "text/plain", "Your ZITADEL instance is blocked.", "5")
	f.Add(503, "application/json", `{"code":8,"message":"m"}`, "Sun, 22 Nov 2020 10:00:30 GMT")
	f.Fuzz(func(t *testing.T, status int, contentType, body, retryAfter string) {
		if status < 400 || status > 599 {
			return
		}
		resp := answer(status, "", body)
		resp.Header["Content-Type"] = []string{contentType}
		resp.Header["Retry-After"] = []string{retryAfter}
		_, err := post(t, t.Context(), stub(func(*http.Request) (*http.Response, error) { return resp, nil }))
		refusal, ok := errors.AsType[*postern.Error](err)
		require.True(t, ok)
		text := refusal.Error()
		assert.LessOrEqual(t, len(refusal.Description), 200)
		assert.LessOrEqual(t, len(refusal.Code), 64)
		assert.GreaterOrEqual(t, refusal.RetryAfter, time.Duration(0))
		assert.LessOrEqual(t, refusal.RetryAfter, 24*time.Hour)
		for _, secret := range []string{secretInForm, secretGiven, basicHeader} {
			for i := 0; i+12 <= len(secret); i++ {
				assert.NotContains(t, text, secret[i:i+12])
			}
		}
		for _, r := range refusal.Code + refusal.Description {
			assert.True(t, r >= ' ' && r <= '~')
		}
	})
}
