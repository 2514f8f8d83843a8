package component

import (
	"context"
	"reflect"
)

// Component is what a Definition makes. The package comment says what else it
// may have.
//
// When Run returns an error, or panics, before its context has ended, it is
// called again on the same component after a pause, as those who refer to the
// component hold its receivers. If the component has Bind, that is called again
// before. When Run returns nil, the component has nothing more to do.
type Component interface {
	Run(ctx context.Context) error
}

// Doc is what the documentation says of a component beyond what its
// configuration struct says.
type Doc struct {
	// Page is the component's page, in Markdown: the file with the component's
	// name beside its constructor, embedded. Package reference describes its
	// form.
	Page    string
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
	// Singleton means at most one block, without a label.
	Singleton bool
	Doc       Doc

	config reflect.Type
	make   func(config any, o Options) (Component, error)
}

// Define defines a component that construct makes. C is its configuration
// struct, with the tags that the package comment describes.
func Define[C any, T Component](name string, construct func(C, Options) (T, error), doc Doc) Definition {
	return Definition{
		Name: name, Doc: doc, config: reflect.TypeFor[C](),
		make: func(c any, o Options) (Component, error) {
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
func DefineBlock[C any, T Component](name string, construct func(C, Options) (T, error), doc Doc) Definition {
	d := Define(name, construct, doc)
	d.Singleton = true
	return d
}

// Config is the type of the configuration struct.
func (d Definition) Config() reflect.Type { return d.config }

// New makes the component. config points to a struct of the type Config, decoded
// and validated.
func (d Definition) New(config any, o Options) (Component, error) { return d.make(config, o) }
