package remotewrite

import (
	"context"
	"io"
	"net/http"
	"time"

	"collector/pkg/aws"
	"collector/pkg/httpclient"
)

// sigV4Service is the service that Prometheus signs for: Amazon Managed
// Service for Prometheus.
const sigV4Service = "aps"

// identity is whose keys requests are signed with.
func (s *SigV4) identity() aws.Config {
	return aws.Config{Region: s.Region, AccessKey: s.AccessKey, SecretKey: s.SecretKey, Profile: s.Profile, RoleARN: s.RoleARN}
}

// signing signs the requests of an endpoint.
type signing struct {
	identity *aws.Identity
	now      func() time.Time
}

// newSigning makes one that reaches AWS by the proxy of the endpoint.
func newSigning(cfg *SigV4, settings *httpclient.Config, userAgent string) (*signing, error) {
	identity, err := aws.New(cfg.identity(), settings, userAgent)
	if err != nil {
		return nil, err
	}
	return &signing{identity: identity, now: time.Now}, nil
}

// signer finds the keys for a request, and returns what signs it.
func (s *signing) signer(ctx context.Context) (func(r *http.Request, body []byte), error) {
	region, err := s.identity.Region()
	if err != nil {
		return nil, err
	}
	keys, err := s.identity.Keys(ctx)
	if err != nil {
		return nil, err
	}
	return func(r *http.Request, body []byte) {
		aws.Sign(r, body, aws.Request{Service: sigV4Service, Region: region}, keys, s.now())
	}, nil
}

// resigning is a client's CheckRedirect that signs the requests which check
// lets through: a signature is good for one path only.
func (s *signing) resigning(check func(next *http.Request, via []*http.Request) error) func(next *http.Request, via []*http.Request) error {
	return func(next *http.Request, via []*http.Request) error {
		if err := check(next, via); err != nil {
			return err
		}
		copied, err := next.GetBody()
		if err != nil {
			return err
		}
		body, err := io.ReadAll(copied)
		if err != nil {
			return err
		}
		signed, err := s.signer(next.Context())
		if err == nil {
			signed(next, body)
		}
		return err
	}
}
