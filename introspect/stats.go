package introspect

// Stats tells what a Verifier has done since New, and how it is now. The numbers are each right, but not of the same instant.
type Stats struct {
	// Hits are the answers given from memory at once, and Negative those among them that were a refusal. Misses are the
	// answers that somebody had to wait for.
	Hits, Negative, Misses uint64
	// Stale are the answers, among the misses, for which an older one stood in: see Config.MaxStale.
	Stale uint64
	// Calls are the calls to the server, Renewals those among them that were begun ahead of time, and Failures the calls that
	// brought no answer about the token.
	Calls, Renewals, Failures uint64
	// TurnedAway are the questions that found the queue full.
	TurnedAway uint64
	// TurnedInactive are the tokens known to be good that the server called inactive when asked again, and InactiveBursts how
	// often at least ten did so within ten seconds, and at least half of those asked about. Revocations look like that, and so does
	// a ZITADEL without its database.
	TurnedInactive, InactiveBursts uint64
	// InFlight is the number of calls now, and Queue the number of those waiting to be made.
	InFlight, Queue int
	// Breaker is "closed" while the server is asked, "open" while it is not, and "half-open" when the next call tries it. There is
	// one for tokens known to be good and one for all others, and this is the worse of the two.
	Breaker string
	// Entries is the number of answers remembered, including those that ran out and were not replaced yet.
	Entries int
	// Replaced are the answers that had to go early to make room, and Evictions those made here or, with Config.Shared, heard of,
	// where one's own count twice.
	Replaced, Evictions uint64
}

// Stats returns the numbers. It may be called at any rate that a human or a monitor reads at.
func (v *Verifier) Stats() Stats {
	s := v.v
	counts := s.cache.Counts()
	inFlight, queue := s.flights.counts()
	return Stats{
		Hits: counts.Hits, Negative: counts.Refusals, Misses: s.misses.Load(), Stale: s.stale.Load(),
		Calls: s.calls.Load(), Renewals: s.renewals.Load(), Failures: s.failures.Load(), TurnedAway: s.turnedAway.Load(),
		TurnedInactive: s.turnedInactive.Load(), InactiveBursts: s.inactiveBursts.Load(),
		InFlight: inFlight, Queue: queue, Breaker: max(s.breakers[0].State(), s.breakers[1].State()).String(),
		Entries: counts.Entries, Replaced: counts.Replaced, Evictions: counts.Evictions,
	}
}
