//go:build !no_exporters

package exporters

import (
	"collector/pkg/component"
	"collector/pkg/exporters/blackbox"
	"collector/pkg/exporters/memcached"
	"collector/pkg/exporters/mysql"
	"collector/pkg/exporters/postgres"
	"collector/pkg/exporters/redis"
)

// ofServers are those that ask another program for its metrics.
func ofServers() []component.Definition {
	return []component.Definition{
		blackbox.Definition(),
		memcached.Definition(),
		mysql.Definition(),
		postgres.Definition(),
		redis.Definition(),
	}
}
