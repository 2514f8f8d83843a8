package graph

import "strings"

// alloyComponents are the components that Alloy has, those of version 1.12.
func alloyComponents() []string {
	return strings.Fields(`
		beyla.ebpf
		database_observability.mysql database_observability.postgres
		discovery.azure discovery.consul discovery.consulagent discovery.digitalocean discovery.dns
		discovery.docker discovery.dockerswarm discovery.ec2 discovery.eureka discovery.file
		discovery.gce discovery.hetzner discovery.http discovery.ionos discovery.kubelet
		discovery.kubernetes discovery.kuma discovery.lightsail discovery.linode discovery.marathon
		discovery.nerve discovery.nomad discovery.openstack discovery.ovhcloud discovery.process
		discovery.puppetdb discovery.relabel discovery.scaleway discovery.serverset discovery.triton
		discovery.uyuni
		faro.receiver
		local.file local.file_match
		loki.echo loki.enrich loki.process loki.relabel loki.rules.kubernetes loki.secretfilter
		loki.source.api loki.source.awsfirehose loki.source.azure_event_hubs loki.source.cloudflare
		loki.source.docker loki.source.file loki.source.gcplog loki.source.gelf loki.source.heroku
		loki.source.journal loki.source.kafka loki.source.kubernetes loki.source.kubernetes_events
		loki.source.podlogs loki.source.syslog loki.source.windowsevent loki.write
		mimir.alerts.kubernetes mimir.rules.kubernetes
		otelcol.auth.basic otelcol.auth.bearer otelcol.auth.headers
		otelcol.auth.oauth2 otelcol.auth.sigv4
		otelcol.connector.host_info otelcol.connector.servicegraph
		otelcol.connector.spanlogs otelcol.connector.spanmetrics
		otelcol.exporter.awss3 otelcol.exporter.datadog otelcol.exporter.debug otelcol.exporter.faro
		otelcol.exporter.googlecloud otelcol.exporter.googlecloudpubsub
		otelcol.exporter.kafka otelcol.exporter.loadbalancing
		otelcol.exporter.loki otelcol.exporter.otlp otelcol.exporter.otlphttp
		otelcol.exporter.prometheus otelcol.exporter.splunkhec otelcol.exporter.syslog
		otelcol.extension.jaeger_remote_sampling
		otelcol.processor.attributes otelcol.processor.batch otelcol.processor.cumulativetodelta
		otelcol.processor.deltatocumulative otelcol.processor.discovery otelcol.processor.filter
		otelcol.processor.groupbyattrs otelcol.processor.interval otelcol.processor.k8sattributes
		otelcol.processor.memory_limiter
		otelcol.processor.probabilistic_sampler otelcol.processor.resourcedetection
		otelcol.processor.span otelcol.processor.tail_sampling otelcol.processor.transform
		otelcol.receiver.awscloudwatch otelcol.receiver.awsecscontainermetrics
		otelcol.receiver.cloudflare otelcol.receiver.datadog otelcol.receiver.faro
		otelcol.receiver.file_stats otelcol.receiver.filelog otelcol.receiver.fluentforward
		otelcol.receiver.googlecloudpubsub otelcol.receiver.influxdb otelcol.receiver.jaeger
		otelcol.receiver.kafka otelcol.receiver.loki otelcol.receiver.opencensus otelcol.receiver.otlp
		otelcol.receiver.prometheus otelcol.receiver.solace otelcol.receiver.splunkhec
		otelcol.receiver.syslog otelcol.receiver.tcplog otelcol.receiver.vcenter otelcol.receiver.zipkin
		otelcol.storage.file
		prometheus.enrich
		prometheus.exporter.apache prometheus.exporter.azure prometheus.exporter.blackbox
		prometheus.exporter.cadvisor prometheus.exporter.catchpoint prometheus.exporter.cloudwatch
		prometheus.exporter.consul prometheus.exporter.dnsmasq
		prometheus.exporter.elasticsearch prometheus.exporter.gcp prometheus.exporter.github
		prometheus.exporter.kafka prometheus.exporter.memcached prometheus.exporter.mongodb
		prometheus.exporter.mssql prometheus.exporter.mysql prometheus.exporter.oracledb
		prometheus.exporter.postgres prometheus.exporter.process prometheus.exporter.redis
		prometheus.exporter.self prometheus.exporter.snmp prometheus.exporter.snowflake
		prometheus.exporter.squid prometheus.exporter.static prometheus.exporter.statsd
		prometheus.exporter.unix prometheus.exporter.windows
		prometheus.operator.podmonitors prometheus.operator.probes prometheus.operator.scrapeconfigs
		prometheus.operator.servicemonitors
		prometheus.receive_http prometheus.relabel prometheus.remote_write prometheus.scrape
		prometheus.write.queue
		pyroscope.ebpf pyroscope.java pyroscope.receive_http pyroscope.relabel
		pyroscope.scrape pyroscope.write
		remote.http remote.kubernetes.configmap remote.kubernetes.secret remote.s3 remote.vault
	`)
}

// alloyBlocks are the blocks of Alloy's configuration that are no components.
func alloyBlocks() map[string]bool {
	return map[string]bool{
		"argument": true, "declare": true, "export": true, "foreach": true, "http": true,
		"import.file": true, "import.git": true, "import.http": true, "import.string": true,
		"livedebugging": true, "logging": true, "remotecfg": true, "tracing": true,
	}
}
