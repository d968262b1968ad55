// Package localjwt verifies ZITADEL's JWT access tokens with the issuer's published keys, so that no request waits for a call.
// It also joins that with introspection, for APIs that are shown personal access tokens and opaque tokens as well, and for
// revocation.
//
//	v, err := localjwt.New(localjwt.Config{Issuer: issuer, Audience: []string{projectID}, ProjectID: projectID})
//	gate := middleware.New(v, middleware.Config{})
//	mux.Handle("GET /orders", gate.Require(middleware.Role("reader"))(orders))
//
// # What is checked
//
// The algorithm is RS256, RS384, RS512, PS256, ES256, ES384 or EdDSA and the key's own; the key is one the issuer publishes now,
// named by kid; iss is Config.Issuer to the letter, aud has one of Config.Audience; exp, iat, jti and sub are there and nbf where
// it is; typ is JWT or at+jwt; the token has one spelling, no name twice or in another case, at most 16 KiB, and nothing that
// brings a key along or asks for extensions. An id_token is refused. See RFC 8725 for the attacks that each of these ends.
//
// A token that was verified is remembered by a keyed hash, never by itself, until it ends, so the next request with it costs what
// a remembered introspection costs.
//
// # Keys
//
// The key set is fetched on first use, then again in the background when Cache-Control says that it gets old (after 1 minute at
// the soonest, 1 hour at the latest). A token that names a key not seen before waits for a fetch, of which there is at most one
// in 10 seconds on that account, however many tokens claim such keys: so a rotation refuses no request. Once three such keys
// within a minute turned out not to be there somebody invents them, and between those fetches their tokens are refused at once.
// While the issuer cannot be asked the keys in hand serve for up to 24 hours. A key that the issuer publishes no more ends the
// tokens that it signed, remembered ones included.
//
// # Revocation
//
// A signature says what the issuer thought when it issued the token; by itself this package learns of nothing later. What
// shortens that: Config.Introspection with Config.Recheck asks the server about each JWT in use, in the background, at most once
// per interval; and the Evict methods, called for the server's events, take effect at once:
//
//	v, err := localjwt.New(localjwt.Config{
//		Issuer: issuer, Audience: []string{projectID}, ProjectID: projectID,
//		Introspection: introspector, Recheck: time.Minute,
//	})
//	v.EvictSubject(userID)
//
// # Roles
//
// ZITADEL's JWTs hold roles by project, in urn:zitadel:iam:org:project:{projectId}:roles, and only when the token was asked
// for with postern.ScopeProjectsRoles. Identity.HasRole asks those of Config.ProjectID. The claim urn:zitadel:iam:org:project:roles
// of a user's token is about the project of the application that asked for it: it is left out, of Identity.Claims too. Such tokens
// have neither username nor scopes; introspection knows them.
//
// # Several issuers
//
// NewIssuers joins verifiers of several instances or custom domains: each JWT goes to that of its issuer.
package localjwt
