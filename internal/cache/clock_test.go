package cache

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheWallClockIsLookedAtOnceAMillisecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New[string](Config{MaxEntries: 100, MaxLife: 2 * time.Hour})
		put(c, "a", Entry[string]{Fresh: time.Hour, Expiry: time.Now().Add(time.Hour)})
		require.Equal(t, Fresh, state(c, "a"))
		time.Sleep(2 * time.Hour)
		c.base = c.base.Add(2 * time.Hour) // the machine slept: one clock stood still
		require.Equal(t, Fresh, state(c, "a"))
		time.Sleep(aheadFor - 1)
		require.Equal(t, Fresh, state(c, "a"))
		time.Sleep(time.Nanosecond)
		require.Equal(t, Miss, state(c, "a"))
	})
}

func TestTheMonotonicClockIsLookedAtEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New[string](Config{MaxEntries: 100, MaxLife: time.Hour})
		put(c, "a", Entry[string]{Fresh: minute})
		time.Sleep(minute - 1)
		require.Equal(t, Fresh, state(c, "a")) // looks at both
		time.Sleep(time.Nanosecond)
		require.Equal(t, Miss, state(c, "a"))
	})
}

func TestAboutGoesOnBetweenLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock{base: time.Now()}
		for range 5 {
			require.Equal(t, c.now(), c.about())
			time.Sleep(aheadFor / 2)
		}
	})
}
