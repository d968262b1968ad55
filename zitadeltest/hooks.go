package zitadeltest

import "net/http"

type hooks struct{}

func (h *hooks) init(http.RoundTripper) {}
func (h *hooks) close()                 {}
func (h *hooks) deliver(st *state, a *aggregate, by, event string, payload any) {
}
