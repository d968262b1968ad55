package middleware_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postern-go/postern/middleware"
)

// Every handler here runs bare and behind the gate, over real connections, and must not tell the difference.

// both runs test against a server without the gate and one with it.
func both(t *testing.T, h http.HandlerFunc, test func(t *testing.T, server *httptest.Server)) {
	gate := middleware.New(answering(identity(t, map[string]any{"sub": "1"}), nil), middleware.Config{})
	for name, handler := range map[string]http.Handler{"bare": h, "Require": gate.Require()(h), "Optional": gate.Optional()(h)} {
		for _, h2 := range []bool{false, true} {
			t.Run(name+map[bool]string{false: " HTTP/1", true: " HTTP/2"}[h2], func(t *testing.T) {
				server := httptest.NewUnstartedServer(handler)
				server.EnableHTTP2 = h2
				server.Config.ErrorLog = quiet()
				if h2 {
					server.StartTLS()
				} else {
					server.Start()
				}
				defer server.Close()
				test(t, server)
			})
		}
	}
}

func get(t *testing.T, server *httptest.Server) (*http.Response, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL, nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+secret)
	return server.Client().Do(r)
}

func TestResponseWriterIsHandedOnUntouched(t *testing.T) {
	gate := middleware.New(answering(identity(t, nil), nil), middleware.Config{HideAuthorization: true})
	w := httptest.NewRecorder()
	calls := 0
	h := http.HandlerFunc(func(got http.ResponseWriter, _ *http.Request) {
		calls++
		assert.Same(t, w, got)
	})
	r := httptest.NewRequest("GET", "/", nil)
	gate.Optional()(h).ServeHTTP(w, r)
	r.Header.Set("Authorization", "Bearer "+secret)
	gate.Require()(h).ServeHTTP(w, r)
	assert.Equal(t, 2, calls)
	assert.Empty(t, w.Header())
}

func TestHandlerThatPanics(t *testing.T) {
	both(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, func(t *testing.T, server *httptest.Server) {
		_, err := get(t, server)
		require.Error(t, err, "the server drops the connection or stream, and answers nothing such as 503")
	})
	t.Run("a recovering middleware in front sees the handler's own panic", func(t *testing.T) {
		boom := errors.New("boom")
		gate := middleware.New(answering(identity(t, nil), nil), middleware.Config{})
		assert.PanicsWithValue(t, boom, func() {
			send(func(http.Handler) http.Handler {
				return gate.Require()(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(boom) }))
			})
		})
	})
}

func TestHandlerThatHijacksAsWebSocketDoes(t *testing.T) {
	both(t, func(w http.ResponseWriter, r *http.Request) {
		hijacker, ok := w.(http.Hijacker)
		if !ok {
			w.WriteHeader(http.StatusUpgradeRequired) // HTTP/2 has none, gate or not
			return
		}
		assert.Equal(t, "websocket", r.Header.Get("Upgrade"))
		conn, rw, err := hijacker.Hijack()
		if !assert.NoError(t, err) {
			return
		}
		defer conn.Close()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_ = rw.Flush()
		line, _ := rw.ReadString('\n')
		_, _ = rw.WriteString("echo " + line)
		_ = rw.Flush()
	}, func(t *testing.T, server *httptest.Server) {
		if server.EnableHTTP2 {
			resp, err := get(t, server)
			require.NoError(t, err)
			defer resp.Body.Close()
			assert.Equal(t, "HTTP/2.0", resp.Proto)
			assert.Equal(t, http.StatusUpgradeRequired, resp.StatusCode)
			return
		}
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		require.NoError(t, err)
		defer conn.Close()
		_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+secret+"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello\n")
		require.NoError(t, err)
		answer, err := io.ReadAll(conn)
		require.NoError(t, err)
		assert.Equal(t, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\necho hello\n", string(answer))
	})
}

func TestHandlerThatStreamsEvents(t *testing.T) {
	proceed := make(chan struct{})
	both(t, func(w http.ResponseWriter, _ *http.Request) {
		_, flusher := w.(http.Flusher)
		assert.True(t, flusher)
		control := http.NewResponseController(w)
		assert.NoError(t, control.SetWriteDeadline(time.Time{}))
		assert.NoError(t, control.SetReadDeadline(time.Time{}))
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: 1\n\n")
		assert.NoError(t, control.Flush())
		<-proceed
		_, _ = io.WriteString(w, "data: 2\n\n")
	}, func(t *testing.T, server *httptest.Server) {
		resp, err := get(t, server)
		require.NoError(t, err)
		defer resp.Body.Close()
		events := bufio.NewReader(resp.Body)
		first, err := events.ReadString('\n')
		require.NoError(t, err)
		assert.Equal(t, "data: 1\n", first, "it arrives while the handler is still running")
		proceed <- struct{}{}
		rest, err := io.ReadAll(events)
		require.NoError(t, err)
		assert.Equal(t, "\ndata: 2\n\n", string(rest))
		assert.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
		assert.Empty(t, resp.Header.Get("Cache-Control"))
	})
}

func TestFormFilesAreRemovedAsWithoutTheGate(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	both(t, func(_ http.ResponseWriter, r *http.Request) {
		if assert.NoError(t, r.ParseMultipartForm(1)) {
			assert.Len(t, r.MultipartForm.File["file"], 1)
		}
		files, err := os.ReadDir(os.TempDir())
		assert.NoError(t, err)
		assert.Len(t, files, 1, "the upload is in a file while the handler runs")
	}, func(t *testing.T, server *httptest.Server) {
		var body bytes.Buffer
		form := multipart.NewWriter(&body)
		part, err := form.CreateFormFile("file", "a.bin")
		require.NoError(t, err)
		_, err = part.Write(make([]byte, 1<<10)) // more than the one byte that ParseMultipartForm may keep in memory
		require.NoError(t, err)
		require.NoError(t, form.Close())
		r, err := http.NewRequestWithContext(t.Context(), "POST", server.URL, &body)
		require.NoError(t, err)
		r.Header.Set("Content-Type", form.FormDataContentType())
		r.Header.Set("Authorization", "Bearer "+secret)
		resp, err := server.Client().Do(r)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.NoError(t, server.Config.Shutdown(context.Background()), "waits until the request is done with")
		files, err := os.ReadDir(os.TempDir())
		require.NoError(t, err)
		assert.Empty(t, files)
	})
}

func TestRefusalOverRealConnections(t *testing.T) {
	gate := middleware.New(answering(nil, nil), middleware.Config{})
	for _, h2 := range []bool{false, true} {
		server := httptest.NewUnstartedServer(gate.Require()(http.NotFoundHandler()))
		server.EnableHTTP2 = h2
		server.StartTLS()
		for _, m := range []string{"GET", "HEAD", "POST"} {
			r, err := http.NewRequestWithContext(t.Context(), m, server.URL, nil)
			require.NoError(t, err)
			if m == "POST" {
				r.Body = io.NopCloser(strings.NewReader("a body that nobody reads"))
			}
			resp, err := server.Client().Do(r)
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			assert.Equal(t, map[bool]string{false: "HTTP/1.1", true: "HTTP/2.0"}[h2], resp.Proto)
			assert.Equal(t, 401, resp.StatusCode)
			assert.Equal(t, `Bearer realm="api"`, resp.Header.Get("WWW-Authenticate"))
			assert.Equal(t, m == "HEAD", len(body) == 0)
		}
		server.Close()
	}
}
