// Package graph is the components of a configuration and the references
// between them: it builds, checks, runs, supervises and reloads them, and says
// how they are.
package graph

import (
	"context"
	"reflect"

	"collector/pkg/component"
	"collector/pkg/config"
)

// Component is what a Definition makes. Package component says what else it
// may have; Exports, Bind, Close, Status and Health are looked for.
//
// When Run returns an error, or panics, before its context has ended, it is
// called again on the same component after a pause, as those who refer to the
// component hold its receivers. If the component has Bind, that is called again
// before. When Run returns nil, the component has nothing more to do.
type Component interface {
	Run(ctx context.Context) error
}

type (
	exporter interface{ Exports() map[string]any }
	binder   interface{ Bind() error }
	closer   interface{ Close() }
	statuser interface{ Status() any }
	healther interface{ Health() error }
)

// Doc is what the reference says of a component beyond what its configuration
// struct says.
type Doc struct {
	Summary string
	// Notes are remarks on arguments and blocks, by path ("endpoint > url").
	Notes   map[string]string
	Exports []Export
}

// Export is a value that other components can refer to.
type Export struct {
	Name string
	Type string // as in the reference: "LogsReceiver", "list(map(string))"
	Note string
}

// Definition is a kind of block that a configuration may have at its top level.
type Definition struct {
	Name string
	// Singleton says that the block stands at most once, without a label.
	Singleton bool
	Doc       Doc

	config reflect.Type
	make   func(config any, o component.Options) (Component, error)
}

// Define defines a component that construct makes. C is its configuration struct,
// with the tags that package component describes.
func Define[C any, T Component](name string, construct func(C, component.Options) (T, error), doc Doc) Definition {
	return Definition{
		Name: name, Doc: doc, config: reflect.TypeFor[C](),
		make: func(c any, o component.Options) (Component, error) {
			made, err := construct(*c.(*C), o)
			if err != nil {
				return nil, err
			}
			return made, nil
		},
	}
}

// DefineBlock defines a block of which there is at most one and which has no
// label, such as logging. It runs like a component.
func DefineBlock[C any, T Component](name string, construct func(C, component.Options) (T, error), doc Doc) Definition {
	d := Define(name, construct, doc)
	d.Singleton = true
	return d
}

// Arguments lists what the block takes.
func (d Definition) Arguments() []config.Argument { return config.Describe(d.config, typeName) }
