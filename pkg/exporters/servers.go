//go:build !no_exporters

package exporters

import (
	"collector/pkg/component"
	"collector/pkg/exporters/apache"
	"collector/pkg/exporters/blackbox"
	"collector/pkg/exporters/consul"
	"collector/pkg/exporters/elasticsearch"
	"collector/pkg/exporters/memcached"
	"collector/pkg/exporters/mysql"
	"collector/pkg/exporters/postgres"
	"collector/pkg/exporters/redis"
	"collector/pkg/exporters/snmp"
	"collector/pkg/exporters/statsd"
)

// ofServers are those that ask another program for its metrics, or are sent them.
func ofServers() []component.Definition {
	return []component.Definition{
		apache.Definition(),
		blackbox.Definition(),
		consul.Definition(),
		elasticsearch.Definition(),
		memcached.Definition(),
		mysql.Definition(),
		postgres.Definition(),
		redis.Definition(),
		snmp.Definition(),
		statsd.Definition(),
	}
}
