package cache

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
)

// Key is the keyed hash of a token: 128 bits that say nothing about the token to who does not have the hash key.
type Key struct{ a, b uint64 }

// Hasher makes keys of tokens, under random keys that are made in New and never leave the process: the token is compressed by
// NH, as UMAC does (RFC 4418 §5.2), with words of 64 bits and two Toeplitz iterations, and the outcome goes with the token's
// length, a message of 34 bytes, through SipHash-2-4 with 128 bits of output.
//
// That is hash-then-PRF, after Carter and Wegman. For any two tokens of one length NH gives the same outcome with a probability
// of at most 2^-128 over its key, and without an assumption; tokens of different lengths differ in the length. SipHash is a
// pseudorandom function, made for tables whose keys an attacker chooses. Its output, of which a table betrays a part by timing,
// tells nothing about NH's, so that choosing tokens after watching helps nobody. Among n tokens, however they were chosen, two
// have the same Key with a probability of at most n²/2^128 plus an attacker's advantage against SipHash (none better than
// guessing its key is known): for a million million tokens, 2^-48. Only then would a token be answered with what belongs to
// another. Nor can anybody aim at a set of the table.
//
// It was chosen by measurement among hashes for which such an argument can be made. For a token of 288 characters, as
// multiples of SHA-256 of it on a processor with instructions for that: this one 0.33; GMAC with a fixed nonce, which has a proof
// only against who sees no part of its output, 0.32; SipHash-2-4 of the whole token 0.63.
type Hasher struct {
	k0, k1 uint64
	nh     *[nhWords + 2]uint64
}

const (
	maxHashed = 8 << 10 // longer tokens, which nobody should have, go through SipHash whole
	nhWords   = maxHashed / 8
)

func newHasher() Hasher {
	var seed [(nhWords + 4) * 8]byte
	_, _ = rand.Read(seed[:]) // never fails: see its documentation
	h := Hasher{k0: binary.LittleEndian.Uint64(seed[:]), k1: binary.LittleEndian.Uint64(seed[8:]), nh: new([nhWords + 2]uint64)}
	for i := range h.nh {
		h.nh[i] = binary.LittleEndian.Uint64(seed[16+8*i:])
	}
	return h
}

// Key returns the key of a token.
func (h *Hasher) Key(token string) Key {
	if len(token) > maxHashed {
		return h.sip(token)
	}
	nh := h.compress(token)
	s := newSIP(h.k0, h.k1).add(nh[0]).add(nh[1]).add(nh[2]).add(nh[3])
	return s.sum(4*8+2, uint64(len(token)))
}

// compress is NH: the sum, modulo 2^128, of the products of pairs of words, each plus a word of the key; and the same again with
// the key moved by a pair.
func (h *Hasher) compress(token string) [4]uint64 {
	var low1, high1, low2, high2 uint64
	key, rest := h.nh[:], token
	for len(rest) >= 32 && len(key) >= 6 { // two pairs a turn, for speed
		low1, high1 = multiply(low1, high1, word(rest)+key[0], word(rest[8:])+key[1])
		low2, high2 = multiply(low2, high2, word(rest)+key[2], word(rest[8:])+key[3])
		low1, high1 = multiply(low1, high1, word(rest[16:])+key[2], word(rest[24:])+key[3])
		low2, high2 = multiply(low2, high2, word(rest[16:])+key[4], word(rest[24:])+key[5])
		rest, key = rest[32:], key[4:]
	}
	if len(rest) >= 16 && len(key) >= 4 {
		low1, high1 = multiply(low1, high1, word(rest)+key[0], word(rest[8:])+key[1])
		low2, high2 = multiply(low2, high2, word(rest)+key[2], word(rest[8:])+key[3])
		rest, key = rest[16:], key[2:]
	}
	if len(rest) > 0 && len(key) >= 4 {
		a, b := padded(rest), uint64(0)
		if len(rest) > 8 {
			a, b = word(rest), padded(rest[8:])
		}
		low1, high1 = multiply(low1, high1, a+key[0], b+key[1])
		low2, high2 = multiply(low2, high2, a+key[2], b+key[3])
	}
	return [4]uint64{low1, high1, low2, high2}
}

// multiply adds the product of x and y to a number of 128 bits.
func multiply(low, high, x, y uint64) (uint64, uint64) {
	h, l := bits.Mul64(x, y)
	low, carry := bits.Add64(low, l, 0)
	high, _ = bits.Add64(high, h, carry)
	return low, high
}

// word returns the first eight bytes, by one load instruction: the compiler knows the pattern.
func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// padded returns up to eight bytes, and zeros for those missing.
func padded(s string) (word uint64) {
	for i := range min(len(s), 8) {
		word |= uint64(s[i]) << (8 * i)
	}
	return word
}

// sip is SipHash-2-4 with 128 bits of output, https://www.aumasson.jp/siphash/siphash.pdf.
func (h *Hasher) sip(message string) Key {
	s, rest := newSIP(h.k0, h.k1), message
	for ; len(rest) >= 8; rest = rest[8:] {
		s = s.add(word(rest))
	}
	return s.sum(len(message), padded(rest))
}

type sip struct{ v0, v1, v2, v3 uint64 }

func newSIP(k0, k1 uint64) sip {
	return sip{k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d ^ 0xee, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573}
}

func (s sip) add(word uint64) sip {
	s.v3 ^= word
	s = s.rounds(2)
	s.v0 ^= word
	return s
}

// sum ends a message of that length with its last bytes, up to seven.
func (s sip) sum(length int, rest uint64) Key {
	s = s.add(uint64(length)<<56 | rest)
	s.v2 ^= 0xee
	s = s.rounds(4)
	a := s.v0 ^ s.v1 ^ s.v2 ^ s.v3
	s.v1 ^= 0xdd
	s = s.rounds(4)
	return Key{a, s.v0 ^ s.v1 ^ s.v2 ^ s.v3}
}

func (s sip) rounds(n int) sip {
	v0, v1, v2, v3 := s.v0, s.v1, s.v2, s.v3
	for range n {
		v0 += v1
		v2 += v3
		v1 = bits.RotateLeft64(v1, 13) ^ v0
		v3 = bits.RotateLeft64(v3, 16) ^ v2
		v0 = bits.RotateLeft64(v0, 32)
		v2 += v1
		v0 += v3
		v1 = bits.RotateLeft64(v1, 17) ^ v2
		v3 = bits.RotateLeft64(v3, 21) ^ v0
		v2 = bits.RotateLeft64(v2, 32)
	}
	return sip{v0, v1, v2, v3}
}
