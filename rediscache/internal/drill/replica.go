package drill

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/introspect"
	"github.com/postern-go/postern/rediscache"
)

// replicaVariable holds what a process of the fleet is to do. Its values are the drill's own and open nothing else.
const replicaVariable = "POSTERN_DRILL_REPLICA"

// replicaConfig is what a process of the fleet is told.
type replicaConfig struct {
	Issuer, ClientID, ClientSecret string
	TTL                            time.Duration
	Redis                          string // empty: no second level
	FleetSecret                    string
	SigningKey                     string
}

// IsReplica reports whether this process was started to be a replica of the fleet.
func IsReplica() bool { return os.Getenv(replicaVariable) != "" }

// Replica serves an API that checks tokens, until its standard input ends. It prints its address first.
func Replica() error {
	var cfg replicaConfig
	text, err := base64.StdEncoding.DecodeString(os.Getenv(replicaVariable))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &cfg); err != nil {
		return err
	}
	quiet := slog.New(slog.DiscardHandler)
	config := introspect.Config{
		Issuer: cfg.Issuer, Auth: introspect.Basic(cfg.ClientID, cfg.ClientSecret), TTL: cfg.TTL, NegativeTTL: -1, Logger: quiet,
	}
	gaveUp := func() uint64 { return 0 }
	if cfg.Redis != "" {
		shared, err := rediscache.New(rediscache.Config{
			Redis: rueidis.ClientOption{InitAddress: []string{cfg.Redis}}, Secrets: [][]byte{[]byte(cfg.FleetSecret)}, Logger: quiet,
		})
		if err != nil {
			return err
		}
		defer shared.Close()
		config.Shared = shared
		gaveUp = func() uint64 { s := shared.Stats(); return s.Failures + s.Skipped }
	}
	verifier, err := introspect.New(config)
	if err != nil {
		return err
	}
	events, err := introspect.NewRevocationHandler(verifier, introspect.RevocationConfig{SigningKeys: []string{cfg.SigningKey}, Logger: quiet})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/events", events)
	mux.HandleFunc("/gave-up", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, gaveUp()) })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		_, err := verifier.Verify(r.Context(), strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		switch {
		case err == nil:
		case errors.Is(err, postern.ErrInvalidToken):
			w.WriteHeader(http.StatusUnauthorized)
		default:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = server.Close()
	}()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// check asks a replica about a token.
func check(ctx context.Context, client *http.Client, address, token string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<10))
	return resp.StatusCode, errors.Join(err, resp.Body.Close())
}
