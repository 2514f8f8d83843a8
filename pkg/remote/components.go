// Package remote is values from servers.
package remote

import (
	"collector/pkg/component"
	"collector/pkg/remote/vault"
)

// Components are those that ask servers for values.
func Components() []component.Definition {
	return []component.Definition{
		httpDefinition(),
		s3Definition(),
		vault.Definition(),
	}
}
