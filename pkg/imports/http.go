package imports

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
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
	URL           string            `alloy:"url,attr"`
	PollFrequency time.Duration     `alloy:"poll_frequency,attr,optional"`
	PollTimeout   time.Duration     `alloy:"poll_timeout,attr,optional"`
	Method        string            `alloy:"method,attr,optional"`
	Headers       map[string]string `alloy:"headers,attr,optional"`
	Body          string            `alloy:"body,attr,optional"`
	Client        httpclient.Config `alloy:"client,block,optional"`
}

// SetToDefault sets Alloy's defaults.
func (c *HTTPConfig) SetToDefault() {
	*c = HTTPConfig{PollFrequency: time.Minute, PollTimeout: 10 * time.Second, Method: http.MethodGet, Client: httpclient.Default()}
}

// Validate checks what the types allow and a request does not.
func (c *HTTPConfig) Validate() error {
	switch {
	case c.PollFrequency <= 0:
		return component.At("poll_frequency", errors.New("must be more than 0s"))
	case c.PollTimeout <= 0:
		return component.At("poll_timeout", errors.New("must be more than 0s"))
	case c.PollTimeout >= c.PollFrequency:
		return component.At("poll_timeout", fmt.Errorf("must be less than poll_frequency, which is %s", c.PollFrequency))
	}
	if why := httpclient.Off(c.URL); why != "" {
		return component.At("url", errors.New(why))
	}
	if _, err := http.NewRequest(c.Method, c.URL, nil); err != nil {
		return component.At("method", fmt.Errorf("%q is not an HTTP method", c.Method))
	}
	return c.Client.Validate()
}

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
	ctx, cancel := context.WithTimeout(ctx, i.config.PollTimeout)
	defer cancel()
	// An idle connection would outlive a component that is made and never run.
	defer i.client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, i.config.Method, i.config.URL, strings.NewReader(i.config.Body))
	if err != nil {
		return nil, err
	}
	for name, value := range i.config.Headers {
		if http.CanonicalHeaderKey(name) == "Host" {
			request.Host = value
		}
		request.Header.Set(name, value)
	}
	answer, err := i.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("fetch the module: %s", mask.WithoutPasswords(err.Error()))
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxModule+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("fetch the module: %s", mask.WithoutPasswords(err.Error()))
	case answer.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("fetch the module: the server answers %s", answer.Status)
	case len(text) > maxModule:
		return nil, fmt.Errorf("fetch the module: it is larger than %d MiB", maxModule>>20)
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
