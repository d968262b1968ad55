package drill

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/introspect"
	"github.com/postern-go/postern/zitadeltest"

	"golang.org/x/oauth2"
)

// fleet is a number of processes that check tokens, behind a balancer that hands each event of the server to one of them.
type fleet struct {
	processes []*exec.Cmd
	stdins    []io.Closer
	addresses []string
	client    *http.Client
}

// start starts the processes and waits until they listen.
func start(cfg replicaConfig, processes int) (*fleet, error) {
	f := &fleet{client: &http.Client{
		Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64},
	}}
	text, err := json.Marshal(cfg)
	if err != nil {
		return nil, err
	}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	for range processes {
		cmd := exec.Command(program)
		cmd.Env = append(os.Environ(), replicaVariable+"="+base64.StdEncoding.EncodeToString(text))
		cmd.Stderr = os.Stderr
		stdin, inErr := cmd.StdinPipe()
		stdout, outErr := cmd.StdoutPipe()
		if err := errors.Join(inErr, outErr, cmd.Start()); err != nil {
			f.stop()
			return nil, err
		}
		f.processes, f.stdins = append(f.processes, cmd), append(f.stdins, stdin)
		address, err := bufio.NewReader(stdout).ReadString('\n')
		if err != nil {
			f.stop()
			return nil, fmt.Errorf("a replica did not start: %w", err)
		}
		f.addresses = append(f.addresses, strings.TrimSpace(address))
	}
	return f, nil
}

func (f *fleet) stop() {
	for _, stdin := range f.stdins {
		_ = stdin.Close()
	}
	for _, cmd := range f.processes {
		_ = cmd.Wait()
	}
	f.client.CloseIdleConnections()
}

func (f *fleet) check(ctx context.Context, process int, token string) (int, error) {
	return check(ctx, f.client, f.addresses[process], token)
}

// gaveUp counts the calls to Redis that the processes gave up or did not make.
func (f *fleet) gaveUp(ctx context.Context) (all int, err error) {
	for _, address := range f.addresses {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/gave-up", nil)
		if err != nil {
			return 0, err
		}
		resp, err := f.client.Do(req)
		if err != nil {
			return 0, err
		}
		var n int
		_, err = fmt.Fscan(resp.Body, &n)
		if err := errors.Join(err, resp.Body.Close()); err != nil {
			return 0, err
		}
		all += n
	}
	return all, nil
}

// balancer takes the server's events and hands each to the next replica.
type balancer struct {
	fleet    atomic.Pointer[fleet]
	next     atomic.Uint64
	arrivals chan time.Time
}

func (b *balancer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	arrived := time.Now()
	f := b.fleet.Load()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil || f == nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	address := f.addresses[b.next.Add(1)%uint64(len(f.addresses))]
	req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, "http://"+address+"/events", bytes.NewReader(body))
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	req.Header = r.Header.Clone()
	resp, err := f.client.Do(req)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	select {
	case b.arrivals <- arrived:
	default:
	}
	w.WriteHeader(resp.StatusCode)
}

// world is the server with its API and user.
type world struct {
	server *zitadeltest.Server
	api    *zitadeltest.API
	bot    *zitadeltest.User
	key    string
}

func newWorld(ctx context.Context, server *zitadeltest.Server, endpoint string) (*world, error) {
	project := server.AddProject("orders", "viewer")
	w := &world{server: server, api: project.AddAPI("orders-api")}
	w.bot = server.AddServiceUser("bot", zitadeltest.WithProjectRole(project, "viewer"))
	target, err := introspect.SetupRevocation(ctx, introspect.RevocationSetup{
		Issuer: server.Issuer(), HTTPClient: server.Client(), Endpoint: endpoint,
		Source: postern.FromOAuth2(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: server.AdminPAT()})),
	})
	if err != nil {
		return nil, err
	}
	w.key = target.SigningKey()
	return w, nil
}

func (w *world) tokens(n int) []string {
	tokens := make([]string, n)
	for i := range tokens {
		tokens[i] = w.bot.PAT()
	}
	return tokens
}

func (w *world) replica(ttl time.Duration, redis string) replicaConfig {
	return replicaConfig{
		Issuer: w.server.Issuer(), ClientID: w.api.ClientID, ClientSecret: w.api.ClientSecret, TTL: ttl, SigningKey: w.key,
		Redis: redis, FleetSecret: strings.Repeat("drill", 8),
	}
}
