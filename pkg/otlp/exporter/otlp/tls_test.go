package otlp

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"collector/pkg/listen/listentest"
	"collector/pkg/otlp/exporter/exportertest"
	"collector/pkg/otlp/otlptest"
	receiver "collector/pkg/otlp/receiver/otlp"
	"collector/pkg/otlp/receiver/receivertest"
	"collector/pkg/pipeline"
)

func TestAnExporterKeepsDataUntilTheFilesOfItsTLSAreThere(t *testing.T) {
	server, client := exportertest.Certified(t)
	pem, err := os.ReadFile(client.TLS.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	late := filepath.Join(t.TempDir(), "late.pem")
	client.TLS.CAFile = late
	var to otlptest.Sink
	sv := receivertest.Start(t, otlptest.All(&to), func(c *receiver.Config) { c.GRPC.TLS = &server })
	e := start(t, sv.GRPC, t.TempDir(), func(c *Config) { c.Client.TLS = client })
	e.Write(t, pipeline.SignalTraces, otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 1), nil)
	listentest.Eventually(t, "the error names the argument and the file", func() bool {
		return strings.Contains(e.Delivery(t).LastError, "ca_file: open "+late)
	})
	if err := os.WriteFile(late, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	e.Settled(t)
	to.One(t)
}

func TestTLSWithClientCertificates(t *testing.T) {
	server, client := exportertest.Certified(t)
	var to otlptest.Sink
	sv := receivertest.Start(t, otlptest.All(&to), func(c *receiver.Config) { c.GRPC.TLS = &server })
	data := otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 1)
	trusted := start(t, sv.GRPC, t.TempDir(), func(c *Config) { c.Client.TLS = client })
	trusted.Write(t, pipeline.SignalTraces, data, nil)
	trusted.Settled(t)
	to.One(t)

	plain := start(t, sv.GRPC, t.TempDir(), nil)
	plain.Write(t, pipeline.SignalTraces, data, nil)
	listentest.Eventually(t, "plain text at a TLS port draws a hint", func() bool {
		return strings.Contains(sv.Log.String(), "a client sent plain text")
	})
}
