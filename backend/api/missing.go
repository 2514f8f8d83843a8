package api

import "net/http"

// Missing answers in the API's own way where router has no handler: 404, or
// 405 with the header Allow.
func Missing(router *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fallback, pattern := router.Handler(r)
		if pattern != "" {
			router.ServeHTTP(w, r)
			return
		}
		var answer headerOnly
		answer.header = w.Header()
		fallback.ServeHTTP(&answer, r)
		switch answer.status {
		case http.StatusNotFound:
			problem(w, r, answer.status, "there is nothing at this path", nil)
		case http.StatusMethodNotAllowed:
			problem(w, r, answer.status, "this method is not allowed here", nil)
		default: // a redirect to the cleaned path
			w.WriteHeader(answer.status)
		}
	})
}

// headerOnly writes only the header of a response.
type headerOnly struct {
	header http.Header
	status int
}

func (h *headerOnly) Header() http.Header         { return h.header }
func (h *headerOnly) Write(p []byte) (int, error) { return len(p), nil }
func (h *headerOnly) WriteHeader(status int)      { h.status = status }
