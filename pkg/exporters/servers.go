//go:build !no_exporters

package exporters

import (
	"collector/pkg/component"
	"collector/pkg/exporters/memcached"
	"collector/pkg/exporters/redis"
)

// ofServers are those that ask another program for its metrics.
func ofServers() []component.Definition {
	return []component.Definition{
		memcached.Definition(),
		redis.Definition(),
	}
}
