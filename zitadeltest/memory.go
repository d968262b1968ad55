package zitadeltest

import (
	"context"
	"fmt"
	"net"
	"sync"
)

// pipeListener accepts connections made with net.Pipe. A goroutine that waits in one counts as durably blocked in a synctest
// bubble; one that waits on a socket does not.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	if addr != "localhost:80" {
		return nil, fmt.Errorf("zitadeltest: the client of a server in memory reaches http://localhost only, not %s", addr)
	}
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
	case <-ctx.Done():
	}
	client.Close()
	server.Close()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("zitadeltest: dial %s: %w", addr, net.ErrClosed)
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "memory" }
func (pipeAddr) String() string  { return "localhost:80" }
