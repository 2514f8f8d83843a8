package main

import (
	"net/url"
	"os"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"

	"collector/pkg/admin/ui/support"
	"collector/pkg/logging"
	"collector/pkg/mask"
)

// supportFor is what a support bundle has of the program itself; nil if the
// flags switch bundles off.
func (f *runFlags) supportFor(log *logging.Log, metrics prometheus.Gatherer) *support.Program {
	if f.noSupport {
		return nil
	}
	s := &support.Program{
		Build: map[string]string{"version": version, "revision": revision, "branch": branch},
		Flags: map[string]string{}, Metrics: metrics, Log: log.Recent, Secrets: secretsOfEnvironment,
	}
	if f.set != nil {
		f.set.Visit(func(flag *pflag.Flag) { s.Flags[flag.Name] = flag.Value.String() })
	}
	return s
}

// secretsOfEnvironment are the values of the environment variables that are
// called like secrets, and the passwords in others: a configuration may have put
// them anywhere.
func secretsOfEnvironment() []string {
	var secrets []string
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		if mask.Shown(name, "x") != "x" {
			secrets = append(secrets, value)
		}
		if u, err := url.Parse(value); err == nil {
			if password, ok := u.User.Password(); ok {
				secrets = append(secrets, password)
			}
		}
	}
	return secrets
}
