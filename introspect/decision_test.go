package introspect

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern"
)

// The decision table: what is made of each answer. Times are relative to now, written as {+60} and {-60}.
var decisions = []struct {
	rule   string
	status int
	body   string
	want   error // nil: access
}{
	{"RFC 7662 §2.2 active true gives access", 200, `{"active":true,"sub":"1"}`, nil},
	{"RFC 7662 §2.2 active false is refused", 200, `{"active":false}`, postern.ErrInvalidToken},
	{"RFC 7662 §2.2 active missing is refused", 200, `{"sub":"1"}`, postern.ErrInvalidToken},
	{"RFC 7662 §2.2 active as a string is refused", 200, `{"active":"true"}`, postern.ErrInvalidToken},
	{"RFC 7662 §2.2 active as a number is refused", 200, `{"active":1}`, postern.ErrInvalidToken},
	{"RFC 7662 §2.2 active null is refused", 200, `{"active":null}`, postern.ErrInvalidToken},
	{"RFC 7662 §2.2 active as an array is refused", 200, `{"active":[true]}`, postern.ErrInvalidToken},
	{"RFC 7662 §2.2 active as an object is refused", 200, `{"active":{"active":true}}`, postern.ErrInvalidToken},
	{"RFC 7662 §2.2 active further down is refused", 200, `{"answer":{"active":true}}`, postern.ErrInvalidToken},
	{"RFC 7662 §2.2 active false is refused whatever else is wrong", 200, `{"active":false,"exp":"soon","sub":1}`, postern.ErrInvalidToken},

	{"RFC 8259 §4 active twice is no answer", 200, `{"active":false,"active":true}`, postern.ErrUnavailable},
	{"RFC 8259 §4 active in another case is no answer", 200, `{"active":false,"ACTIVE":true}`, postern.ErrUnavailable},
	{"RFC 8259 §4 active in another case alone is no answer", 200, `{"Active":true}`, postern.ErrUnavailable},
	{"RFC 8259 §7 active written with an escape gives access", 200, `{"\u0061ctive":true}`, nil},
	{"RFC 8259 §7 active twice, once written with an escape, is no answer", 200, `{"active":false,"\u0061ctive":true}`, postern.ErrUnavailable},
	{"RFC 8259 §7 active in another case, written with an escape, is no answer", 200, `{"active":false,"\u0041ctive":true}`, postern.ErrUnavailable},
	{"RFC 8259 §4 iss with a long s, another case of s, is no answer", 200, `{"active":true,"i\u017fs":"x"}`, postern.ErrUnavailable},
	{"RFC 8259 §4 token_type with a Kelvin sign, another case of k, is no answer", 200, `{"active":true,"to\u212aen_type":"x"}`, postern.ErrUnavailable},
	{"RFC 8259 §4 exp twice is no answer", 200, `{"active":true,"exp":{-60},"exp":{+60}}`, postern.ErrUnavailable},
	{"RFC 8259 §4 aud in another case is no answer", 200, `{"active":true,"Aud":"api"}`, postern.ErrUnavailable},
	{"RFC 8259 §4 iss twice is no answer", 200, `{"active":true,"iss":"` + issuer + `","iss":"` + issuer + `"}`, postern.ErrUnavailable},
	{"RFC 8259 §4 sub twice is no answer", 200, `{"active":true,"sub":"1","sub":"2"}`, postern.ErrUnavailable},
	{"RFC 8259 §4 roles twice are no answer", 200, `{"active":true,"urn:zitadel:iam:org:project:roles":{},"urn:zitadel:iam:org:project:roles":{}}`, postern.ErrUnavailable},
	{"RFC 8259 §4 another name twice is nothing to us", 200, `{"active":true,"nickname":"a","nickname":"b","Nickname":"c"}`, nil},

	{"RFC 7519 §4.1.4 exp in the future gives access", 200, `{"active":true,"exp":{+60}}`, nil},
	{"RFC 7519 §4.1.4 exp in the past is refused", 200, `{"active":true,"exp":{-60}}`, postern.ErrInvalidToken},
	{"RFC 7519 §4.1.4 exp now is refused", 200, `{"active":true,"exp":{+0}}`, postern.ErrInvalidToken},
	{"RFC 7519 §4.1.4 exp one second ago is refused, skew or not", 200, `{"active":true,"exp":{-1}}`, postern.ErrInvalidToken},
	{"RFC 7519 §4.1.4 exp in less than a second is refused", 200, `{"active":true,"exp":{+0}.5}`, postern.ErrInvalidToken},
	{"RFC 7519 §4.1.4 exp zero is refused", 200, `{"active":true,"exp":0}`, postern.ErrInvalidToken},
	{"RFC 7519 §4.1.4 exp below zero is refused", 200, `{"active":true,"exp":-1}`, postern.ErrInvalidToken},
	{"RFC 7519 §4.1.4 exp in the first second of the year 1, Go's zero time, is refused", 200, `{"active":true,"exp":-62135596800}`, postern.ErrInvalidToken},
	{"RFC 7519 §4.1.4 exp in the year 9999 gives access", 200, `{"active":true,"exp":253402300799}`, nil},
	{"RFC 7519 §4.1.4 exp beyond the year 9999 is no answer", 200, `{"active":true,"exp":1e300}`, postern.ErrUnavailable},
	{"RFC 7519 §4.1.4 exp as a string is no answer", 200, `{"active":true,"exp":"{+60}"}`, postern.ErrUnavailable},
	{"RFC 7519 §4.1.4 exp null is no answer", 200, `{"active":true,"exp":null}`, postern.ErrUnavailable},
	{"RFC 7519 §4.1.5 nbf now gives access", 200, `{"active":true,"nbf":{+0}}`, nil},
	{"RFC 7519 §4.1.5 nbf in the future is refused, skew or not", 200, `{"active":true,"nbf":{+1}}`, postern.ErrInvalidToken},
	{"RFC 7519 §4.1.5 nbf in less than a second is refused", 200, `{"active":true,"nbf":{+0}.5}`, postern.ErrInvalidToken},
	{"RFC 7519 §4.1.5 nbf with a fraction in the past gives access", 200, `{"active":true,"nbf":{-1}.5}`, nil},
	{"RFC 7519 §4.1.5 nbf as a string is no answer", 200, `{"active":true,"nbf":"{-1}"}`, postern.ErrUnavailable},
	{"RFC 7519 §4.1.5 nbf twice is no answer", 200, `{"active":true,"nbf":{+60},"nbf":{-60}}`, postern.ErrUnavailable},

	{"RFC 7662 §2.2 iss of this issuer gives access", 200, `{"active":true,"iss":"` + issuer + `"}`, nil},
	{"RFC 7662 §2.2 iss of another is refused", 200, `{"active":true,"iss":"https://another.example"}`, postern.ErrInvalidToken},
	{"RFC 7662 §2.2 iss with a slash more is another", 200, `{"active":true,"iss":"` + issuer + `/"}`, postern.ErrInvalidToken},
	{"RFC 7662 §2.2 iss empty is another", 200, `{"active":true,"iss":""}`, postern.ErrInvalidToken},
	{"RFC 7662 §2.2 iss as a number is no answer", 200, `{"active":true,"iss":1}`, postern.ErrUnavailable},
	{"RFC 7662 §2.2 iss null is no answer", 200, `{"active":true,"iss":null}`, postern.ErrUnavailable},
	{"RFC 6750 §1.1 token_type Bearer gives access", 200, `{"active":true,"token_type":"Bearer"}`, nil},
	{"RFC 6749 §5.1 token_type in any case gives access", 200, `{"active":true,"token_type":"bearer"}`, nil},
	{"RFC 9449 §6 token_type DPoP is refused", 200, `{"active":true,"token_type":"DPoP"}`, postern.ErrInvalidToken},
	{"RFC 6749 §7.1 token_type empty is refused", 200, `{"active":true,"token_type":""}`, postern.ErrInvalidToken},
	{"RFC 6749 §7.1 token_type as an array is no answer", 200, `{"active":true,"token_type":["Bearer"]}`, postern.ErrUnavailable},
	{"RFC 7662 §2.2 sub as a number is no answer", 200, `{"active":true,"sub":1}`, postern.ErrUnavailable},
	{"RFC 7662 §2.2 aud as a number is no answer", 200, `{"active":true,"aud":1}`, postern.ErrUnavailable},
	{"RFC 7662 §2.2 roles as the array of the guides are no answer", 200, `{"active":true,"urn:zitadel:iam:org:project:roles":["admin"]}`, postern.ErrUnavailable},

	{"RFC 8259 §2 no JSON is no answer", 200, `<html>`, postern.ErrUnavailable},
	{"RFC 8259 §2 nothing is no answer", 200, ``, postern.ErrUnavailable},
	{"RFC 8259 §2 half an object is no answer", 200, `{"active":true`, postern.ErrUnavailable},
	{"RFC 8259 §2 text after the object is no answer", 200, `{"active":true} {}`, postern.ErrUnavailable},
	{"RFC 8259 §2 white space around the object gives access", 200, "\r\n\t {\"active\":true} \n", nil},
	{"RFC 8259 §2 a NUL after the object is no answer", 200, "{\"active\":true}\x00", postern.ErrUnavailable},
	{"RFC 8259 §8.1 a byte order mark is no answer", 200, "\ufeff{\"active\":true}", postern.ErrUnavailable},
	{"RFC 8259 §9 nesting too deep is no answer", 200, `{"active":true,"x":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`, postern.ErrUnavailable},
	{"RFC 8259 §8.1 no UTF-8 is no answer", 200, "{\"active\":true,\"sub\":\"\xff\"}", postern.ErrUnavailable},
	{"RFC 7662 §2.2 another JSON value is no answer", 200, `[{"active":true}]`, postern.ErrUnavailable},
	{"RFC 8259 §9 more than 64 KiB is no answer", 200, `{"active":true,"x":"` + strings.Repeat("x", maxAnswer) + `"}`, postern.ErrUnavailable},
	{"RFC 8259 §9 more than 1 MiB is no answer", 200, `{"active":true,"x":"` + strings.Repeat("x", 1<<20) + `"}`, postern.ErrUnavailable},

	{"RFC 6749 §5.2 400 unauthorized_client is about us", 400, `{"error":"unauthorized_client"}`, postern.ErrUnavailable},
	{"RFC 7662 §2.3 401 invalid_client is about us", 401, `{"error":"invalid_client"}`, postern.ErrUnavailable},
	{"RFC 7662 §2.3 401 without a code is about us", 401, `{}`, postern.ErrUnavailable},
	{"RFC 6749 §5.2 400 invalid_request is no answer", 400, `{"error":"invalid_request","error_description":"token missing"}`, postern.ErrUnavailable},
	{"RFC 9110 §15.5.4 403 is no answer", 403, `{}`, postern.ErrUnavailable},
	{"RFC 9110 §15.5.5 404 is no answer", 404, `{}`, postern.ErrUnavailable},
	{"RFC 6585 §4 429 is no answer", 429, `Your ZITADEL instance is blocked.`, postern.ErrUnavailable},
	{"RFC 9110 §15.6.1 500 is no answer", 500, `{"active":true}`, postern.ErrUnavailable},
	{"RFC 9110 §15.6.4 503 is no answer", 503, ``, postern.ErrUnavailable},
	{"RFC 9110 §15.4.3 302 is no answer and not followed", 302, `{"active":true}`, postern.ErrUnavailable},
	{"RFC 9112 §8 a connection that breaks is no answer", 0, ``, postern.ErrUnavailable},
}

// at replaces {+60} by the time in sixty seconds.
func at(text string, now time.Time) string {
	for _, s := range []int{-60, -1, 0, 1, 60} {
		text = strings.ReplaceAll(text, fmt.Sprintf("{%+d}", s), fmt.Sprint(now.Unix()+int64(s)))
	}
	return text
}

func TestDecision(t *testing.T) {
	for _, d := range decisions {
		t.Run(d.rule, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &stub{answer: status(d.status, at(d.body, time.Now()))}
				v := newVerifier(t, s)
				id, err := v.Verify(t.Context(), "opaque-token")
				if d.want == nil {
					require.NoError(t, err)
					require.NotNil(t, id)
				} else {
					require.ErrorIs(t, err, d.want)
					require.Nil(t, id)
					assert.Equal(t, d.want == postern.ErrInvalidToken, errors.Is(err, postern.ErrInvalidToken), "one of the sentinels, not both")
					assert.NotContains(t, err.Error(), "opaque-token")
					assert.NotContains(t, err.Error(), "s3cret")
				}
				require.Equal(t, 1, s.count())
			})
		})
	}
}

func TestDecisionAudienceRFC7519Section413(t *testing.T) {
	for body, want := range map[string]error{
		`{"active":true,"aud":"api"}`:             nil,
		`{"active":true,"aud":["x","project"]}`:   nil,
		`{"active":true,"aud":["x","y"]}`:         postern.ErrInvalidToken,
		`{"active":true,"aud":[]}`:                postern.ErrInvalidToken,
		`{"active":true,"aud":"API"}`:             postern.ErrInvalidToken,
		`{"active":true}`:                         postern.ErrInvalidToken,
		`{"active":true,"aud":"api","aud":"api"}`: postern.ErrUnavailable,
		`{"active":true,"aud":["api",1]}`:         postern.ErrUnavailable,
	} {
		v := newVerifier(t, &stub{answer: status(200, body)}, func(c *Config) { c.Audience = []string{"api", "project"} })
		_, err := v.Verify(t.Context(), "token")
		require.ErrorIs(t, err, want, body)
	}
}

// What a server says in a way that leaves doubt about it is no answer, though the words are the best.
func TestDecisionTransfer(t *testing.T) {
	const said = `{"active":true}`
	bomb := func() []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write([]byte(said))
		for range 64 {
			_, _ = w.Write(bytes.Repeat([]byte(" "), 1<<20))
		}
		_ = w.Close()
		return b.Bytes()
	}()
	for rule, write := range map[string]func(w http.ResponseWriter){
		"RFC 9112 §8 a body shorter than its Content-Length": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte(said))
		},
		"RFC 9112 §8 a body without its last chunk": func(w http.ResponseWriter) {
			_, _ = w.Write([]byte(said))
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		},
		"RFC 9110 §8.4 64 MiB in 64 KiB of gzip": func(w http.ResponseWriter) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb)
		},
		"RFC 9110 §8.4 a coding that it has not": func(w http.ResponseWriter) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write([]byte(said))
		},
		"RFC 7662 §2.2 another content type": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte(said))
		},
		"RFC 7662 §2.2 no content type": func(w http.ResponseWriter) {
			w.Header()["Content-Type"] = nil
			_, _ = w.Write([]byte(said))
		},
		"RFC 9110 §15.3.5 204": func(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) },
		"RFC 9110 §15.4.9 308, which is not followed": func(w http.ResponseWriter) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(http.StatusPermanentRedirect)
			_, _ = w.Write([]byte(said))
		},
	} {
		t.Run(rule, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				assert.Equal(t, "/introspect", r.URL.Path)
				w.Header().Set("Content-Type", "application/json")
				write(w)
			}))
			defer server.Close()
			v := newVerifier(t, nil, func(c *Config) { c.IntrospectionURL, c.HTTPClient = server.URL+"/introspect", server.Client() })
			id, err := v.Verify(t.Context(), "token")
			require.ErrorIs(t, err, postern.ErrUnavailable)
			require.NotErrorIs(t, err, postern.ErrInvalidToken)
			require.Nil(t, id)
		})
	}
}

func TestDecisionContextEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{answer: stalled}
		v := newVerifier(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := v.Verify(ctx, "token")
		require.ErrorIs(t, err, context.Canceled)
		require.Zero(t, s.count(), "nobody is asked for who has left")

		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = v.Verify(ctx, "token")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, postern.ErrUnavailable)
		require.NotErrorIs(t, err, postern.ErrInvalidToken)
		time.Sleep(defaultTimeout) // the call ends by its own timeout
	})
}

func TestDecisionOurTimeoutIsNotTheCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVerifier(t, &stub{answer: stalled})
		began := time.Now()
		_, err := v.Verify(t.Context(), "token")
		require.ErrorIs(t, err, postern.ErrUnavailable)
		require.NotErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, defaultTimeout, time.Since(began))
	})
}

func TestDecisionTokenLength(t *testing.T) {
	s := &stub{answer: active}
	v := newVerifier(t, s)
	require.ErrorIs(t, verifyErr(v, ""), postern.ErrInvalidToken)
	require.ErrorIs(t, verifyErr(v, strings.Repeat("x", maxToken+1)), postern.ErrInvalidToken)
	require.Zero(t, s.count())
	require.NoError(t, verifyErr(v, strings.Repeat("x", maxToken)))
}

func TestDecisionChecksRunOnEveryHit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := &stub{answer: func(*http.Request) (int, string) {
			return 200, answer(map[string]any{"exp": start.Add(30 * time.Second).Unix()})
		}}
		v := newVerifier(t, s)
		require.NoError(t, verifyErr(v, "token"))
		time.Sleep(30*time.Second - 1)
		require.NoError(t, verifyErr(v, "token"))
		time.Sleep(time.Nanosecond)
		require.ErrorIs(t, verifyErr(v, "token"), postern.ErrInvalidToken)
	})
}

// A token that is about to become valid is asked about again when it has, not NegativeTTL later.
func TestDecisionNotBeforeEndsTheRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		valid := time.Now().Add(2 * time.Second)
		v := newVerifier(t, &stub{answer: func(*http.Request) (int, string) { return 200, answer(map[string]any{"nbf": valid.Unix()}) }})
		require.ErrorIs(t, verifyErr(v, "token"), postern.ErrInvalidToken)
		time.Sleep(2 * time.Second)
		require.NoError(t, verifyErr(v, "token"))
	})
}

// What a running ZITADEL has answered, with what has to come of it. The recordings lie beside the tests of the root package.
func TestRecordedAnswers(t *testing.T) {
	for name, want := range map[string]error{
		"introspect-pat": nil, "introspect-pat-no-expiry": nil, "introspect-pat-basic": nil, "introspect-jwt-access-token": nil,
		"introspect-jwtprofile-project": nil,
		"introspect-unknown-token":      postern.ErrInvalidToken, "introspect-pat-removed": postern.ErrInvalidToken,
		"introspect-basic-wrong-secret": postern.ErrUnavailable, "introspect-no-token": postern.ErrUnavailable,
		"introspect-assertion-wrong-aud": postern.ErrUnavailable, "introspect-no-client-auth": postern.ErrUnavailable,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // whose clock begins before the recordings
				var recorded struct {
					Response struct {
						Status int
						Body   json.RawMessage
					}
				}
				data, err := os.ReadFile(filepath.Join("testdata", "wire", name+".json"))
				require.NoError(t, err)
				require.NoError(t, json.Unmarshal(data, &recorded))
				s := &stub{answer: status(recorded.Response.Status, string(recorded.Response.Body))}
				v := newVerifier(t, s, func(c *Config) { c.Issuer = "http://localhost:18080" })
				time.Sleep(time.Until(time.Unix(1795337300, 0)))
				id, err := v.Verify(t.Context(), "token")
				require.ErrorIs(t, err, want)
				if want == nil {
					require.NotEmpty(t, id.Subject())
					require.NotEmpty(t, id.TokenID())
				}
			})
		})
	}
}

// Roles come from the role claims and never from scope, which names role admin here although only viewer was granted.
func TestRolesNeverComeFromScope(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "wire", "introspect-pat-no-expiry.json"))
	require.NoError(t, err)
	var recorded struct {
		Response struct{ Body json.RawMessage }
	}
	require.NoError(t, json.Unmarshal(data, &recorded))
	synctest.Test(t, func(t *testing.T) {
		v := newVerifier(t, &stub{answer: status(200, string(recorded.Response.Body))}, func(c *Config) { c.Issuer = "http://localhost:18080" })
		time.Sleep(time.Until(time.Unix(1795337300, 0)))
		id, err := v.Verify(t.Context(), "token")
		require.NoError(t, err)
		require.True(t, id.HasScope("urn:zitadel:iam:org:project:role:admin"))
		require.True(t, id.HasRole("viewer"))
		require.False(t, id.HasRole("admin"))
	})
}

// FuzzAnswer holds that no answer makes the judge panic, that an error comes with no entry, and that access comes only from a
// JSON object which encoding/json, too, reads as active, not expired, valid already, a bearer token's, of this issuer and, where
// one is asked for, of this audience.
func FuzzAnswer(f *testing.F) {
	now := time.Unix(1795337300, 0)
	for _, d := range decisions {
		if len(d.body) < 4096 {
			f.Add(at(d.body, now))
		}
	}
	recorded, err := filepath.Glob(filepath.Join("testdata", "wire", "*.json"))
	require.NoError(f, err)
	for _, name := range recorded {
		data, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(string(data))
	}
	r := newRules(Config{Issuer: issuer, TTL: time.Minute, NegativeTTL: time.Second}, time.Hour)
	choosy := newRules(Config{Issuer: issuer, Audience: []string{"api"}, TTL: time.Minute, NegativeTTL: time.Second}, time.Hour)
	f.Fuzz(func(t *testing.T, body string) {
		entry, err := r.judge([]byte(body), now)
		if err != nil {
			require.Nil(t, entry.Value.id)
			return
		}
		require.Equal(t, entry.Bad, entry.Value.id == nil)
		require.Equal(t, entry.Bad, entry.Value.err != nil)
		require.LessOrEqual(t, entry.Fresh, time.Minute)
		if entry.Bad {
			require.ErrorIs(t, entry.Value.err, postern.ErrInvalidToken)
			return
		}
		var claims struct {
			Active    bool     `json:"active"`
			Exp       *float64 `json:"exp"`
			Nbf       *float64 `json:"nbf"`
			Iss       *string  `json:"iss"`
			TokenType *string  `json:"token_type"`
			Aud       any      `json:"aud"`
			Sub       string   `json:"sub"`
		}
		require.NoError(t, json.Unmarshal([]byte(body), &claims))
		require.True(t, claims.Active)
		require.True(t, claims.Exp == nil || *claims.Exp > float64(now.Unix()))
		require.True(t, claims.Nbf == nil || *claims.Nbf <= float64(now.Unix()))
		require.True(t, claims.Iss == nil || *claims.Iss == issuer)
		require.True(t, claims.TokenType == nil || strings.EqualFold(*claims.TokenType, "Bearer"))
		require.Equal(t, claims.Sub, entry.Value.id.Subject())

		entry, err = choosy.judge([]byte(body), now)
		require.NoError(t, err)
		list, _ := claims.Aud.([]any)
		require.Equal(t, claims.Aud == "api" || slices.Contains(list, any("api")), !entry.Bad)
	})
}
