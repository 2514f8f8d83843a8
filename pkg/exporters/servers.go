//go:build !no_exporters

package exporters

import (
	"collector/pkg/component"
	"collector/pkg/exporters/apache"
	"collector/pkg/exporters/blackbox"
	"collector/pkg/exporters/consul"
	"collector/pkg/exporters/memcached"
	"collector/pkg/exporters/mysql"
	"collector/pkg/exporters/postgres"
	"collector/pkg/exporters/redis"
	"collector/pkg/exporters/snmp"
)

// ofServers are those that ask another program for its metrics.
func ofServers() []component.Definition {
	return []component.Definition{
		apache.Definition(),
		blackbox.Definition(),
		consul.Definition(),
		memcached.Definition(),
		mysql.Definition(),
		postgres.Definition(),
		redis.Definition(),
		snmp.Definition(),
	}
}
