package zitadeltest

import "time"

// SkewClock sets how far the server's clock is ahead of [Config].Now, or behind it when negative. It shows in the Date header, in
// what the server issues and in what it accepts.
func (s *Server) SkewClock(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skew = d
}

// AdvanceClock moves the server's clock on by d, on top of what it was moved before.
func (s *Server) AdvanceClock(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skew += d
}

// Now is the server's time.
func (s *Server) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clock()
}

// RotateKeys makes a new signing key, which signs from now on. The keys before it stay published, as ZITADEL leaves them, until
// [Server.RemoveOldKeys].
func (s *Server) RotateKeys() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addSigningKey()
}

// RemoveOldKeys stops publishing every signing key but the one in use: what the others signed is no longer good.
func (s *Server) RemoveOldKeys() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signing = s.signing[len(s.signing)-1:]
}
