package imports

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"collector/pkg/cause"
	"collector/pkg/component"
	"collector/pkg/config"
	"collector/pkg/durable"
	"collector/pkg/httpclient"
	"collector/pkg/lastgood"
	"collector/pkg/mask"
)

//go:embed import.http.md
var httpPage string

func httpDefinition() component.Definition {
	return component.Define("import.http", NewHTTP, component.Doc{Page: httpPage})
}

// HTTPConfig configures import.http.
type HTTPConfig struct {
	httpclient.Polled `alloy:",squash"`
}

// SetToDefault sets Alloy's defaults.
func (c *HTTPConfig) SetToDefault() { *c = HTTPConfig{httpclient.PolledDefault()} }

// HTTP reads a module from a server.
type HTTP struct {
	config HTTPConfig
	o      component.Options
	client *http.Client
	kept   []byte // what the cache has; after the constructor, of Keep alone
	text   *lastgood.Value[[]byte]
}

// cached is the file in which the last good module is kept.
const cached = "module.alloy"

// NewHTTP makes an import.http. It fetches the module; if the server does not provide
// one, the last that was in force is used.
func NewHTTP(c HTTPConfig, o component.Options) (*HTTP, error) {
	o = o.WithDefaults()
	client, err := c.Client.New("import.http", o.UserAgent)
	if err != nil {
		return nil, component.At("client", err)
	}
	i := &HTTP{config: c, o: o, client: client}
	text, err := i.fetch(o.Context)
	i.text = lastgood.New(text, bytes.Equal)
	if err == nil {
		return i, nil
	}
	kept, cacheErr := i.load()
	switch {
	case o.Context.Err() != nil:
		return nil, err
	case cacheErr == nil:
		i.text, i.kept = lastgood.New(kept, bytes.Equal), kept
		i.text.Read(nil, err)
		o.Logger.Warn("the module cannot be fetched; using the last working one", cause.Attributes(err)...)
	case text == nil:
		return nil, component.At("url", component.Absent(err))
	} // the parser reports what is wrong with the text, and where
	return i, nil
}

// key is the first line of the cache: a module of another URL is not used.
func (i *HTTP) key() []byte {
	return []byte("// " + digest(i.config.Method, i.config.URL, i.config.Body) + "\n")
}

func (i *HTTP) load() ([]byte, error) {
	if i.o.Dir == "" {
		return nil, errors.New("there is no storage path")
	}
	text, err := durable.ReadFile(filepath.Join(i.o.Dir, cached), maxModule+1<<10)
	if err != nil {
		return nil, err
	}
	module, ok := bytes.CutPrefix(text, i.key())
	if !ok {
		return nil, errors.New("the cached module is from another URL")
	}
	return module, nil
}

// Keep writes a module that is in force to the cache.
func (i *HTTP) Keep(m component.Module) {
	text := m.Files[0].Text
	if i.o.Dir == "" || i.kept != nil && bytes.Equal(text, i.kept) {
		return
	}
	err := durable.Own(i.o.Dir)
	if err == nil {
		err = durable.WriteFile(filepath.Join(i.o.Dir, cached), append(i.key(), text...))
	}
	if err != nil {
		i.o.Logger.Warn("cannot save the module to disk; it is not available after a restart without its server", "path", i.o.Dir, "err", err)
		return
	}
	i.kept = text
}

// fetch asks the server for the module. It returns what the server sent even if that is
// not a module.
func (i *HTTP) fetch(ctx context.Context) ([]byte, error) {
	text, err := i.config.Fetch(ctx, i.client, maxModule)
	if err != nil {
		return nil, fmt.Errorf("fetch the module: %w", err)
	}
	return text, i.check(text)
}

// check says why a text is not a module but, for example, a maintenance page.
func (i *HTTP) check(text []byte) error {
	if len(bytes.TrimSpace(text)) == 0 {
		return errors.New("fetch the module: the server's answer is empty")
	}
	_, ds := config.Parse([]config.Source{{Name: i.where(), Text: text}})
	if errs := ds.Errors(); len(errs) > 0 {
		return fmt.Errorf("fetch the module: the server's answer is not a module: %s: %s", errs[0].At, errs[0].Message)
	}
	return nil
}

// where is the URL as it is shown.
func (i *HTTP) where() string {
	where, _, _ := strings.Cut(mask.WithoutPasswords(i.config.URL), "?")
	return where
}

// Module gives the module as it was last fetched.
func (i *HTTP) Module() component.Module {
	folder := i.config.URL[:strings.LastIndex(i.config.URL, "/")+1]
	return component.Module{Key: i.config.Method + " " + i.config.URL, Path: folder, Files: []component.ModuleFile{{Name: i.where(), Text: i.text.Get()}}}
}

// Run fetches the module every poll_frequency, until ctx ends.
func (i *HTTP) Run(ctx context.Context) error {
	poll := time.NewTicker(i.config.PollFrequency)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-poll.C:
			i.look(ctx)
		}
	}
}

// look fetches the module. One that cannot be fetched leaves the last one in force.
func (i *HTTP) look(ctx context.Context) {
	text, err := i.fetch(ctx)
	if ctx.Err() != nil {
		return
	}
	changed, failed := i.text.Read(text, err)
	if failed {
		i.o.Logger.Warn("the module cannot be fetched; keeping the last one", cause.Attributes(err)...)
	}
	if changed {
		i.o.Changed()
	}
}

// Health says why the module cannot be fetched.
func (i *HTTP) Health() error { return i.text.Health("the last module") }
