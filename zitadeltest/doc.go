// Package zitadeltest runs a ZITADEL in the process of a test: it starts in milliseconds and speaks as a real server (v4) does.
//
//	s := zitadeltest.Start(t)                                    // ends with the test
//	project := s.AddProject("orders", "viewer", "admin")
//	api := project.AddAPI("orders-api")                          // api.ClientID, api.ClientSecret, api.KeyJSON()
//	bot := s.AddServiceUser("bot", zitadeltest.WithProjectRole(project, "viewer"))
//	token := bot.PAT()                                           // also bot.KeyJSON(), bot.ClientSecret(), s.IssueToken(bot)
//
// Point the code under test at [Server.Issuer] and give it [Server.Client]. The Example has the three lines that lead to a
// protected handler.
//
// # Two ways to run
//
// With the zero [Config] the server listens on a free port of 127.0.0.1. With [Config].InMemory there is no socket, and it works
// inside a testing/synctest bubble: its clock is the bubble's, so a test waits twelve hours for a token to run out in no time.
//
// # What it serves
//
// Discovery, keys, the token endpoint with the JWT profile and client credentials grants, userinfo, introspection and revocation, and
// the health that orchestrators ask for (/debug/healthz, /debug/ready).
// With [Server.AdminPAT], or a service user's own token, the REST APIs too, so that one program sets up this server or a real one:
// of /management/v1 organisations, members, projects, roles, API applications, service users, their credentials, metadata and user
// grants; of /v2 users, their credentials and metadata; and Actions v2, which deliver events to webhooks.
// Errors have ZITADEL's statuses, codes, ids and texts.
//
// It has no people: no login, no human users, no applications other than APIs, no project members, no executions on requests
// or functions. What is missing answers 404, or 501 where it is one choice among several. A webhook gets each event once, in order, and
// never again after a failure.
//
// # Misbehaving
//
// [Server.Misbehave] makes the next calls of an endpoint fail, stall, break off, answer garbage or answer slowly.
// [Server.IntrospectInactive], [Server.Block], [Server.RotateKeys], [Server.Revoke], [Server.SkewClock] and [Server.AdvanceClock] do
// what happens to servers. [Server.Calls] and [Server.Requests] tell what the code under test has sent; [Server.AwaitCalls] waits for it.
//
// # What it is not
//
// The server is for tests. It keeps everything in memory and its secrets as they are, it speaks plain HTTP, and the servers of a
// process share the RSA keys that they make. It answers to its own address and to names of the loopback only; any other host gets
// 404, as from a ZITADEL that does not know its domain.
package zitadeltest
