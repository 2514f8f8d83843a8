package graph

import (
	"net/http"
	"strings"
)

// Handler finds the HTTP handler of a component by a path that begins with its id.
// rest is what follows in the path. Without such a component, it is nil.
func (c *Controller) Handler(path string) (h http.Handler, rest string) {
	for end := len(path); end > 0; end = strings.LastIndexByte(path[:end], '/') {
		_, n := c.find(path[:end])
		if n == nil {
			continue
		}
		if served, ok := n.component.(interface{ Handler() http.Handler }); ok {
			return served.Handler(), path[end:]
		}
		return nil, ""
	}
	return nil, ""
}
