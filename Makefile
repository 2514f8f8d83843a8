# What the project is built, tested and shipped with. `make test` is what CI runs.

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
REVISION ?= $(shell git rev-parse --short HEAD 2>/dev/null)
BRANCH   ?= $(shell git rev-parse --abbrev-ref HEAD 2>/dev/null)
LDFLAGS  := -s -w -X main.version=$(VERSION) -X main.revision=$(REVISION) -X main.branch=$(BRANCH)
TAGS     ?=
# Pages are made of many small calls, which are not worth a megabyte of inlined copies;
# nor is what runs at a start, a load or a request to the Engine.
COLD     := collector/pkg/admin/ui/... collector/backend/api collector/pkg/admin collector/pkg/config collector/pkg/discovery \
	collector/pkg/graph collector/cmd/collector github.com/docker/docker/... github.com/grafana/alloy/syntax/... \
	github.com/prometheus/common/config github.com/spf13/pflag
GCFLAGS  := $(foreach package,$(COLD),-gcflags=$(package)=-l)
FUZZTIME ?= 10s

.PHONY: conformance ui chromium build test lint unit integration reliability soak setup tools peers fuzz bench bench-peers image screenshots reference

build: ## the static binary
	CGO_ENABLED=0 go build -trimpath -tags '$(TAGS)' $(GCFLAGS) -ldflags '$(LDFLAGS)' -o bin/collector ./cmd/collector

test: lint unit conformance integration ui reliability ## everything that CI checks

lint:
	@test -z "$$(gofmt -l cmd pkg test backend bench)" || { echo 'gofmt these:'; gofmt -l cmd pkg test backend bench; exit 1; }
	go vet ./...
	go vet -tags integration ./...
	go test -count=1 ./test/words

unit: ## seconds; runs anywhere with Go and a C compiler (for the race detector)
	go test -race -shuffle=on ./...
	cd test/backends/compose && go test -shuffle=on ./...
	cd bench && go test -shuffle=on ./...

integration: setup tools ## real parts: a Docker Engine, VictoriaMetrics, vmalert, Alertmanager, Compose
	go test -tags integration -shuffle=on -count=1 -timeout 40m -p 1 ./test/integration/... ./test/stack/... ./test/dashboards ./pkg/docker ./pkg/logs/... ./pkg/remotewrite

reliability: setup tools ## the promises of docs/reliability.md, in their short form
	go test -tags integration -count=1 -timeout 25m -parallel 5 ./test/reliability/...

conformance: ## the recorded cases of Alloy 1.12 (see test/conformance)
	go test -tags integration -count=1 -timeout 15m -parallel 8 ./test/conformance

ui: setup tools chromium ## the debug UI in a real browser; installs Chromium where it is missing
	go test -tags integration -count=1 -timeout 20m ./test/ui/

soak: setup tools ## the same in full: hours
	SOAK=1 go test -tags integration -count=1 -timeout 12h -parallel 12 -v ./test/reliability/...

setup: ## installs the Docker Engine where it is missing (Debian, as root)
	@command -v dockerd >/dev/null && command -v iptables >/dev/null && command -v ip >/dev/null || \
		{ apt-get update -q && apt-get install -yq --no-install-recommends docker.io iptables iproute2; }

chromium:
	@command -v chromium >/dev/null || { apt-get update -q && apt-get install -yq --no-install-recommends chromium; }

# Static, so that tests can put them into images that are otherwise empty.
tools: export CGO_ENABLED = 0
tools: $(addprefix bin/tools/,victoria-metrics vmalert vmalert-tool victoria-logs alertmanager amtool docker-compose)

bin/tools/victoria-metrics bin/tools/vmalert bin/tools/vmalert-tool: test/backends/victoriametrics/go.mod
	cd test/backends/victoriametrics && go build -o ../../../bin/tools/ github.com/VictoriaMetrics/VictoriaMetrics/app/$(@F)

bin/tools/victoria-logs: test/backends/victorialogs/go.mod
	cd test/backends/victorialogs && go build -o ../../../bin/tools/ github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-logs

bin/tools/alertmanager bin/tools/amtool: test/backends/alertmanager/go.mod
	cd test/backends/alertmanager && go build -o ../../../bin/tools/ github.com/prometheus/alertmanager/cmd/$(@F)

bin/tools/docker-compose: test/backends/compose/go.mod
	cd test/backends/compose && go build -trimpath -ldflags '-s -w' -o ../../../bin/tools/docker-compose github.com/docker/compose/v2/cmd

fuzz: ## every fuzz test for FUZZTIME each
	@for pkg in $$(go list ./pkg/... ./backend/...); do \
		for f in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$f"; go test -vet=off -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
		done; \
	done

bench:
	go test -run '^$$' -bench . -benchmem ./pkg/...

bench-peers: setup build peers ## the same work done by the collector and its peers: see docs/performance.md; BENCH holds flags
	cd bench && CGO_ENABLED=0 go build -o ../bin/bench . && ../bin/bench -bin ../bin $(BENCH)

# vmagent is faster with cgo, with which it is released.
peers: bin/peers/vmagent bin/peers/otelcol

bin/peers/vmagent: test/backends/victoriametrics/go.mod
	cd test/backends/victoriametrics && go build -trimpath -ldflags '-s -w' -o ../../../$@ github.com/VictoriaMetrics/VictoriaMetrics/app/vmagent

bin/peers/otelcol: bench/peers/otelcol/go.mod bench/peers/otelcol/main.go
	cd bench/peers/otelcol && CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o ../../../$@ .

image: build ## needs a Docker Engine
	deploy/image/build.sh

screenshots: setup chromium ## pictures of all pages of the demo, into bin/screenshots
	SCREENSHOTS=$(or $(SCREENSHOTS),bin/screenshots) go test -tags integration -count=1 -v -run TestScreenshots ./test/ui

reference: ## rewrites docs/reference.md and docs/components from the components' Config types
	go test ./cmd/collector -run TestReference -update
