// Package redisserver runs a real redis-server on loopback for tests and drills, and makes it fail.
package redisserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Server is a redis-server process that keeps nothing on disk. It is not safe for concurrent use.
type Server struct {
	addr string
	args []string
	cmd  *exec.Cmd
}

// ErrMissing means that there is no redis-server on this machine.
var ErrMissing = errors.New("redisserver: no redis-server in PATH: on Debian, apt-get install redis-server")

// Start starts a server on a free port of 127.0.0.1 and waits until it answers. args are further options, as on its command
// line.
func Start(args ...string) (*Server, error) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return nil, ErrMissing
	}
	var failed error
	for range 3 { // another process may be faster to take the port
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		s := &Server{addr: l.Addr().String(), args: args}
		if err := l.Close(); err != nil {
			return nil, err
		}
		if failed = s.Restart(); failed == nil {
			return s, nil
		}
	}
	return nil, failed
}

// ForTest starts a server that ends with the test. Without a redis-server the test is skipped, and with CI=true it fails.
func ForTest(t testing.TB, args ...string) *Server {
	t.Helper()
	s, err := Start(args...)
	if errors.Is(err, ErrMissing) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	return s
}

// Sentinel is the one argument of Start that makes a Sentinel with that configuration file.
func Sentinel(config string) string { return sentinelMark + config }

const sentinelMark = "sentinel:"

// Addr returns host and port.
func (s *Server) Addr() string { return s.addr }

// Restart starts a server that was killed on the same port, empty.
func (s *Server) Restart() error {
	_, port, _ := net.SplitHostPort(s.addr)
	args := append([]string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", os.TempDir()}, s.args...)
	if len(s.args) == 1 && strings.HasPrefix(s.args[0], sentinelMark) {
		args = []string{strings.TrimPrefix(s.args[0], sentinelMark), "--sentinel", "--port", port, "--bind", "127.0.0.1"}
	}
	s.cmd = exec.Command("redis-server", args...)
	if err := s.cmd.Start(); err != nil {
		return err
	}
	exited := make(chan error, 1)
	go func(cmd *exec.Cmd) { exited <- cmd.Wait() }(s.cmd)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-exited:
			return fmt.Errorf("redisserver: redis-server ended at once: %w", err)
		case <-tick.C:
			// An answer of any kind: with a password it is a refusal.
			if reply, err := s.Command("PING"); err == nil && !strings.HasPrefix(reply, "-LOADING") {
				return nil
			}
		}
	}
}

// Kill ends the server at once, as a crash does.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill()
	for s.cmd.Process.Signal(syscall.Signal(0)) == nil { // until the goroutine in Restart has waited for it
		time.Sleep(time.Millisecond)
	}
}

// Stall stops the process: connections stay open and nothing is answered. Resume ends that.
func (s *Server) Stall() error { return s.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume lets a stalled server go on.
func (s *Server) Resume() error { return s.cmd.Process.Signal(syscall.SIGCONT) }

// Command sends one command without quoting and returns the first line of the reply, as Redis has it on the wire.
func (s *Server) Command(words ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	if _, err := conn.Write([]byte(b.String())); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(line), err
}
