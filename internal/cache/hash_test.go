package cache

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The vectors are those of the reference implementation of SipHash-2-4 with 128 bits of output: key 00 01 … 0f, message
// 00 01 … of the given length.
func TestSipIsSipHash24With128Bits(t *testing.T) {
	h := Hasher{k0: binary.LittleEndian.Uint64([]byte{0, 1, 2, 3, 4, 5, 6, 7}), k1: binary.LittleEndian.Uint64([]byte{8, 9, 10, 11, 12, 13, 14, 15})}
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
		key := h.sip(string(message))
		got := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, key.a), key.b)
		assert.Equal(t, want, hex.EncodeToString(got), "length %d", length)
	}
}

// NH by its definition: RFC 4418 §5.2.2, with words of 64 bits and sums modulo 2^128, and for the second iteration §5.2.1 with
// the key moved by two words.
func TestCompressIsNH(t *testing.T) {
	h := newHasher()
	for length := range 100 {
		message := make([]byte, length)
		_, _ = rand.Read(message)
		words := make([]byte, (length+15)/16*16)
		copy(words, message)
		var want [2]big.Int
		for iteration := range want {
			for i := 0; i < len(words)/8; i += 2 {
				a := binary.LittleEndian.Uint64(words[8*i:]) + h.nh[i+2*iteration]
				b := binary.LittleEndian.Uint64(words[8*i+8:]) + h.nh[i+1+2*iteration]
				var product big.Int
				want[iteration].Add(&want[iteration], product.Mul(new(big.Int).SetUint64(a), new(big.Int).SetUint64(b)))
			}
			want[iteration].Mod(&want[iteration], new(big.Int).Lsh(big.NewInt(1), 128))
		}
		got := h.compress(string(message))
		for iteration := range want {
			high, low := new(big.Int).SetUint64(got[2*iteration+1]), new(big.Int).SetUint64(got[2*iteration])
			require.Zero(t, want[iteration].Cmp(high.Add(high.Lsh(high, 64), low)), "length %d", length)
		}
	}
}

func TestKeyIsSipHashOfWhatNHGivesAndTheLength(t *testing.T) {
	h := newHasher()
	for _, length := range []int{0, 1, 255, 256, 288, 300, maxHashed} {
		token := strings.Repeat("t", length)
		var message []byte
		for _, word := range h.compress(token) {
			message = binary.LittleEndian.AppendUint64(message, word)
		}
		message = binary.LittleEndian.AppendUint16(message, uint16(length))
		require.Equal(t, h.sip(string(message)), h.Key(token), "length %d", length)
	}
}

func TestTheLongestTokensAreHashedToTheirLastByte(t *testing.T) {
	h := newHasher()
	for _, length := range []int{maxHashed - 1, maxHashed, maxHashed + 1, 3 * maxHashed} {
		token := []byte(strings.Repeat("x", length))
		before := h.Key(string(token))
		for _, at := range []int{0, length / 2, length - 1} {
			token[at] = 'y'
			require.NotEqual(t, before, h.Key(string(token)), "length %d, byte %d", length, at)
			token[at] = 'x'
		}
		require.NotEqual(t, before, h.Key(string(token[1:])))
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
