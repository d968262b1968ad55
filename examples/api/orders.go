package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"sync"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/middleware"
)

// routes is the API: who may do what stands here, in one place, and nowhere else.
func routes(gate *middleware.Gate) http.Handler {
	orders := &orders{list: []order{{1, "anvil"}, {2, "rope"}, {3, "dynamite"}}}
	reader := gate.Require(middleware.AnyRole("reader", "admin"))
	admin := gate.Require(middleware.Role("admin"))

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", welcome)
	mux.Handle("GET /whoami", gate.Require()(http.HandlerFunc(whoami))) // any token of the instance: it tells callers about themselves only
	mux.Handle("GET /orders", reader(http.HandlerFunc(orders.all)))
	mux.Handle("DELETE /orders/{id}", admin(http.HandlerFunc(orders.remove)))
	return mux
}

func welcome(w http.ResponseWriter, _ *http.Request) {
	answer(w, map[string]string{"api": "orders"})
}

func whoami(w http.ResponseWriter, r *http.Request) {
	id, _ := postern.FromContext(r.Context())
	answer(w, map[string]string{"subject": id.Subject(), "username": id.Username(), "organisation": id.OrgDomain()})
}

type order struct {
	ID   int    `json:"id"`
	Item string `json:"item"`
}

type orders struct {
	mu   sync.Mutex
	list []order
}

func (o *orders) all(w http.ResponseWriter, _ *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	answer(w, o.list)
}

func (o *orders) remove(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	i := slices.IndexFunc(o.list, func(o order) bool { return strconv.Itoa(o.ID) == r.PathValue("id") })
	if i < 0 {
		http.Error(w, "no such order", http.StatusNotFound)
		return
	}
	o.list = slices.Delete(o.list, i, i+1)
	w.WriteHeader(http.StatusNoContent)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client may have gone
}
