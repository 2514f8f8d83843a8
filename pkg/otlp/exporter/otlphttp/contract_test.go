package otlphttp

import (
	"testing"

	"collector/pkg/otlp/exporter/exportertest"
	receiver "collector/pkg/otlp/receiver/otlp"
	"collector/pkg/otlp/receiver/receivertest"
	"collector/pkg/otlp/security"
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
		Endpoint: func(sv receivertest.Receiver, tls bool) string {
			if tls {
				return "https://" + sv.HTTP
			}
			return "http://" + sv.HTTP
		},
		Secure: func(c *receiver.Config, tls *security.TLSServer) { c.HTTP.TLS = tls },
	}
}

func TestItKeepsTheContractOfSinks(t *testing.T) { suite().KeepsTheContractOfSinks(t) }

func TestExporterWithoutAnEndpointIsSwitchedOff(t *testing.T) {
	suite().IsOffWithoutAnEndpoint(t, "", "http://")
}

func TestAnExporterKeepsDataUntilTheFilesOfItsTLSAreThere(t *testing.T) {
	suite().WaitsForTheFilesOfTLS(t)
}

func TestTLSWithClientCertificates(t *testing.T) { suite().ShowsItsCertificate(t) }

func TestWithoutQueueAndRetriesWhatWasAcknowledgedIsDelivered(t *testing.T) {
	suite().DeliversWhatWasAcknowledged(t)
}
