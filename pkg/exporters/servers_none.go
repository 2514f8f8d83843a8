//go:build no_exporters

package exporters

import "collector/pkg/component"

// ofServers are those that ask another program for its metrics: none.
func ofServers() []component.Definition { return nil }
