package cache

import (
	"encoding/binary"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The vectors are those of the reference implementation of SipHash-2-4 with 128 bits of output: key 00 01 … 0f, message
// 00 01 … of the given length.
func TestKeyIsSipHash24With128Bits(t *testing.T) {
	h := Hasher{binary.LittleEndian.Uint64([]byte{0, 1, 2, 3, 4, 5, 6, 7}), binary.LittleEndian.Uint64([]byte{8, 9, 10, 11, 12, 13, 14, 15})}
	for length, want := range map[int]string{
		0:  "a3817f04ba25a8e66df67214c7550293",
		1:  "da87c1d86b99af44347659119b22fc45",
		2:  "8177228da4a45dc7fca38bdef60affe4",
		15: "5493e99933b0a8117e08ec0f97cfc3d9",
		63: "5150d1772f50834a503e069a973fbd7c",
	} {
		message := make([]byte, length)
		for i := range message {
			message[i] = byte(i)
		}
		key := h.Key(string(message))
		got := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, key.a), key.b)
		assert.Equal(t, want, hex.EncodeToString(got), "length %d", length)
	}
}

func TestKeyDependsOnTheProcess(t *testing.T) {
	a, b := newHasher(), newHasher()
	require.NotEqual(t, a.Key("token"), b.Key("token"))
}

func TestKeyDependsOnEveryByteAndTheLength(t *testing.T) {
	h := newHasher()
	seen := map[Key]string{}
	token := "0123456789abcdef0123456"
	for i := range token {
		for _, variant := range []string{token[:i], token[:i] + "X" + token[i+1:], token[:i] + "\x00"} {
			key := h.Key(variant)
			require.NotContains(t, seen, key, "%q and %q", variant, seen[key])
			seen[key] = variant
		}
	}
}

func TestKeyAllocatesNothing(t *testing.T) {
	h := newHasher()
	token := string(make([]byte, 288))
	require.Zero(t, testing.AllocsPerRun(100, func() { h.Key(token) }))
}
