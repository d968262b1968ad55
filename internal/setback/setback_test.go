package setback

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestTheLastReportIsSeen(t *testing.T) {
	Report(t.Context(), errors.New("nobody watches"))
	ctx, last := Watch(t.Context())
	assert.NoError(t, last(), "before any report")
	call, end := context.WithCancel(ctx) // calls have contexts of their own
	Report(call, errors.New("first"))
	Report(call, errors.ErrUnsupported)
	end()
	assert.ErrorIs(t, last(), errors.ErrUnsupported)
}
