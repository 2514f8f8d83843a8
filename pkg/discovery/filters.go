package discovery

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"collector/pkg/component"
	"collector/pkg/docker"
	"collector/pkg/httpclient"
)

// filterRetry is how long after a refusal the Engine is asked again.
const filterRetry = 10 * time.Second

// filters are the filters of discovery.docker. Those that the engine's snapshot
// answers are evaluated here, at once and for containers that have ended too;
// the Engine itself is asked for the others.
type filters struct {
	status []string
	labels []labelFilter
	names  []*regexp.Regexp
	ids    []string
	remote map[string][]string

	matched map[string]bool // what remote lets through, by container ID

	mu  sync.Mutex
	err error // guarded by mu; the last answer to remote
}

type labelFilter struct {
	name, value string
	any         bool // whatever the value
}

// newFilters merges filters: of the values of a name one has to match, for
// labels all of them.
func newFilters(blocks []DockerFilter) (*filters, error) {
	f := &filters{remote: make(map[string][]string)}
	states := []string{"created", "running", "paused", "restarting", "removing", "exited", "dead"}
	for i, block := range blocks {
		at := component.Block("filter", i)
		if len(block.Values) == 0 {
			return nil, component.At(at+"/values", fmt.Errorf("filter %q has none", block.Name))
		}
		for _, v := range block.Values {
			switch block.Name {
			case "":
				return nil, component.At(at+"/name", errors.New("it is empty: use a filter that Docker supports, such as \"status\" or \"label\""))
			case "status":
				if !slices.Contains(states, v) {
					return nil, component.At(at+"/values", fmt.Errorf("%q is not a status: use some of %s", v, strings.Join(states, ", ")))
				}
				f.status = append(f.status, v)
			case "label":
				name, value, has := strings.Cut(v, "=")
				f.labels = append(f.labels, labelFilter{name, value, !has})
			case "name":
				re, err := regexp.Compile(v)
				if err != nil {
					return nil, component.At(at+"/values", err)
				}
				f.names = append(f.names, re)
			case "id":
				f.ids = append(f.ids, v)
			default:
				f.remote[block.Name] = append(f.remote[block.Name], v)
			}
		}
	}
	return f, nil
}

// local reports whether no filter needs the Engine.
func (f *filters) local() bool { return len(f.remote) == 0 }

// update asks the Engine for the filters that need it.
func (f *filters) update(ctx context.Context, e *docker.Engine, snap docker.Snapshot) error {
	if f.local() {
		return nil
	}
	matched, err := e.Match(ctx, f.remote)
	if err != nil {
		return err
	}
	// The Engine does not know those any more that have been removed.
	for _, c := range snap.Containers {
		if c.Ended && f.matched[c.ID] {
			matched[c.ID] = true
		}
	}
	f.matched = matched
	f.note(nil)
	return nil
}

// note keeps an error, and reports whether it differs from the one before.
func (f *filters) note(err error) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.err
	f.err = err
	return err != nil && (before == nil || before.Error() != err.Error())
}

func (f *filters) lastError() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// match reports whether a container gives targets, and whether as one that has
// ended. Without a filter for the status, those that run do.
func (f *filters) match(c *docker.Container) (include, ended bool) {
	if !f.local() && !f.matched[c.ID] {
		return false, false
	}
	if !f.matchIdentity(c) {
		return false, false
	}
	if len(f.status) == 0 {
		return c.Running || c.Ended, c.Ended
	}
	if slices.Contains(f.status, c.State) {
		return true, c.Ended
	}
	return c.Ended && slices.Contains(f.status, "running"), true
}

func (f *filters) matchIdentity(c *docker.Container) bool {
	for _, l := range f.labels {
		if v, ok := c.Labels[l.name]; !ok || !l.any && v != l.value {
			return false
		}
	}
	// The Engine matches names with their slash and without.
	named := func(re *regexp.Regexp) bool {
		return re.MatchString(c.Name) || re.MatchString(strings.TrimPrefix(c.Name, "/"))
	}
	if len(f.names) > 0 && !slices.ContainsFunc(f.names, named) {
		return false
	}
	return len(f.ids) == 0 || slices.ContainsFunc(f.ids, func(id string) bool { return strings.HasPrefix(c.ID, id) })
}

// clientKey is the same for client settings that are the same, secrets
// included, which it does not disclose.
func clientKey(c *httpclient.Config) string {
	h := sha256.New()
	hashValue(h, reflect.ValueOf(c))
	return hex.EncodeToString(h.Sum(nil))
}

func hashValue(h hash.Hash, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		fmt.Fprintf(h, "*%v;", v.IsNil())
		if !v.IsNil() {
			hashValue(h, v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			hashValue(h, v.Field(i))
		}
	case reflect.Slice:
		fmt.Fprintf(h, "[%d;", v.Len())
		for i := range v.Len() {
			hashValue(h, v.Index(i))
		}
	case reflect.Map:
		// All maps of the settings have strings as keys.
		values := v.MapRange()
		byKey := make(map[string]reflect.Value, v.Len())
		for values.Next() {
			byKey[values.Key().String()] = values.Value()
		}
		fmt.Fprintf(h, "{%d;", len(byKey))
		for _, k := range slices.Sorted(maps.Keys(byKey)) {
			fmt.Fprintf(h, "%d:%s", len(k), k)
			hashValue(h, byKey[k])
		}
	case reflect.String:
		// String keeps a Secret's text.
		fmt.Fprintf(h, "%d:%s", v.Len(), v.String())
	default:
		fmt.Fprintf(h, "%v;", v)
	}
}
