// Package component is what every component is given by the program, and the
// small types of which component configurations are made.
//
// A component package declares, for each component, a Config (the user's
// fields), and a constructor New(Config, component.Options) (*T, error) that
// checks everything it can and starts nothing: no file is made, no port is
// bound, no goroutine runs. *T has Run(ctx) error, which blocks until ctx ends
// and then releases what it holds. It may also have
//
//	Exports() map[string]any  what other components refer to
//	Bind() error              takes its listeners from Options.Listeners; called
//	                          before the first Run and, at a reload, before
//	                          anything running is stopped
//	Close()                   gives back what Bind took, if Run is never called
//	Status() any              a snapshot for the debug UI; encoded as JSON
//	Handler() http.Handler    answers requests below HandlerPath of its id, with the
//	                          path from there on; before and after Run, too
//	Module() Module           the text of the module that a block import.* has read
//	Keep(Module)              says that this one, which Module gave, is in force: it
//	                          is good for a start without its source
//	Health() error            says that it cannot read what it reads, such as a file; an
//	                          inspect.Partial, that it cannot read a part of it
//	Beside(Load, func() bool) gives a block what it loads a configuration with that
//	                          runs beside its own, and what reports whether one has
//	                          been loaded; called before Run, and again whenever
//	                          the user has loaded the configuration
//
// and, so that the UI shows them, the methods of package inspect:
//
//	Destinations()            what it delivers to, which deliver.Writer tells by Status
//	Engine()                  its connection to Docker
//	ScrapeTargets(), Fetch()  the targets that it scrapes
//	LogTails()                the files or containers whose logs it reads
//	Receiving()               what clients push to it, which a listen.Tally counts
//
// From these alone follows its health, on every page, in the JSON API and in Alloy's
// metrics (package health): there is nothing to set. What it promises itself, such as a
// listener, it keeps by having Run fail. The suite in componenttest fails for a
// component that holds a deliver.Writer, a queue or a docker.Engine, or is given
// targets, and does not have the method.
//
// Config fields carry Alloy's struct tags:
//
//	`alloy:"name,attr"`            a required attribute
//	`alloy:"name,attr,optional"`   an optional one
//	`alloy:"name,attr,file"`       the path of a file that is read; `validate` looks for it
//	`alloy:"name,block"`           a required block (struct)
//	`alloy:"name,block,optional"`  an optional block (struct, *struct, []struct)
//	`alloy:"name,enum,optional"`   blocks name.a, name.b … in one ordered list ([]struct
//	                               whose fields, optional blocks, are pointers: one is set)
//	`alloy:",squash"`              an embedded group of fields
//	`alloy:",label"`               the label of the block (string), which is required
//
// and the Config, like each struct of a block, may have SetToDefault() and
// Validate() error, with pointer receivers. An optional block that is absent
// keeps what its parent's SetToDefault put there. Their errors say by At which
// argument they are about.
package component

import (
	"context"
	"io"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"collector/pkg/deliver"
	"collector/pkg/docker"
	"collector/pkg/filewatch"
	"collector/pkg/listen"
	"collector/pkg/spans"
)

// Options is what the program gives to a component.
type Options struct {
	// ID is the component's name in the configuration, such as
	// "loki.write.default".
	ID string
	// Logger carries the component id already.
	Logger *slog.Logger
	// Metrics is the component's own registry: what is registered there leaves
	// with the component. Everything gets the labels component_id and
	// component_path from it. Components use MustRegister, as two metrics of one
	// name are a bug; where users choose the names, that is an error of theirs.
	Metrics prometheus.Registerer
	// Dir is the component's own directory below --storage.path. It may not
	// exist yet.
	Dir string
	// Orphans has the queues of writers that are no longer in the configuration;
	// nil: nobody looks for any.
	Orphans *deliver.Orphans
	// Left calls f with the directories of components of the same kind that are no
	// longer in the configuration, and with what is the same for all components that
	// began with one load of it; one f at a time. nil: nobody looks for any.
	Left func(f func(dirs []string, load string))
	// Docker shares connections to Docker Engines between components.
	Docker *docker.Pool
	// Files shares the kernel's events of changed files between components.
	Files *filewatch.Pool
	// Listeners keeps listening sockets open across reloads.
	Listeners *listen.Pool
	// Warn reports a setting that is accepted but has no effect or another
	// effect than in Alloy; path leads to the argument as At's does, such as
	// "endpoint[1]/queue_config/max_shards".
	Warn func(path, why string)
	// Spans takes the component's own spans; nil takes none.
	Spans *spans.Provider
	// Changed says that Exports, or Module, now gives something else than before:
	// what depends on it is evaluated again.
	Changed func()
	// UserAgent is sent with every outgoing request.
	UserAgent string
	// Context is for what a constructor waits for, such as a server: it ends when
	// nobody needs the component any more. Run has a context of its own.
	Context context.Context
	// CheckOnly means that the component will not run: it is made to see whether its
	// configuration is right, and must leave nothing behind after Close.
	CheckOnly bool
}

// WithDefaults fills in what a caller (a test, above all) omitted, so that
// constructors need not check for nil.
func (o Options) WithDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if o.Metrics == nil {
		o.Metrics = prometheus.NewRegistry()
	}
	if o.Docker == nil {
		o.Docker = docker.NewPool(o.Logger)
	}
	if o.Files == nil {
		o.Files = filewatch.NewPool()
	}
	if o.Listeners == nil {
		o.Listeners = listen.NewPool()
	}
	if o.Warn == nil {
		o.Warn = func(string, string) {}
	}
	if o.Changed == nil {
		o.Changed = func() {}
	}
	if o.Context == nil {
		o.Context = context.Background()
	}
	if o.UserAgent == "" {
		o.UserAgent = "collector"
	}
	return o
}
