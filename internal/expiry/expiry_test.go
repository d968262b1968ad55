package expiry_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/postern-go/postern/internal/expiry"
)

const day = 24 * time.Hour

func watch(before time.Duration) (w *expiry.Watch, warnings func() int, calls *[]time.Time) {
	var log bytes.Buffer
	calls = new([]time.Time)
	w = &expiry.Watch{
		What: "token", Before: before, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Call: func(expires time.Time) { *calls = append(*calls, expires) },
	}
	return w, func() int { return strings.Count(log.String(), "level=WARN") }, calls
}

func TestOneWarningADayFromAWeekBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, warnings, calls := watch(0)
		expires := time.Now().Add(30 * day)
		for range 32 * 24 { // used every hour until two days after the end
			w.Check(expires)
			time.Sleep(time.Hour) // the bubble's clock
		}
		assert.Equal(t, 9, warnings())
		assert.Len(t, *calls, 9)
		assert.Equal(t, expires, (*calls)[0])
	})
}

func TestTheFirstWarningIsNotLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, warnings, _ := watch(2 * day)
		expires := time.Now().Add(10 * day)
		w.Check(expires)
		time.Sleep(8*day - time.Nanosecond)
		w.Check(expires)
		assert.Zero(t, warnings())
		time.Sleep(time.Nanosecond)
		w.Check(expires)
		assert.Equal(t, 1, warnings())
	})
}

func TestANewCredentialIsWarnedOfAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, warnings, _ := watch(0)
		w.Check(time.Now().Add(day))
		w.Check(time.Now().Add(30 * day))
		assert.Equal(t, 1, warnings())
		w.Check(time.Now().Add(2 * day))
		assert.Equal(t, 2, warnings())
	})
}

func TestNoWarning(t *testing.T) {
	w, warnings, _ := watch(0)
	w.Check(time.Time{})
	w.Check(time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC))
	(*expiry.Watch)(nil).Check(time.Now())
	off, offWarnings, _ := watch(-1)
	off.Check(time.Now())
	assert.Zero(t, warnings())
	assert.Zero(t, offWarnings())
}

func TestManyAtOnceWarnOnce(t *testing.T) {
	w, warnings, _ := watch(0)
	var group sync.WaitGroup
	expires := time.Now().Add(time.Hour)
	for range 32 {
		group.Go(func() { w.Check(expires) })
	}
	group.Wait()
	assert.Equal(t, 1, warnings())
}
