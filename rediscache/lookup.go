package rediscache

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
	"github.com/sony/gobreaker/v2"

	"github.com/postern-go/postern/introspect"
)

var (
	errNotReady = errors.New("rediscache: the journal of evictions has not been read yet")
	errAway     = fmt.Errorf("rediscache: Redis failed %d times in a row and is left alone for %v", breakerFailures, breakerPause)
	errBusy     = errors.New("rediscache: too many calls to Redis are waiting")
	errLost     = errors.New("rediscache: the journal of evictions was lost")
)

// refusedError is Redis's refusal of a command that writes: out of memory, read-only, not permitted. It was quick and says nothing
// about reading, so it does not open the breaker.
type refusedError struct{ error }

func (e refusedError) Unwrap() error { return e.error }

func refused(err error) error {
	if _, ok := rueidis.IsRedisErr(err); ok {
		return refusedError{err}
	}
	return err
}

type counts struct {
	hits, misses, evicted, forged, failures, skipped, stored, sent, received atomic.Uint64
}

func (c *cache) load(ctx context.Context, key introspect.SharedKey) (introspect.SharedAnswer, bool, error) {
	names := make([]string, len(c.keys))
	for i, k := range c.keys {
		names[i] = k.name(key)
	}
	var found [][]byte
	err := c.call(ctx, func(ctx context.Context, client rueidis.Client) (err error) {
		found, err = c.fetch(ctx, client, names)
		return err
	})
	if err != nil {
		return introspect.SharedAnswer{}, false, err
	}
	for i, sealed := range found {
		if len(sealed) == 0 {
			continue
		}
		a, err := c.keys[i].openAnswer(key, sealed)
		switch {
		case err != nil:
			c.counts.forged.Add(1)
		case !time.Now().Before(a.Expires):
		case !c.journal.usable(names[i], key.Issuer, a):
			c.counts.evicted.Add(1)
			return introspect.SharedAnswer{}, false, nil
		default:
			c.counts.hits.Add(1)
			return a.SharedAnswer, true, nil
		}
	}
	c.counts.misses.Add(1)
	return introspect.SharedAnswer{}, false, nil
}

// fetch reads the values with these names and, unless that was done a moment ago, what is new in the journal. No more of a
// value is read than an answer can have.
func (c *cache) fetch(ctx context.Context, client rueidis.Client, names []string) ([][]byte, error) {
	from, _ := c.journal.state()
	var commands rueidis.Commands
	for _, name := range names {
		commands = append(commands, client.B().Getrange().Key(c.answerKey(name)).Start(0).End(maxAnswer).Build())
	}
	asked, check := time.Now(), c.journal.due()
	if check {
		commands = append(commands, c.newsFrom(client, from))
	}
	results := client.DoMulti(ctx, commands...)
	found := make([][]byte, len(names))
	for i := range names {
		value, err := results[i].AsBytes()
		if err != nil {
			return nil, err
		}
		found[i] = value
	}
	if check {
		if err := c.extend(results[len(names)], from, asked); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (c *cache) store(ctx context.Context, key introspect.SharedKey, shared introspect.SharedAnswer) error {
	ttl := time.Until(shared.Expires)
	if ttl < time.Millisecond {
		return nil
	}
	at, ok := c.journal.positionAt(shared.Asked)
	if !ok {
		c.begin()
		c.counts.skipped.Add(1)
		return errNotReady
	}
	sealed, err := c.keys[0].sealAnswer(key, answer{shared, at})
	if err != nil {
		return err
	}
	name := c.answerKey(c.keys[0].name(key))
	err = c.call(ctx, func(ctx context.Context, client rueidis.Client) error {
		return refused(client.Do(ctx, client.B().Set().Key(name).Value(rueidis.BinaryString(sealed)).Px(ttl).Build()).Error())
	})
	if err == nil {
		c.counts.stored.Add(1)
	}
	return err
}

func (c *cache) delete(ctx context.Context, key introspect.SharedKey) error {
	var names []string
	for _, k := range c.keys {
		name := k.name(key)
		c.journal.delete(name)
		names = append(names, c.answerKey(name))
	}
	return c.call(ctx, func(ctx context.Context, client rueidis.Client) error {
		var commands rueidis.Commands
		for _, name := range names {
			commands = append(commands, client.B().Del().Key(name).Build())
		}
		var err error
		for _, result := range client.DoMulti(ctx, commands...) {
			err = errors.Join(err, refused(result.Error()))
		}
		return err
	})
}

// call runs f within the budget, whatever the client library does: a full pipeline or a connection in the making can hold it
// longer than its context lives. Then f goes on alone, and counts as in flight until it ends.
func (c *cache) call(ctx context.Context, f func(context.Context, rueidis.Client) error) error {
	c.begin()
	client := c.connection()
	if _, ready := c.journal.state(); client == nil || !ready || c.ctx.Err() != nil {
		c.counts.skipped.Add(1)
		return errNotReady
	}
	_, err := c.breaker.Execute(func() (struct{}, error) {
		select {
		case c.slots <- struct{}{}:
		default:
			return struct{}{}, errBusy
		}
		within, cancel := context.WithTimeout(ctx, budget)
		defer cancel() // here, as an answer and the end of within must not come together
		done := make(chan error, 1)
		go func() {
			defer func() { <-c.slots }()
			done <- f(within, client)
		}()
		select {
		case err := <-done:
			if ctx.Err() != nil { // the caller left, which says nothing about Redis
				return struct{}{}, context.Canceled
			}
			return struct{}{}, err
		case <-within.Done():
			if ctx.Err() != nil {
				return struct{}{}, context.Canceled
			}
			return struct{}{}, fmt.Errorf("rediscache: Redis did not answer within %v", budget)
		}
	})
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, gobreaker.ErrOpenState), errors.Is(err, gobreaker.ErrTooManyRequests):
		c.counts.skipped.Add(1)
		return errAway
	case errors.Is(err, errBusy):
		c.counts.skipped.Add(1)
	default:
		c.counts.failures.Add(1)
	}
	return err
}
