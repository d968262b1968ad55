package introspect

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
)

// noted is an Evictor that takes notes.
type noted []string

func (n *noted) EvictTokenID(id string)  { *n = append(*n, "id "+id) }
func (n *noted) EvictSubject(sub string) { *n = append(*n, "subject "+sub) }
func (n *noted) EvictAll()               { *n = append(*n, "all") }

// fleet is a Shared that knows no answers and tells what other replicas evict.
type fleet struct{ tell func(Eviction) }

func (f *fleet) Load(context.Context, SharedKey) (SharedAnswer, bool, error) {
	return SharedAnswer{}, false, nil
}
func (f *fleet) Store(context.Context, SharedKey, SharedAnswer) error { return nil }
func (f *fleet) Delete(context.Context, SharedKey) error              { return nil }
func (f *fleet) Publish(Eviction)                                     {}
func (f *fleet) Watch(evict func(Eviction))                           { f.tell = evict }

func TestAlsoEvictHearsOfOwnEvictions(t *testing.T) {
	v := newVerifier(t, &stub{answer: active})
	var first, second noted
	v.AlsoEvict(&first)
	v.AlsoEvict(&second)
	v.EvictTokenID("t1")
	v.EvictSubject("u1")
	v.EvictAll()
	v.EvictToken("some token") // by id, by subject or altogether only
	assert.Equal(t, noted{"id t1", "subject u1", "all"}, first)
	assert.Equal(t, first, second)
}

func TestAlsoEvictHearsOfTheFleet(t *testing.T) {
	shared := new(fleet)
	v := newVerifier(t, &stub{answer: active}, func(cfg *Config) { cfg.Shared = shared })
	var heard noted
	v.AlsoEvict(&heard)
	shared.tell(Eviction{TokenID: "t1"})
	shared.tell(Eviction{Issuer: issuer, Subject: "u1"})
	shared.tell(Eviction{Issuer: "https://another.example", All: true})
	shared.tell(Eviction{Issuer: issuer, All: true})
	assert.Equal(t, noted{"id t1", "subject u1", "all"}, heard)
}
