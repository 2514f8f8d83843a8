// Package graph is the components of a configuration and the references between them: it
// builds, checks, runs, supervises and reloads them, and reports their health.
package graph

import "collector/pkg/component"

// What a component may have besides Run; package component says what each is.
type (
	exporter interface{ Exports() map[string]any }
	binder   interface{ Bind() error }
	closer   interface{ Close() }
	statuser interface{ Status() any }
	importer interface{ Module() component.Module }
	keeper   interface{ Keep(component.Module) }
)
