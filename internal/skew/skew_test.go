package skew_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/postern-go/postern/internal/skew"
)

func header(date time.Time, more ...string) http.Header {
	h := http.Header{"Cache-Control": {"no-store"}, "Date": {date.UTC().Format(http.TimeFormat)}}
	for i := 0; i < len(more); i += 2 {
		h.Set(more[i], more[i+1])
	}
	return h
}

func TestOnlyAnswersThatNobodyKeptCount(t *testing.T) {
	now := time.Now()
	ahead := now.Add(time.Hour)
	for name, row := range map[string]struct {
		header http.Header
		want   bool
	}{
		"no-store":                   {header(ahead), true},
		"no-store among others":      {header(ahead, "Cache-Control", "private, No-Store,max-age=0"), true},
		"nothing about caching":      {header(ahead, "Cache-Control", ""), true},
		"a lifetime":                 {header(ahead, "Cache-Control", "max-age=300"), false},
		"the date of an end":         {header(ahead, "Cache-Control", "", "Expires", ahead.UTC().Format(http.TimeFormat)), false},
		"an end, and no-store":       {header(ahead, "Expires", "0"), true},
		"an Age alone":               {header(ahead, "Cache-Control", "", "Age", "7"), false},
		"only no-cache":              {header(ahead, "Cache-Control", "no-cache, x-no-store"), false},
		"an Age":                     {header(ahead, "Age", "0"), false},
		"no Date":                    {header(ahead, "Date", ""), false},
		"a Date that is none":        {header(ahead, "Date", "soon"), false},
		"a Date in seconds":          {header(ahead, "Date", "1795337293"), false},
		"a Date of RFC 850, as HTTP": {header(ahead, "Date", ahead.UTC().Format(time.RFC850)), true},
	} {
		t.Run(name, func(t *testing.T) {
			c := skew.New(slog.New(slog.DiscardHandler))
			c.Observe(row.header, now, now)
			offset, measured := c.Offset()
			assert.Equal(t, row.want, measured)
			assert.Equal(t, row.want, offset != 0)
		})
	}
}

func TestADateTellsARange(t *testing.T) {
	base := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	for name, row := range map[string]struct {
		date           time.Time
		sent, received time.Duration // after base
		want           time.Duration
	}{
		"the same second":                       {base, 300 * time.Millisecond, 400 * time.Millisecond, 0},
		"the second before, within the trip":    {base, 900 * time.Millisecond, 1100 * time.Millisecond, 0},
		"a second behind, which is not certain": {base, 0, 10 * time.Second, 0},
		"just ahead":                            {base.Add(2 * time.Second), 0, 0, 2500 * time.Millisecond},
		"just behind":                           {base, 2 * time.Second, 2 * time.Second, -1500 * time.Millisecond},
		"a minute ahead, the trip halved":       {base.Add(time.Minute), 0, 4 * time.Second, 58500 * time.Millisecond},
		"ten minutes behind":                    {base.Add(-10 * time.Minute), 0, 0, -10*time.Minute + 500*time.Millisecond},
		"a day ahead, and a bit":                {base.Add(25 * time.Hour), 0, 0, 24 * time.Hour},
		"years behind":                          {base.AddDate(-20, 0, 0), 0, 0, -24 * time.Hour},
		"a clock that was set back meanwhile":   {base.Add(time.Hour), 10 * time.Second, 0, 0},
		"a trip so long that it tells nothing":  {base.Add(time.Minute), 0, time.Hour, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := skew.New(slog.New(slog.DiscardHandler))
			c.Observe(header(row.date), base.Add(row.sent), base.Add(row.received))
			offset, _ := c.Offset()
			assert.Equal(t, row.want, offset)
		})
	}
}

func TestACorrectionThatAgreesStays(t *testing.T) {
	base := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	c := skew.New(slog.New(slog.DiscardHandler))
	c.Observe(header(base.Add(10*time.Second)), base, base)
	first, _ := c.Offset()
	for i := range 10 { // the same clock, seen at other parts of the second
		at := base.Add(time.Duration(i) * 100 * time.Millisecond)
		c.Observe(header(at.Add(first).Truncate(time.Second)), at, at)
		offset, _ := c.Offset()
		assert.Equal(t, first, offset)
	}
	c.Observe(header(base), base, base)
	offset, measured := c.Offset()
	assert.True(t, measured)
	assert.NotEqual(t, first, offset, "a clock that was set is followed")
	assert.LessOrEqual(t, offset.Abs(), time.Second)
}

func TestNowIsCorrected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := skew.New(slog.New(slog.DiscardHandler))
		assert.Equal(t, time.Now(), c.Now())
		now := time.Now()
		c.Observe(header(now.Add(time.Hour)), now, now)
		offset, _ := c.Offset()
		assert.Equal(t, now.Add(offset), c.Now())
	})
}

func TestADifferenceOver30SecondsIsLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	c := skew.New(slog.New(slog.NewTextHandler(&log, nil)))
	base := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	observe := func(ahead time.Duration) { c.Observe(header(base.Add(ahead)), base, base) }
	lines := func() int { return strings.Count(log.String(), "\n") }
	observe(29 * time.Second)
	assert.Zero(t, lines())
	observe(31 * time.Second)
	assert.Equal(t, 1, lines())
	assert.Contains(t, log.String(), "level=WARN")
	assert.Contains(t, log.String(), "server_ahead=32s")
	observe(10 * time.Minute)
	observe(-10 * time.Minute)
	assert.Equal(t, 1, lines(), "once")
	observe(0)
	observe(time.Minute)
	assert.Equal(t, 2, lines(), "and again after it was right")
}

func TestWithoutALoggerItLogsToTheDefault(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	defer slog.SetDefault(before)
	now := time.Now()
	skew.New(nil).Observe(header(now.Add(time.Hour)), now, now)
	assert.Contains(t, log.String(), "set the clock by NTP")
}
