package remote

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"collector/pkg/cause"
	"collector/pkg/component"
	"collector/pkg/durable"
	"collector/pkg/lastgood"
)

// maxContent bounds a content: it is a value of the configuration.
const maxContent = 16 << 20

// keptName is the file with the last content of a server: a line with the digest of
// where it comes from, and the text.
const keptName = "content"

// source is where a content comes from.
type source struct {
	// where is the place as it is shown.
	where string
	// key identifies the place; the content on disk of another does not serve.
	key string
	// every is how often the content is fetched.
	every time.Duration
	// secret says that the content is shown nowhere and not written to disk.
	secret bool
	// fetch gets the content, of at most maxContent.
	fetch func(ctx context.Context) (string, error)
}

// content is a text on a server that is fetched again and again. It is the part that
// the components have in common.
type content struct {
	source
	o    component.Options
	text *lastgood.Value[string]

	mu   sync.Mutex
	good time.Time // guarded by mu: when the server last gave it
}

// newContent fetches the content. If the server does not give it, the last one that is
// on disk serves.
func newContent(s source, o component.Options) (*content, error) {
	c := &content{source: s, o: o}
	text, err := s.fetch(o.Context)
	if err == nil {
		c.text = lastgood.New(text, same)
		c.got()
		return c, nil
	}
	kept, keptErr := c.load()
	if keptErr != nil || o.Context.Err() != nil {
		return nil, component.Absent(err)
	}
	c.text = lastgood.New(kept, same)
	c.text.Read("", err)
	o.Logger.Warn("the content cannot be fetched; using the last one", cause.Attributes(err)...)
	return c, nil
}

func same(a, b string) bool { return a == b }

func (c *content) got() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.good = time.Now()
}

// Exports gives the content as it was last fetched.
func (c *content) Exports() map[string]any {
	text := c.text.Get()
	if c.secret {
		return map[string]any{"content": component.Secret(text)}
	}
	return map[string]any{"content": text}
}

// Run fetches the content again and again, until ctx ends.
func (c *content) Run(ctx context.Context) error {
	if c.Health() == nil {
		c.save()
	}
	poll := time.NewTicker(c.every)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-poll.C:
			c.look(ctx)
		}
	}
}

// look fetches the content. If that fails, the last one stays.
func (c *content) look(ctx context.Context) {
	text, err := c.fetch(ctx)
	if ctx.Err() != nil {
		return
	}
	changed, failed := c.text.Read(text, err)
	switch {
	case failed:
		c.o.Logger.Warn("the content cannot be fetched; keeping the last one", cause.Attributes(err)...)
	case err == nil:
		c.got()
	}
	if changed {
		c.save()
		c.o.Changed()
	}
}

// Health says why the content cannot be fetched.
func (c *content) Health() error { return c.text.Health("the last content") }

// Status is what the debug UI shows.
type Status struct {
	From      string     `json:"from"`
	LastFetch *time.Time `json:"last_fetch,omitempty"` // that succeeded
	Error     string     `json:"error,omitempty"`
}

// Status returns a snapshot for the debug UI.
func (c *content) Status() any {
	s := Status{From: c.where}
	if err := c.Health(); err != nil {
		s.Error = err.Error()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.good.IsZero() {
		good := c.good
		s.LastFetch = &good
	}
	return s
}

// head is the first line of the file.
func (c *content) head() []byte {
	sum := sha256.Sum256([]byte(c.key))
	return append(hex.AppendEncode(nil, sum[:]), '\n')
}

func (c *content) load() (string, error) {
	if c.secret || c.o.Dir == "" {
		return "", errors.New("nothing is kept on disk")
	}
	text, err := durable.ReadFile(filepath.Join(c.o.Dir, keptName), maxContent+1<<10)
	if err != nil {
		return "", err
	}
	text, ok := bytes.CutPrefix(text, c.head())
	if !ok {
		return "", errors.New("the content on disk is from another place")
	}
	return string(text), nil
}

func (c *content) save() {
	if c.secret || c.o.Dir == "" {
		return
	}
	text := c.text.Get()
	if kept, err := c.load(); err == nil && kept == text {
		return
	}
	err := durable.Own(c.o.Dir)
	if err == nil {
		err = durable.WriteFile(filepath.Join(c.o.Dir, keptName), append(c.head(), text...))
	}
	if err != nil {
		c.o.Logger.Warn("cannot save the content to disk; it is not available after a restart without its server", "path", c.o.Dir, "err", err)
	}
}
