package guard_test

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/internal/guard"
)

func guarded(logger *slog.Logger, f func()) (err error) {
	defer guard.Panic(logger, &err)
	f()
	return nil
}

func TestAPanicIsAnErrorAndItsStackIsLogged(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	assert.NoError(t, guarded(logger, func() {}))
	assert.Empty(t, log.String())

	err := guarded(logger, func() { panic("hunter2") })
	assert.ErrorIs(t, err, postern.ErrUnavailable)
	assert.ErrorContains(t, err, "a panic (string)")
	assert.Contains(t, log.String(), "guard_test.go")
	assert.NotContains(t, err.Error()+log.String(), "hunter2")

	var none []int
	assert.ErrorContains(t, guarded(logger, func() { _ = none[len(log.String())] }), "index out of range")
}
