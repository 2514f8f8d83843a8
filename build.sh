#!/bin/sh
# Builds the collector as it is shipped, static and stripped, into FILE, a path from
# the root of the project. Everything that builds it calls this: `make build`, the
# image, releases.
#
#   VERSION, REVISION, BRANCH   what `collector --version` says
#   TAGS                        what is left out, such as no_exporters,no_otel_contrib
#   GOOS, GOARCH                as always; this machine's by default
set -eu
out=${1:?usage: build.sh FILE}
cd "$(dirname "$0")"

# Pages are made of many small calls, which are not worth a megabyte of inlined
# copies; nor is what runs at a start, a load or a request to the Engine.
cold='
	collector/backend/api
	collector/pkg/admin/...
	collector/pkg/config
	collector/pkg/discovery
	collector/pkg/graph
	collector/cmd/collector
	github.com/blang/semver/v4
	github.com/docker/docker/...
	github.com/go-sql-driver/mysql
	github.com/gosnmp/gosnmp
	github.com/grafana/alloy/syntax/...
	github.com/lib/pq/...
	github.com/miekg/dns
	github.com/ncabatoff/process-exporter/...
	github.com/prometheus-community/...
	github.com/prometheus/blackbox_exporter/...
	github.com/prometheus/common/config
	github.com/prometheus/memcached_exporter/...
	github.com/prometheus/mysqld_exporter/...
	github.com/prometheus/snmp_exporter/...
	github.com/oliver006/redis_exporter/...
	github.com/spf13/pflag
'
flags=
for package in $cold; do
	flags="$flags -gcflags=$package=-l"
done

export CGO_ENABLED=0
# $flags is several arguments.
exec go build -trimpath -buildvcs=false -tags "${TAGS:-}" $flags \
	-ldflags "-s -w -X main.version=${VERSION:-unknown} -X main.revision=${REVISION:-} -X main.branch=${BRANCH:-}" \
	-o "$out" ./cmd/collector
