// Package zitadeltest runs a ZITADEL in the process of a test: it starts in milliseconds and speaks as a real server (v4) does.
//
//	s := zitadeltest.Start(t)                                    // ends with the test
//	project := s.AddProject("orders", "viewer", "admin")
//	api := project.AddAPI("orders-api")                          // api.ClientID, api.ClientSecret, api.KeyJSON()
//	bot := s.AddServiceUser("bot", zitadeltest.WithProjectRole(project, "viewer"))
//	token := bot.PAT()                                           // also bot.KeyJSON(), bot.ClientSecret()
//
// Point the code under test at [Server.Issuer] and give it [Server.Client].
//
// # Two ways to run
//
// With the zero [Config] the server listens on a free port of 127.0.0.1. With [Config].InMemory there is no socket, and it works
// inside a testing/synctest bubble: its clock is the bubble's, so a test waits twelve hours for a token to run out in no time.
//
// # Misbehaving
//
// [Server.Misbehave] makes the next calls of an endpoint fail, stall, break off, answer garbage or answer slowly.
// [Server.IntrospectInactive], [Server.Block], [Server.RotateKeys], [Server.Revoke], [Server.SkewClock] and [Server.AdvanceClock] do
// what happens to servers. [Server.Calls] and [Server.Requests] tell what the code under test has sent.
//
// The server is for tests: it keeps everything in memory, and the RSA keys it makes are shared by the servers of a process.
package zitadeltest
