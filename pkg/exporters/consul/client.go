package consul

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
)

// client asks a Consul server.
type client struct {
	http    *http.Client
	base    *url.URL
	query   url.Values // of requests that any server may answer
	token   string
	prefix  string // of keys
	filter  *regexp.Regexp
	summary bool
	limit   chan struct{} // holds one for each request about a service
	log     *slog.Logger
}

// maxAnswer is how large an answer may be.
const maxAnswer = 64 << 20

var errNothing = errors.New("404 Not Found")

// get reads the answer of a path, whose parts are escaped, into to.
func (c *client) get(to any, query url.Values, path ...string) error {
	u := c.base.JoinPath(path...)
	u.RawQuery, u.User = query.Encode(), nil
	req, err := http.NewRequest(http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	if c.token != "" {
		req.Header.Set("X-Consul-Token", c.token)
	}
	if c.base.User != nil {
		password, _ := c.base.User.Password()
		req.SetBasicAuth(c.base.User.Username(), password)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotFound:
		return errNothing
	case resp.StatusCode != http.StatusOK:
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
		return fmt.Errorf("%s: %s", resp.Status, text)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(to); err != nil {
		return fmt.Errorf("read the answer to %s: %w", u.Path, err)
	}
	return nil
}

// member is a member of the cluster.
type member struct {
	Name   string
	Status int
	Tags   map[string]string
}

// check is a health check.
type check struct {
	Node, CheckID, Name, Status, ServiceID, ServiceName string
}

// entry is a service on a node.
type entry struct {
	Node    struct{ Node string }
	Service struct {
		ID, Service string
		Tags        []string
	}
	Checks []struct{ Status string }
}

// pair is a key and its value.
type pair struct {
	Key   string
	Value []byte
}
