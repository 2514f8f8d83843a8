package docker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// right is a request that the collector makes. Many proxies in front of an
// Engine allow requests by variables, such as EVENTS=1.
type right struct{ request, variable string }

var (
	toPing           = right{"GET /_ping", "PING"}
	toVersion        = right{"GET /version", "VERSION"}
	toInfo           = right{"GET /info", "INFO"}
	toEvents         = right{"GET /events", "EVENTS"}
	toList           = right{"GET /containers/json", "CONTAINERS"}
	toInspect        = right{"GET /containers/{id}/json", "CONTAINERS"}
	toLogs           = right{"GET /containers/{id}/logs", "CONTAINERS"}
	toUsage          = right{"GET /containers/{id}/stats", "CONTAINERS"}
	toListNetworks   = right{"GET /networks", "NETWORKS"}
	toInspectNetwork = right{"GET /networks/{id}", "NETWORKS"}

	requested = regexp.MustCompile(`(?:^|/)(?:_ping|version|info|events|containers/json|containers/[^/]+/json|containers/[^/]+/logs|containers/[^/]+/stats|networks|networks/[^/]+)$`)
	tags      = regexp.MustCompile(`<[^>]*>`)
)

// allRights are the requests that the collector makes; no others.
func allRights() []right {
	return []right{toPing, toVersion, toInfo, toEvents, toList, toInspect, toLogs, toUsage, toListNetworks, toInspectNetwork}
}

// rightTo finds the right that a request with this path needs.
func rightTo(path string) right {
	path = strings.TrimPrefix(requested.FindString(path), "/")
	switch parts := strings.Split(path, "/"); {
	case path == "_ping":
		return toPing
	case path == "version":
		return toVersion
	case path == "info":
		return toInfo
	case path == "events":
		return toEvents
	case path == "containers/json":
		return toList
	case parts[0] == "containers" && parts[len(parts)-1] == "json":
		return toInspect
	case parts[0] == "containers" && parts[len(parts)-1] == "stats":
		return toUsage
	case parts[0] == "containers":
		return toLogs
	case path == "networks":
		return toListNetworks
	case parts[0] == "networks":
		return toInspectNetwork
	}
	return right{request: "GET " + path}
}

// RefusedError says that the Engine, or a proxy in front of it, does not allow a
// request, or never answers it.
type RefusedError struct {
	right  right
	status string        // empty if there was no answer
	text   string        // what was answered, or what failed
	waited time.Duration // for an answer; 0 if something failed before
}

func (e *RefusedError) Error() string {
	said := e.status
	switch {
	case e.status != "" && e.text != "":
		said += ": " + e.text
	case e.status == "" && e.waited > 0:
		said = fmt.Sprintf("no answer within %v", e.waited)
	case e.status == "":
		said = e.text
	}
	if e.right.variable == "" {
		return fmt.Sprintf("%s: %s: allow it", e.right.request, said)
	}
	return fmt.Sprintf("%s: allow %s (%s=1 for many proxies)", said, e.right.request, e.right.variable)
}

// IsRefused reports whether err says that a request is not allowed or never
// answered.
func IsRefused(err error) bool { return refusal(err) != nil }

func refusal(err error) *RefusedError {
	var r *RefusedError
	errors.As(err, &r)
	return r
}

// refusedBy reads from an answer whether the request is refused. What the Engine
// itself says about a container that does not exist, or about a log that can't
// be read, is an answer.
func refusedBy(r *http.Request, resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
	default:
		return nil
	}
	asked := rightTo(r.URL.Path)
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	resp.Body.Close()
	if err != nil {
		return err
	}
	about := strings.ToLower(string(text))
	own := resp.StatusCode == http.StatusNotFound && (asked == toInspectNetwork || strings.Contains(about, "no such") || strings.Contains(about, "marked for removal")) ||
		resp.StatusCode == http.StatusNotImplemented && strings.Contains(about, "support reading")
	if own {
		resp.Body = io.NopCloser(bytes.NewReader(text))
		return nil
	}
	return &RefusedError{right: asked, status: resp.Status, text: shortText(text)}
}

// shortText is the beginning of what an answer says, on one line, without the
// tags of the page that some proxies answer.
func shortText(text []byte) string {
	said := errorMessage(text)
	if strings.HasPrefix(said, "<") {
		said = tags.ReplaceAllString(said, " ")
	}
	return fmt.Sprintf("%.200s", strings.Join(strings.Fields(said), " "))
}
