package rediscache

import (
	"sync"
	"time"

	"github.com/postern-go/postern/introspect"
)

const (
	maxOutgoing = 1000      // messages kept, sent or not
	resendFor   = time.Hour // how long after it was published a message is sent again when the journal was lost
)

// outbox holds the evictions of this process: those that wait for Redis, and those that may have to be sent once more because
// Redis lost its journal.
type outbox struct {
	journal *journal
	ring    chan struct{} // rings when there is something to send

	mu       sync.Mutex
	messages []*outgoing
}

type outgoing struct {
	message
	held  bool // out of use here until it is in the journal
	taken bool // by Redis
}

func newOutbox(j *journal) *outbox {
	return &outbox{journal: j, ring: make(chan struct{}, 1)}
}

// add takes an eviction for delivery. What it concerns is out of use here when add returns.
func (o *outbox) add(e introspect.Eviction, m id) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.prune()
	var replaced []*outgoing
	if len(o.messages) >= maxOutgoing { // rather too much evicted than too little
		replaced, o.messages, e = o.messages, nil, introspect.Eviction{All: true}
	}
	o.journal.hold(e)
	for _, m := range replaced { // now that the one in their place holds
		o.release(m)
	}
	o.messages = append(o.messages, &outgoing{message: message{id: m, sender: o.journal.self, sent: time.Now(), Eviction: e}, held: true})
	o.wake()
}

// next returns a message to send, or false when there is none.
func (o *outbox) next() (message, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, m := range o.messages {
		if !m.taken {
			return m.message, true
		}
	}
	return message{}, false
}

// taken says that Redis took the message.
func (o *outbox) taken(of id) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, m := range o.messages {
		m.taken = m.taken || m.id == of
	}
}

// read says that the message was read from the journal, where everybody finds it.
func (o *outbox) read(of id) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, m := range o.messages {
		if m.id == of {
			m.taken = true
			o.release(m)
		}
	}
}

// resend has everything sent again that is not too old.
func (o *outbox) resend() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.prune()
	for _, m := range o.messages {
		m.taken = false
	}
	if len(o.messages) > 0 {
		o.wake()
	}
}

// waiting counts the messages that Redis has not taken.
func (o *outbox) waiting() (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, m := range o.messages {
		if !m.taken {
			n++
		}
	}
	return n
}

// prune forgets what was delivered and is too old to be sent again, and the oldest of what was delivered when there is much.
func (o *outbox) prune() {
	surplus := len(o.messages) - maxOutgoing/2
	kept := o.messages[:0]
	for _, m := range o.messages {
		if m.taken && !m.held && (surplus > 0 || time.Since(m.sent) > resendFor) {
			surplus--
			continue
		}
		kept = append(kept, m)
	}
	clear(o.messages[len(kept):])
	o.messages = kept
}

func (o *outbox) release(m *outgoing) {
	if m.held {
		m.held = false
		o.journal.release(m.Eviction)
	}
}

func (o *outbox) wake() {
	select {
	case o.ring <- struct{}{}:
	default:
	}
}
