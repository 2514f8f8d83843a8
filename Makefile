# What the project is built, tested and shipped with. `make test` is what CI runs.

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
REVISION ?= $(shell git rev-parse --short HEAD 2>/dev/null)
BRANCH   ?= $(shell git rev-parse --abbrev-ref HEAD 2>/dev/null)
IMAGE    ?= collector:latest
ARCHITECTURES := amd64 arm64
DIST     ?= dist
FUZZTIME ?= 10s

.PHONY: conformance corpus ui chromium build test lint unit integration reliability soak setup tools peers fuzz bench bench-peers image screenshots reference \
	govulncheck licenses qemu test-arm64 shipping release images push publish

build: export VERSION := $(VERSION)
build: export REVISION := $(REVISION)
build: export BRANCH := $(BRANCH)
build: ## the static binary; GOARCH=arm64 and TAGS=no_exporters,no_otel_contrib,no_demo change it, see build.sh
	./build.sh bin/collector

test: lint unit conformance integration ## everything that CI checks; the last two wait more than they compute
	$(MAKE) -j 2 --output-sync=target ui reliability

# What is in modules of their own, beside the project's.
MODULES := tools bench test/clients

lint: bin/tools/staticcheck bin/tools/actionlint govulncheck
	@test -z "$$(gofmt -l cmd pkg test backend bench tools)" || { echo 'gofmt these:'; gofmt -l cmd pkg test backend bench tools; exit 1; }
	go vet ./...
	go vet -tags integration ./...
	bin/tools/staticcheck -tags integration ./...
	for module in $(MODULES); do (cd $$module && go vet ./... && $(CURDIR)/bin/tools/staticcheck ./...) || exit 1; done
	bin/tools/actionlint
	go test -count=1 ./test/words
	cd tools && go run ./licenses -check

govulncheck: bin/tools/govulncheck ## known vulnerabilities; skipped where their database cannot be reached
	@why=$$(bin/tools/govulncheck -mode=query -format=json stdlib@go1.26 2>&1 >/dev/null) && \
		exec bin/tools/govulncheck ./cmd/... ./pkg/... ./backend/...; \
	case "$$why" in \
		*'dial tcp'*|*proxyconnect*) echo "govulncheck: skipped, its database cannot be reached: $$why" ;; \
		*) echo "govulncheck: $$why"; exit 1 ;; \
	esac

licenses: ## rewrites THIRD_PARTY_NOTICES.txt from what is linked and embedded
	cd tools && go run ./licenses

unit: ## seconds; runs anywhere with Go and a C compiler (for the race detector)
	go test -race -shuffle=on ./...
	for module in $(MODULES) test/backends/compose; do (cd $$module && go test -shuffle=on ./...) || exit 1; done

# What reads bytes of others, and what is kept on disk: where the size and order of
# bytes, and atomic numbers, could differ. TestKill starts itself again, which QEMU
# alone cannot do.
ARM64 := ./pkg/queue ./pkg/config ./pkg/jsonscan ./pkg/otlp/wire ./pkg/logs/source/journal/journalfile

test-arm64: qemu ## tests of the queue, the configuration and the parsers as an arm64 machine runs them
	GOOS=linux GOARCH=arm64 CGO_ENABLED=0 go test -exec qemu-aarch64-static -timeout 20m -skip TestKill $(ARM64)

shipping: qemu ## builds that are shipped: for each architecture, with each tag, with papers
	go test -tags integration -count=1 -timeout 15m ./test/shipping

integration: setup tools chromium ## real parts: a Docker Engine, VictoriaMetrics, vmalert, Alertmanager, Compose
	go test -tags integration -shuffle=on -count=1 -timeout 40m -p 1 ./test/integration/... ./test/stack/... ./test/dashboards ./pkg/docker ./pkg/exporters/... ./pkg/logs/... ./pkg/remotewrite

reliability: setup tools ## the promises of docs/reliability.md, in their short form
	go test -tags integration -count=1 -timeout 25m -parallel 5 ./test/reliability/...

conformance: ## the recorded cases of Alloy 1.12 (see test/conformance)
	go test -tags integration -count=1 -timeout 15m -parallel 8 ./test/conformance

corpus: setup ## runs the configurations of a folder, CORPUS, with their sources fed (see test/corpus)
	@test -n '$(CORPUS)' || { echo 'CORPUS names a folder with configurations: NAME__PATH__FILE.alloy'; exit 1; }
	CORPUS='$(abspath $(CORPUS))' go test -tags integration -count=1 -timeout 15m -parallel 8 -v -run 'TestCorpus' ./test/corpus

ui: setup tools chromium ## the debug UI in a real browser; installs Chromium where it is missing
	go test -tags integration -count=1 -timeout 20m ./test/ui/

soak: setup tools ## the same in full: hours
	SOAK=1 go test -tags integration -count=1 -timeout 12h -parallel 12 -v ./test/reliability/...

setup: ## installs the Docker Engine, systemd-journald, Redis, memcached, PostgreSQL, MariaDB, snmpd, rsyslog and Node.js where they are missing (Debian, as root)
	@command -v dockerd >/dev/null && command -v iptables >/dev/null && command -v ip >/dev/null || \
		{ apt-get update -q && apt-get install -yq --no-install-recommends docker.io iptables iproute2; }
	@test -x /lib/systemd/systemd-journald && command -v journalctl unshare >/dev/null || \
		{ apt-get update -q && apt-get install -yq --no-install-recommends systemd util-linux; }
	@command -v redis-server >/dev/null && command -v memcached >/dev/null || \
		{ apt-get update -q && apt-get install -yq --no-install-recommends redis-server memcached; }
	@ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 && command -v mariadbd snmpd >/dev/null || \
		{ apt-get update -q && apt-get install -yq --no-install-recommends postgresql mariadb-server snmpd; }
	@command -v rsyslogd >/dev/null && command -v logger >/dev/null && ls /usr/lib/*/rsyslog/lmnsd_gtls.so >/dev/null 2>&1 || \
		{ apt-get update -q && apt-get install -yq --no-install-recommends rsyslog rsyslog-gnutls bsdutils; }
	@command -v node >/dev/null && command -v npm >/dev/null || \
		{ apt-get update -q && apt-get install -yq --no-install-recommends nodejs npm; }

qemu: ## installs what runs arm64 programs where it is missing (Debian, as root)
	@command -v qemu-aarch64-static >/dev/null || { apt-get update -q && apt-get install -yq --no-install-recommends qemu-user-static; }

chromium:
	@command -v chromium >/dev/null || { apt-get update -q && apt-get install -yq --no-install-recommends chromium; }

# Static, so that tests can put them into images that are otherwise empty.
tools: export CGO_ENABLED = 0
tools: $(addprefix bin/tools/,victoria-metrics vmalert vmalert-tool victoria-logs alertmanager amtool docker-compose cadvisor)

bin/tools/victoria-metrics bin/tools/vmalert bin/tools/vmalert-tool: test/backends/victoriametrics/go.mod
	cd test/backends/victoriametrics && go build -o ../../../bin/tools/ github.com/VictoriaMetrics/VictoriaMetrics/app/$(@F)

bin/tools/victoria-logs: test/backends/victorialogs/go.mod
	cd test/backends/victorialogs && go build -o ../../../bin/tools/ github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-logs

bin/tools/alertmanager bin/tools/amtool: test/backends/alertmanager/go.mod
	cd test/backends/alertmanager && go build -o ../../../bin/tools/ github.com/prometheus/alertmanager/cmd/$(@F)

bin/tools/docker-compose: test/backends/compose/go.mod
	cd test/backends/compose && go build -trimpath -ldflags '-s -w' -o ../../../bin/tools/docker-compose github.com/docker/compose/v2/cmd

bin/tools/cadvisor: test/backends/cadvisor/go.mod test/backends/cadvisor/main.go
	cd test/backends/cadvisor && go build -o ../../../bin/tools/cadvisor .

bin/tools/staticcheck: TOOL := honnef.co/go/tools/cmd/staticcheck
bin/tools/govulncheck: TOOL := golang.org/x/vuln/cmd/govulncheck
bin/tools/actionlint: TOOL := github.com/rhysd/actionlint/cmd/actionlint
bin/tools/staticcheck bin/tools/govulncheck bin/tools/actionlint: tools/go.mod
	cd tools && go build -o ../bin/tools/ $(TOOL)

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
peers: bin/peers/vmagent bin/peers/otelcol bin/peers/node_exporter bin/tools/cadvisor

bin/peers/vmagent: test/backends/victoriametrics/go.mod
	cd test/backends/victoriametrics && go build -trimpath -ldflags '-s -w' -o ../../../$@ github.com/VictoriaMetrics/VictoriaMetrics/app/vmagent

bin/peers/otelcol: bench/peers/otelcol/go.mod bench/peers/otelcol/main.go
	cd bench/peers/otelcol && CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o ../../../$@ .

bin/peers/node_exporter: bench/peers/node_exporter/go.mod
	cd bench/peers/node_exporter && CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o ../../../$@ github.com/prometheus/node_exporter

image: export IMAGE := $(IMAGE)
image: build ## needs a Docker Engine; GOARCH=arm64 makes it for another machine
	deploy/image/build.sh bin/collector

release: export VERSION := $(VERSION)
release: export REVISION := $(REVISION)
release: export BRANCH :=
release: ## into DIST: a binary for each architecture, bills of materials, notices, checksums
	rm -rf '$(DIST)'
	mkdir -p '$(DIST)'
	for arch in $(ARCHITECTURES); do GOOS=linux GOARCH=$$arch ./build.sh '$(DIST)'/collector-linux-$$arch || exit 1; done
	cd tools && go run ./sbom -version '$(VERSION)' $(ARCHITECTURES:%='$(abspath $(DIST))'/collector-linux-%)
	cp LICENSE THIRD_PARTY_NOTICES.txt '$(DIST)'
	cd '$(DIST)' && sha256sum * >SHA256SUMS

# An image's name is in lower case; the owner of a repository may not be.
images push: override IMAGE := $(shell echo '$(IMAGE)' | sed 's/.*:/\L&/')
images: release ## an image of each of these binaries, called IMAGE-amd64 and so on
	for arch in $(ARCHITECTURES); do IMAGE=$(IMAGE)-$$arch deploy/image/build.sh '$(DIST)'/collector-linux-$$arch || exit 1; done

push: ## these images to their registry, and IMAGE, which is each of them
	for arch in $(ARCHITECTURES); do docker push $(IMAGE)-$$arch || exit 1; done
	docker manifest create $(IMAGE) $(ARCHITECTURES:%=$(IMAGE)-%)
	docker manifest push $(IMAGE)

publish: ## what is in DIST, as a release on GitHub
	gh release create '$(VERSION)' --verify-tag --generate-notes '$(DIST)'/*

screenshots: setup chromium ## pictures of all pages of the demo, into bin/screenshots
	SCREENSHOTS=$(or $(SCREENSHOTS),bin/screenshots) go test -tags integration -count=1 -v -run TestScreenshots ./test/ui

reference: ## rewrites docs/reference.md and docs/components from the components' Config types
	go test ./cmd/collector -run TestReference -update
