// Package introspect asks ZITADEL, or any other server of RFC 7662, whose a token is, and remembers the answer so that an API
// can forget that there is a server.
//
//	key, err := keyfile.Read("api-key.json")                              // of the API application
//	v, err := introspect.New(introspect.Config{Issuer: issuer, Auth: introspect.PrivateKeyJWT(key)})
//	gate := middleware.New(v, middleware.Config{})
//	mux.Handle("GET /orders", gate.Require()(orders))
//
// Verifier.Verify gives the Identity behind a token, or an error that wraps postern.ErrInvalidToken when the token gives no
// access, postern.ErrUnavailable when nobody could say, or the context's error.
//
// # What an answer has to say
//
// The answer (RFC 7662 §2.2) has to be a JSON object with active exactly true, and where they are there, exp in the future, nbf
// not in the future (no skew is granted), iss the issuer of Config, token_type Bearer, and aud one of Config.Audience if that
// is set. All else is postern.ErrInvalidToken. An object in which a name that decides stands twice or in another case, a value
// of a wrong type, or no object at all, is not an answer: postern.ErrUnavailable. An audience is worth setting for other
// servers than ZITADEL, which answers active only to an API of the token's audience; and to any API for any personal access
// token of the instance, so that roles must be asked for in any case.
//
// # What is remembered
//
// An answer is used for Config.TTL, and never past exp; a refusal for Config.NegativeTTL. In the last fifth of its time the
// first use starts a renewal in the background, so that nobody waits for a token that is in use. Tokens themselves are not
// kept, only keyed hashes of them. Config.MaxEntries bounds the memory, and a flood of invented tokens pushes out none in use.
//
// Verifier.EvictToken, EvictTokenID, EvictSubject and EvictAll end that at once: they hold for every Verify that begins after
// they return. NewRevocationHandler calls them for ZITADEL's events, and Config.Shared lets a fleet share answers and evictions.
//
// # How the server is asked
//
// One call a token is in flight, however many callers wait for it, and it does not end with the caller who began it. At most
// Config.MaxConcurrent calls are in flight, the others queue. A quarter of them is kept for tokens that were good when they
// were last asked about, so that invented tokens cannot crowd these out. Beyond the queue callers get postern.ErrUnavailable at once.
//
// After five failures of the server in a row a breaker lets one call a second through until one succeeds. It counts apart for
// tokens known to be good, so that nobody can stop calls for these with tokens that make the server fail. When the server refuses
// this API's own credentials, calls pause for a time that doubles from one second to a minute, and the log says so once a
// minute.
//
// # When the server cannot be asked
//
// Then Verify returns postern.ErrUnavailable for every token whose answer ran out. With Config.MaxStale the old answer stands
// in that much longer, never past exp, and Identity.Stale reports it; nobody waits for it longer than a fifth of Config.Timeout or
// its own deadline. An answer that a token is not active is no outage: it
// takes effect at once. ZITADEL gives that answer for failures of its own, too, a database that is down for one; Stats and a
// warning in the log tell when many good tokens turn inactive at once.
package introspect
