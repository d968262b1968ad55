// Package middleware stands in front of net/http handlers and lets through only requests whose bearer token a
// postern.Verifier vouches for.
//
// # Four lines
//
//	v, err := introspect.New(introspect.Config{Issuer: issuer, Auth: introspect.PrivateKeyJWT(key)})
//	gate := middleware.New(v, middleware.Config{})
//	mux.Handle("GET /orders", gate.Require(middleware.Role("reader"))(orders))
//	id, ok := postern.FromContext(r.Context()) // in orders: whose token it is
//
// # Whom it lets through
//
// Require wants a token, Optional takes anonymous requests as well. Both take checks, all of which must pass: Role, AnyRole,
// RoleInOrg, ProjectRole, Org, Scope, Audience, ClientID, and CheckFunc for what only the API knows. Without any check every
// active token passes, and that is more than it sounds: read Require before using it bare.
//
// # What it answers
//
// Everything but a token known to be good and checks that all pass is refused, with a constant JSON body that says nothing
// about the token and Cache-Control: no-store:
//
//	400 invalid_request     the Authorization header is malformed, too long, or there are several
//	401 (no error code)     no Authorization header, or one of another scheme
//	401 invalid_token       the server does not vouch for the token: ErrInvalidToken
//	403 insufficient_scope  a check did not pass
//	503 Retry-After         the server could not be asked, or not in time: ErrUnavailable and everything unforeseen
//
// 400, 401 and 403 carry a challenge as RFC 6750 §3 says. An outage is never a 401 or a 403, because clients throw tokens and
// sessions away on those.
//
// # What it leaves alone
//
// The handler gets the very ResponseWriter that the gate got, so flushing, hijacking (WebSocket), streaming and
// http.ResponseController work as if the gate were not there, in HTTP/1 and HTTP/2. It gets a shallow copy of the request
// whose context carries the postern.Identity; with a cached answer that copy and its context are the only two allocations.
// Tokens are taken from the Authorization header only, never from the query or a form (RFC 6750 §2.3 warns why).
//
// The decision is made once, when the request arrives. A handler that streams for hours ends its stream by the Identity's
// Expiry itself.
package middleware
