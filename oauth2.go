package postern

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"golang.org/x/oauth2"

	"github.com/postern-go/postern/internal/isnil"
)

// FromOAuth2 makes a TokenSource of any oauth2.TokenSource, whose Token takes no context: TokenCtx calls it in a goroutine of its
// own and returns the context's error as soon as ctx ends, while the call goes on. However many callers there are and however
// many have left, one call is under way; callers that come meanwhile share its result. A panic in src becomes an error.
//
// It keeps no token: what src returns from its own cache stays src's decision. Where src has none, or where callers must not wait
// for its renewals, wrap the result in Reuse.
//
// A src that is a TokenSource already is returned as it is. A nil src, typed or not, gives a source that refuses every call.
func FromOAuth2(src oauth2.TokenSource) TokenSource {
	if isnil.Is(src) {
		return refusing{errors.New("postern: FromOAuth2 was given no token source (nil)")}
	}
	if s, ok := src.(TokenSource); ok {
		return s
	}
	return &adapter{src: src}
}

type adapter struct {
	src oauth2.TokenSource

	mu   sync.Mutex
	call *call // under way
}

type call struct {
	done  chan struct{}
	token *oauth2.Token // token and err: before done is closed
	err   error
}

// Token needs no goroutine: there is no context to respect, and a panic is the caller's, as it is with src alone.
func (a *adapter) Token() (*oauth2.Token, error) { return checked(a.src.Token()) }

func (a *adapter) TokenCtx(ctx context.Context) (*oauth2.Token, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("postern: no token was asked for: %w", err)
	}
	c := a.join()
	select {
	case <-c.done:
		return c.token, c.err
	case <-ctx.Done():
		return nil, fmt.Errorf("postern: waiting for a token: %w", ctx.Err())
	}
}

// Format keeps what src holds out of logs, whatever the verb.
func (a *adapter) Format(s fmt.State, _ rune) { io.WriteString(s, "postern.FromOAuth2(…)") }

func (a *adapter) join() *call {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.call != nil {
		return a.call
	}
	c := &call{done: make(chan struct{}), err: errors.New("postern: the token source ended its goroutine (runtime.Goexit) instead of returning")}
	a.call = c
	go func() {
		defer func() {
			if p := recover(); p != nil {
				c.err = panicked(slog.Default(), p)
			}
			a.mu.Lock()
			a.call = nil
			a.mu.Unlock()
			close(c.done)
		}()
		c.token, c.err = checked(a.src.Token())
	}()
	return c
}
