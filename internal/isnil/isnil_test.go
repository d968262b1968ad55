package isnil

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestIs(t *testing.T) {
	var (
		pointer *int
		call    func()
		err     error
	)
	for _, v := range []any{nil, pointer, call, err, map[string]int(nil), []int(nil), (chan int)(nil)} {
		assert.True(t, Is(v), "%T", v)
	}
	for _, v := range []any{0, "", struct{}{}, new(int), func() {}, errors.ErrUnsupported, []int{}} {
		assert.False(t, Is(v), "%T", v)
	}
}
