//go:build !linux || no_exporters

package exporters

import "collector/pkg/component"

// ofHost are those for this operating system: none.
func ofHost() []component.Definition { return nil }
