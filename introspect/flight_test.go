package introspect

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The array of a queue lives on, and a flight holds a token.
func TestWhatLeftTheQueueIsNotKept(t *testing.T) {
	array := []*flight{{token: "a"}, {token: "b"}}
	queue := array
	require.Equal(t, "a", pop(&queue).token)
	require.Equal(t, "b", pop(&queue).token)
	require.Empty(t, queue)
	require.Equal(t, []*flight{nil, nil}, array)
}
