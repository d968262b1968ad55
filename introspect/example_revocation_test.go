package introspect_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"

	"github.com/postern-go/postern/introspect"
)

// printer stands for a *introspect.Verifier here, to show what is evicted.
type printer struct{}

func (printer) EvictTokenID(id string)  { fmt.Println("evict token", id) }
func (printer) EvictSubject(sub string) { fmt.Println("evict the tokens of user", sub) }
func (printer) EvictAll()               { fmt.Println("evict all tokens") }

// ZITADEL calls the handler when a personal access token is removed, a user locked, a grant changed; see SetupRevocation for
// how to make it do so.
func ExampleNewRevocationHandler() {
	const signingKey = "60qg1DolicZwlHOWbNwgumZjX6NfVxtCUWSK"
	handler, err := introspect.NewRevocationHandler(printer{}, introspect.RevocationConfig{SigningKeys: []string{signingKey}})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/zitadel/events", handler)

	// What ZITADEL sends.
	body := `{"aggregateID":"4007","event_type":"user.pat.removed","event_payload":{"tokenId":"4008"}}`
	now := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, []byte(signingKey))
	mac.Write([]byte(now + "." + body))
	r := httptest.NewRequest("POST", "/zitadel/events", strings.NewReader(body))
	r.Header.Set("ZITADEL-Signature", "t="+now+",v1="+hex.EncodeToString(mac.Sum(nil)))
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	fmt.Println(w.Code)

	// What nobody signed evicts nothing.
	w = httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("POST", "/zitadel/events", strings.NewReader(body)))
	fmt.Println(w.Code)
	// Output:
	// evict token 4008
	// 200
	// 401
}
