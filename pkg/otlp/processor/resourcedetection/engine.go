package resourcedetection

import (
	"cmp"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/docker/go-connections/tlsconfig"

	"collector/pkg/docker"
)

// engineOf is the Engine that the variables of Docker's own client name: with
// DOCKER_CERT_PATH, it is reached by TLS with the files there, and its certificate is
// verified if DOCKER_TLS_VERIFY is set.
func engineOf(env func(string) string) (docker.Config, error) {
	c := docker.Config{Host: cmp.Or(strings.TrimSpace(env("DOCKER_HOST")), docker.DefaultHost)}
	dir, verify := env("DOCKER_CERT_PATH"), env("DOCKER_TLS_VERIFY") != ""
	if dir == "" || strings.HasPrefix(c.Host, "unix://") {
		return c, nil
	}
	secure, err := tlsconfig.Client(tlsconfig.Options{
		CAFile: filepath.Join(dir, "ca.pem"), CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem"),
		InsecureSkipVerify: !verify,
	})
	if err != nil {
		return c, fmt.Errorf("read the certificates in DOCKER_CERT_PATH for the detector docker: %w", err)
	}
	c.Client = &http.Client{Transport: &http.Transport{TLSClientConfig: secure, DisableCompression: true}}
	c.Key = fmt.Sprintf("environment %s verify=%t", dir, verify)
	return c, nil
}
