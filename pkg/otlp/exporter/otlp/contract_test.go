package otlp

import (
	"strings"
	"testing"

	"collector/pkg/listen/listentest"
	"collector/pkg/otlp/exporter/exportertest"
	"collector/pkg/otlp/otlptest"
	receiver "collector/pkg/otlp/receiver/otlp"
	"collector/pkg/otlp/receiver/receivertest"
	"collector/pkg/otlp/security"
	"collector/pkg/pipeline"
)

func suite() exportertest.Suite {
	return exportertest.Suite{
		Make: func(t *testing.T, endpoint, dir string, change func(exportertest.Blocks)) exportertest.Exporter {
			t.Helper()
			return made(t, endpoint, dir, func(c *Config) {
				if change != nil {
					change(exportertest.Blocks{TLS: &c.Client.TLS, Queue: &c.Queue, Retry: &c.Retry})
				}
			})
		},
		Endpoint: func(sv receivertest.Receiver, _ bool) string { return sv.GRPC },
		Secure:   func(c *receiver.Config, tls *security.TLSServer) { c.GRPC.TLS = tls },
	}
}

func TestItKeepsTheContractOfSinks(t *testing.T) { suite().KeepsTheContractOfSinks(t) }

func TestExporterWithoutAnEndpointIsSwitchedOff(t *testing.T) {
	suite().IsOffWithoutAnEndpoint(t, "", ":")
}

func TestAnExporterKeepsDataUntilTheFilesOfItsTLSAreThere(t *testing.T) {
	suite().WaitsForTheFilesOfTLS(t)
}

func TestTLSWithClientCertificates(t *testing.T) { suite().ShowsItsCertificate(t) }

func TestWithoutQueueAndRetriesWhatWasAcknowledgedIsDelivered(t *testing.T) {
	suite().DeliversWhatWasAcknowledged(t)
}

func TestPlainTextAtAPortOfTLSCausesAHint(t *testing.T) {
	server, _ := exportertest.Certified(t)
	var to otlptest.Sink
	sv := receivertest.Start(t, otlptest.All(&to), func(c *receiver.Config) { c.GRPC.TLS = &server })
	plain := start(t, sv.GRPC, t.TempDir(), nil)
	plain.Write(t, pipeline.SignalTraces, otlptest.Request(t, pipeline.SignalTraces, 1, 1, 1, 1), nil)
	listentest.Eventually(t, "the server says it", func() bool {
		return strings.Contains(sv.Log.String(), "a client sent plain text")
	})
}
