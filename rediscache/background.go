package rediscache

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/redis/rueidis"
)

const (
	blockFor   = 5 * time.Second // how long one call waits for news
	patience   = 5 * time.Second // with a call in the background
	pageLength = 1000            // entries read at once
	field      = "m"             // of an entry of the journal
)

// begin starts the work in the background, once.
func (c *cache) begin() {
	c.start.Do(func() {
		c.work.Go(c.follow)
		c.work.Go(c.deliver)
	})
}

// follow connects, reads the journal and then what is new in it, until Close.
func (c *cache) follow() {
	defer func() {
		if client := c.connection(); client != nil {
			client.Close()
		}
	}()
	down := false
	pause := newPause()
	for c.ctx.Err() == nil {
		err := c.step()
		if err == nil {
			pause.Reset()
			if down {
				c.logger.Info("rediscache: Redis can be used again")
				down = false
			}
			continue
		}
		if !down && c.ctx.Err() == nil && !errors.Is(err, errLost) {
			c.logger.Warn("rediscache: Redis cannot be used, answers are not shared and evictions wait", "error", err)
			down = true
		}
		c.sleep(pause.NextBackOff())
	}
}

// step does the next thing to do: connect, read the journal, or wait for news of it.
func (c *cache) step() error {
	client := c.connection()
	if client == nil {
		client, err := rueidis.NewClient(*c.option)
		if err != nil {
			return fmt.Errorf("connecting: %w", err)
		}
		c.mu.Lock()
		c.client = client
		c.mu.Unlock()
		return nil
	}
	from, ready := c.journal.state()
	if !ready {
		return c.readAll(client)
	}
	// What is new is read with the entry before it, so that a journal that was lost is noticed.
	reading, cancelReading := context.WithTimeout(c.ctx, patience)
	defer cancelReading()
	asked := time.Now()
	if err := c.extend(client.Do(reading, c.newsFrom(client, from)), from, asked); err != nil {
		return err
	}
	// And then this only rings.
	from, _ = c.journal.state()
	waiting, cancel := context.WithCancel(c.ctx) // no deadline, which the library would not let Close cut short
	defer cancel()
	defer time.AfterFunc(blockFor+patience, cancel).Stop()
	go func() {
		select {
		case <-c.lost:
			cancel()
		case <-waiting.Done():
		}
	}()
	wait := client.B().Xread().Count(1).Block(blockFor.Milliseconds()).Streams().Key(c.journalKey()).Id(from.String()).Build()
	if err := client.Do(waiting, wait).Error(); err != nil && !rueidis.IsRedisNil(err) && waiting.Err() == nil {
		return fmt.Errorf("waiting for evictions: %w", err)
	}
	return nil
}

// newsFrom asks for the entry at from, which is the last that was read, and those after it.
func (c *cache) newsFrom(client rueidis.Client, from position) rueidis.Completed {
	return client.B().Xrange().Key(c.journalKey()).Start(from.String()).End("+").Count(pageLength).Build()
}

// extend takes the answer to newsFrom.
func (c *cache) extend(result rueidis.RedisResult, from position, asked time.Time) error {
	raw, err := result.AsXRange()
	if err != nil {
		return fmt.Errorf("reading evictions: %w", err)
	}
	n, ok := c.journal.extend(from, c.entries(raw, from), asked)
	c.heard(n)
	if !ok || len(raw) == pageLength { // lost, or far behind: read all
		c.loseJournal()
		return errLost
	}
	return nil
}

// readAll reads the journal from its beginning, and begins it anew where there is none or less of it than there was.
func (c *cache) readAll(client rueidis.Client) error {
	for try := range 3 {
		asked := time.Now()
		entries, err := c.wholeJournal(client)
		if err != nil {
			return err
		}
		n, ok := c.journal.begin(entries, asked)
		if c.heard(n); ok {
			return nil
		}
		switch try {
		case 0: // every replica of the fleet may be here at this moment: let one go first
			c.sleep(rand.N(100 * time.Millisecond))
		case 1:
			if err := c.beginJournal(client); err != nil {
				return err
			}
		}
	}
	return errors.New("the journal of evictions is shorter than it was, again and again")
}

func (c *cache) wholeJournal(client rueidis.Client) ([]entry, error) {
	var all []entry
	start := "-"
	for len(all) < maxConcerns {
		ctx, cancel := context.WithTimeout(c.ctx, patience)
		raw, err := client.Do(ctx, client.B().Xrange().Key(c.journalKey()).Start(start).End("+").Count(pageLength).Build()).AsXRange()
		cancel()
		if err != nil {
			return nil, fmt.Errorf("reading the journal of evictions: %w", err)
		}
		all = append(all, c.entries(raw, position{})...)
		if len(raw) < pageLength {
			return all, nil
		}
		start = "(" + raw[len(raw)-1].ID
	}
	return nil, fmt.Errorf("the journal of evictions has more than %d entries: something else writes to %q", maxConcerns, c.journalKey())
}

// beginJournal appends the mark that says that earlier entries may be lost. Positions go on from where they were, also when
// the clock of another Redis is behind.
func (c *cache) beginJournal(client rueidis.Client) error {
	mark := c.keys[0].sealMessage(c.prefix, message{id: newID(), sender: c.journal.self, sent: time.Now(), restart: true})
	read, _ := c.journal.state()
	if read.ms == math.MaxUint64 { // somebody has used up the positions
		c.journal.forget()
		read = position{}
	}
	for _, at := range []string{"*", position{read.ms + 1, 0}.String()} {
		ctx, cancel := context.WithTimeout(c.ctx, patience)
		got, err := client.Do(ctx, client.B().Xadd().Key(c.journalKey()).Maxlen().Almost().Threshold(fmt.Sprint(journalLength)).
			Id(at).FieldValue().FieldValue(field, rueidis.BinaryString(mark)).Build()).ToString()
		cancel()
		if refusedWith(err, usedUp) {
			err = errors.Join(err, c.dropJournal(client))
		}
		if err != nil {
			return fmt.Errorf("beginning the journal of evictions: %w", err)
		}
		if p, err := parsePosition(got); err != nil || read.before(p) {
			return err
		}
	}
	return nil
}

// entries opens what was read. Entries up to the one at known were opened before.
func (c *cache) entries(raw []rueidis.XRangeEntry, known position) []entry {
	var all []entry
	for _, r := range raw {
		at, err := parsePosition(r.ID)
		if err != nil {
			continue
		}
		e := entry{at: at}
		if known.before(at) {
			if e.message = c.open(r.FieldValues[field]); e.message == nil {
				c.counts.forged.Add(1)
			}
		}
		all = append(all, e)
	}
	return all
}

func (c *cache) open(sealed string) *message {
	for _, k := range c.keys {
		if m, err := k.openMessage(c.prefix, []byte(sealed)); err == nil {
			return &m
		}
	}
	return nil
}

func (c *cache) heard(n news) {
	for _, e := range n.evictions {
		c.counts.received.Add(1)
		c.tell(e)
	}
	for _, own := range n.own {
		c.outbox.read(own)
	}
	if n.restarted {
		c.outbox.resend()
	}
}

// deliver appends the evictions of this process to the journal, until Close.
func (c *cache) deliver() {
	pause := newPause()
	refusing := false
	for c.ctx.Err() == nil {
		m, ok := c.outbox.next()
		if !ok {
			select {
			case <-c.outbox.ring:
			case <-c.ctx.Done():
			}
			continue
		}
		if err := c.send(m); err != nil {
			if _, refused := rueidis.IsRedisErr(err); refused && !refusing { // of all else follow tells
				c.logger.Warn("rediscache: Redis takes no evictions, they wait", "error", err)
				refusing = true
			}
			c.sleep(pause.NextBackOff())
			continue
		}
		if refusing {
			c.logger.Info("rediscache: Redis takes evictions again")
			refusing = false
		}
		c.outbox.taken(m.id)
		c.counts.sent.Add(1)
		pause.Reset()
	}
}

// send appends a message, but not to a journal that was lost: that has to be begun first.
func (c *cache) send(m message) error {
	client := c.connection()
	if client == nil {
		return errNotReady
	}
	sealed := c.keys[0].sealMessage(c.prefix, m)
	ctx, cancel := context.WithTimeout(c.ctx, patience)
	defer cancel()
	err := client.Do(ctx, client.B().Xadd().Key(c.journalKey()).Nomkstream().Maxlen().Almost().Threshold(fmt.Sprint(journalLength)).
		Id("*").FieldValue().FieldValue(field, rueidis.BinaryString(sealed)).Build()).Error()
	if refusedWith(err, "OOM") || refusedWith(err, usedUp) {
		// Redis is full, or somebody has used the last id there is. It takes no eviction but still gives out what the eviction
		// ends. It does let go of the journal, and without that no replica uses what was stored before.
		if err := c.dropJournal(client); err != nil {
			return err
		}
		err = rueidis.Nil
	}
	if rueidis.IsRedisNil(err) {
		c.loseJournal()
		return errLost
	}
	return err
}

// usedUp is how Redis says that the journal has had the last id there is.
const usedUp = "The stream has exhausted the last possible ID"

func refusedWith(err error, words string) bool {
	refusal, ok := rueidis.IsRedisErr(err)
	return ok && strings.HasPrefix(strings.TrimPrefix(refusal.Error(), "ERR "), words)
}

func (c *cache) dropJournal(client rueidis.Client) error {
	ctx, cancel := context.WithTimeout(c.ctx, patience)
	defer cancel()
	return client.Do(ctx, client.B().Del().Key(c.journalKey()).Build()).Error()
}

// loseJournal has the journal read anew.
func (c *cache) loseJournal() {
	c.journal.lose()
	select {
	case c.lost <- struct{}{}:
	default:
	}
}

// newPause makes pauses between tries: short ones, as a Redis that is back is to be used soon.
func newPause() *backoff.ExponentialBackOff {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 50*time.Millisecond, time.Second
	return pause
}

func (c *cache) sleep(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.ctx.Done():
	}
}
