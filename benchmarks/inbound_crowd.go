package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postern-go/postern/benchmarks/harness"
	"github.com/postern-go/postern/introspect"
)

// clients are how many come at once with tokens that nobody has seen before.
const clients = 64

func coldBench() harness.Bench {
	bench := harness.Bench{
		Name: "BenchmarkCold",
		About: "64 clients with tokens that were never seen before, so that each must be asked about, over TCP at a server that answers at once.\n" +
			"Each library uses the HTTP client that it brings. The floor is rs; postern is to be at least 1.5 times as fast, which is a ratio of 0.67.",
		Columns: []harness.Column{{Key: "connections", Title: "new connections for 1,000 tokens"}, {Key: "open", Title: "most connections open"}},
		Chart:   harness.Ratio,
		Claims: []harness.Claim{
			{Contender: "postern", Key: harness.Ratio, Most: 0.67},
			{Contender: "postern", Key: "open", Most: 32},
		},
	}
	cold := func(name string, floor bool, open func(issuer string) (gate, error)) harness.Contender {
		return harness.Contender{Name: name, Floor: floor, New: func() (harness.Case, error) {
			s := &introspection{}
			var opened, now, most atomic.Int64
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				body := s.serve(r.PostFormValue("token"))
				_, _ = strings.NewReplacer(api, "http://"+r.Host).WriteString(w, body) // iss
			}))
			server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				switch state {
				case http.StateNew:
					opened.Add(1)
					if n := now.Add(1); n > most.Load() {
						most.Store(n)
					}
				case http.StateClosed, http.StateHijacked:
					now.Add(-1)
				}
			}
			server.Start()
			g, err := open(server.URL)
			if err != nil {
				return harness.Case{}, err
			}
			var next atomic.Int64
			op := func(n int) error {
				var wg sync.WaitGroup
				errs := make([]error, clients)
				for i := range clients {
					wg.Go(func() {
						for range n/clients + 1 {
							errs[i] = errors.Join(errs[i], g.check(context.Background(), opaque(int(next.Add(1)))))
						}
					})
				}
				wg.Wait()
				return errors.Join(errs...)
			}
			return harness.Case{Op: op, Close: server.Close, Scenario: func() (map[string]float64, error) {
				before := opened.Load()
				most.Store(now.Load())
				err := op(1000)
				return map[string]float64{"connections": float64(opened.Load() - before), "open": float64(most.Load())}, err
			}}, nil
		}}
	}
	openBare := func(issuer string) (gate, error) {
		ask, err := asker(issuer, nil)
		return small(ask), err
	}
	bench.Contenders = []harness.Contender{
		cold(guardRS.name, true, openBare),
		cold(guardRS.name+" again", false, openBare),
		cold("postern", false, func(issuer string) (gate, error) { return openIntrospectAt(issuer, nil, introspect.Config{}) }),
	}
	return bench
}

func stampedeBench() harness.Bench {
	bench := harness.Bench{
		Name:    "BenchmarkStampede",
		About:   "1,000 goroutines come at once with one token that nobody has seen before; the server takes 50 ms to answer.",
		Columns: []harness.Column{{Key: "calls", Title: "calls"}, {Key: "most", Title: "most calls in flight"}},
		Chart:   "calls",
		Claims:  []harness.Claim{{Contender: "postern", Key: "calls", Most: 1}},
	}
	var token atomic.Int64
	for _, g := range []guard{guardPostern, guardK8s, guardMap, guardRS} {
		bench.Contenders = append(bench.Contenders, harness.Contender{Name: g.name, New: func() (harness.Case, error) {
			s := &introspection{takes: 50 * time.Millisecond}
			opened, err := g.open(s)
			return harness.Case{Scenario: func() (map[string]float64, error) {
				before, cold := s.calls.Load(), opaque(int(token.Add(1)))
				s.most.Store(0)
				begin := make(chan struct{})
				errs := make([]error, 1000)
				var wg sync.WaitGroup
				for i := range errs {
					wg.Go(func() {
						<-begin
						errs[i] = opened.check(context.Background(), cold)
					})
				}
				close(begin)
				wg.Wait()
				return map[string]float64{"calls": float64(s.calls.Load() - before), "most": float64(s.most.Load())}, errors.Join(errs...)
			}}, err
		}})
	}
	return bench
}

func floodBench() harness.Bench {
	const good, invented, attackers = 1000, 20_000, 200
	bench := harness.Bench{
		Name: "BenchmarkFlood",
		About: "200 attackers send 20,000 invented tokens as fast as they can, while 1,000 good tokens that are in the cache are in use. The server\n" +
			"takes 1 ms to answer. (A test of package introspect holds postern to two million, see CONTRIBUTING.md.)",
		Columns: []harness.Column{
			{Key: "missed", Title: "uses of good tokens that were not answered from the cache, %"},
			{Key: "most", Title: "most calls in flight"},
			{Key: "asked", Title: "invented tokens that the server was asked about, %"},
			{Key: "grown", Title: "heap grown by, MB"},
		},
		Chart:  "most",
		Claims: []harness.Claim{{Contender: "postern", Key: "missed", Most: 0.1}, {Contender: "postern", Key: "most", Most: 32}, {Contender: "postern", Key: "grown", Most: 32}},
	}
	var round atomic.Int64
	for _, g := range []guard{guardPostern, guardK8s, guardMap, guardRS} {
		bench.Contenders = append(bench.Contenders, harness.Contender{Name: g.name, New: func() (harness.Case, error) {
			s := &introspection{}
			opened, err := g.open(s)
			return harness.Case{Scenario: func() (map[string]float64, error) {
				for i := range good {
					if err := opened.check(context.Background(), opaque(i)); err != nil {
						return nil, err
					}
				}
				s.takes = time.Millisecond
				s.most.Store(0)
				before, calls, goodCalls, this := heap(), s.calls.Load(), s.good.Load(), round.Add(1)
				var sent, done atomic.Int64
				var wg sync.WaitGroup
				for range attackers {
					wg.Go(func() {
						defer done.Add(1)
						for n := sent.Add(1); n <= invented; n = sent.Add(1) {
							_ = opened.check(context.Background(), fmt.Sprintf("bad-%0270d-%d-%d", 0, this, n))
						}
					})
				}
				uses := 0
				for done.Load() < attackers {
					if err := opened.check(context.Background(), opaque(uses%good)); err != nil {
						return nil, err
					}
					if uses++; uses%good == 0 {
						runtime.Gosched()
					}
				}
				wg.Wait()
				s.takes = 0
				missed := float64(s.good.Load() - goodCalls)
				return map[string]float64{
					"missed": 100 * missed / float64(uses), "most": float64(s.most.Load()),
					"asked": 100 * (float64(s.calls.Load()-calls) - missed) / invented,
					"grown": max(0, (float64(heap())-float64(before))/1e6),
				}, nil
			}}, err
		}})
	}
	return bench
}

func memoryBench() harness.Bench {
	const tokens = 50_000
	bench := harness.Bench{
		Name: "BenchmarkMemory",
		About: "What a good token costs when 50,000 are in the cache. postern keeps the answer of 1 KB whole, and so does the map, taken apart; the k8s\n" +
			"contender keeps a name and an id, because that is what its principal has room for.",
		Columns: []harness.Column{{Key: "bytes", Title: "bytes a token"}, {Key: "kept", Title: "tokens still in the cache, %"}},
		Chart:   "bytes",
		Claims:  []harness.Claim{{Contender: "postern", Key: "bytes", Most: 2048}},
	}
	for _, g := range []guard{guardPostern, guardK8s, guardMap} {
		bench.Contenders = append(bench.Contenders, harness.Contender{Name: g.name, New: func() (harness.Case, error) {
			return harness.Case{Scenario: func() (map[string]float64, error) {
				s := &introspection{}
				before := heap()
				opened, err := g.open(s)
				if err != nil {
					return nil, err
				}
				for i := range tokens {
					if err := opened.check(context.Background(), opaque(i)); err != nil {
						return nil, err
					}
				}
				held := float64(heap()) - float64(before)
				calls := s.calls.Load()
				for i := range tokens {
					if err := opened.check(context.Background(), opaque(i)); err != nil {
						return nil, err
					}
				}
				kept := tokens - float64(s.calls.Load()-calls)
				return map[string]float64{"bytes": held / kept, "kept": 100 * kept / tokens}, nil
			}}, nil
		}})
	}
	return bench
}

// heap returns how many bytes are in use.
func heap() uint64 {
	runtime.GC()
	runtime.GC() // what has a finalizer goes the second time
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
