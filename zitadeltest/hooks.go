package zitadeltest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// hooks delivers events to webhooks, in order, one try each. A goroutine works while there is something to deliver.
type hooks struct {
	client *http.Client
	now    func() time.Time

	mu      sync.Mutex
	queue   []delivery
	working bool
	stopped bool
	stop    context.CancelFunc
	ctx     context.Context
	done    sync.WaitGroup
}

type delivery struct {
	endpoint, key string
	timeout       time.Duration
	body          []byte
}

// event is what a webhook receives.
type event struct {
	AggregateID   string    `json:"aggregateID"`
	AggregateType string    `json:"aggregateType"`
	ResourceOwner string    `json:"resourceOwner"`
	InstanceID    string    `json:"instanceID"`
	Version       string    `json:"version"`
	Sequence      uint64    `json:"sequence"`
	EventType     string    `json:"event_type"`
	CreatedAt     time.Time `json:"created_at"`
	UserID        string    `json:"userID"` // who caused it
	Payload       any       `json:"event_payload,omitempty"`
}

func (h *hooks) init(transport http.RoundTripper, now func() time.Time) {
	h.client = &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	h.now = now
	h.ctx, h.stop = context.WithCancel(context.Background())
}

// close drops what is not delivered yet.
func (h *hooks) close() {
	h.mu.Lock()
	h.stopped, h.queue = true, nil
	h.mu.Unlock()
	h.stop()
	h.done.Wait()
	h.client.CloseIdleConnections()
}

// deliver sends an event to the targets of the execution that fits it best. The state's mutex is held.
func (h *hooks) deliver(st *state, a *aggregate, by, kind string, payload any) {
	x := st.execution(kind)
	if x == nil {
		return
	}
	body, err := json.Marshal(event{
		AggregateID: a.id, AggregateType: a.kind, ResourceOwner: a.owner, InstanceID: st.instanceID, Version: a.version,
		Sequence: a.seq, EventType: kind, CreatedAt: a.changed, UserID: by, Payload: payload,
	})
	if err != nil {
		return // cannot be: payloads are maps of plain values
	}
	for _, id := range x.targets {
		if t := find(st.targets, func(t *target) bool { return t.id == id }); t != nil {
			h.enqueue(delivery{t.endpoint, t.key, t.timeout, body})
		}
	}
}

// execution finds the one for an event: its own, or that of the narrowest group, or the one for all.
func (st *state) execution(kind string) *execution {
	names := []string{kind}
	for i := strings.LastIndexByte(kind, '.'); i > 0; i = strings.LastIndexByte(kind[:i], '.') {
		names = append(names, kind[:i]+".*")
	}
	for _, name := range append(names, "*") {
		if x := find(st.executions, func(x *execution) bool { return x.condition == name }); x != nil {
			return x
		}
	}
	return nil
}

func (h *hooks) enqueue(d delivery) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped {
		return
	}
	h.queue = append(h.queue, d)
	if !h.working {
		h.working = true
		h.done.Go(h.work)
	}
}

func (h *hooks) work() {
	for {
		h.mu.Lock()
		if len(h.queue) == 0 {
			h.working = false
			h.mu.Unlock()
			return
		}
		d := h.queue[0]
		h.queue = h.queue[1:]
		h.mu.Unlock()
		h.send(d)
	}
}

func (h *hooks) send(d delivery) {
	ctx, cancel := context.WithTimeout(h.ctx, d.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.endpoint, bytes.NewReader(d.body))
	if err != nil {
		return // cannot be: the endpoint was checked when the target was made
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("ZITADEL-Signature", signature(h.now(), d.key, d.body))
	resp, err := h.client.Do(req)
	if err != nil {
		return // best effort, as ZITADEL's
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, bodyLimit))
	resp.Body.Close()
}

// signature is ZITADEL's: HMAC-SHA256 over the time, a dot and the body.
func signature(now time.Time, key string, body []byte) string {
	t := now.Unix()
	mac := hmac.New(sha256.New, []byte(key))
	fmt.Fprintf(mac, "%d.", t)
	mac.Write(body)
	return fmt.Sprintf("t=%d,v1=%s", t, hex.EncodeToString(mac.Sum(nil)))
}
