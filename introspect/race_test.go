//go:build race

package introspect

func init() { raceEnabled = true }
