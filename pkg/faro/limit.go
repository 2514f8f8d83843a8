package faro

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

const (
	// maxApps bounds how many apps have a bucket, and metrics, of their own: their
	// names are what clients say. All others share one.
	maxApps    = 1000
	maxAppName = 200
	otherApps  = "(other)"
	// appExpiry is how long the bucket of an app that sends nothing is kept.
	appExpiry = 10 * time.Minute
)

// filled is when a bucket would have been empty to be as full now as Alloy's are at the
// start: it has rate² · burst tokens, or all.
func filled(c RateConfig, now time.Time) time.Time {
	const longest = float64(1 << 62)
	age := c.Rate * c.BurstSize * float64(time.Second)
	return now.Add(-time.Duration(max(-longest, min(longest, age))))
}

// limitAll makes the bucket of the strategy global.
func limitAll(c RateConfig) *rate.Limiter {
	l, since := rate.NewLimiter(rate.Inf, 0), filled(c, time.Now())
	l.SetLimitAt(since, rate.Limit(c.Rate))
	l.SetBurstAt(since, int(c.BurstSize))
	return l
}

// app is an app in an environment, as the client says.
type app struct{ name, env string }

// appLimits are the buckets of the strategy per_app. They begin full.
type appLimits struct {
	config    RateConfig
	decisions *prometheus.CounterVec // by app, env and allowed

	mu    sync.Mutex
	apps  map[app]*appLimit // guarded by mu
	swept time.Time         // guarded by mu
}

type appLimit struct {
	*rate.Limiter
	used time.Time
}

func limitApps(c RateConfig, reg prometheus.Registerer) *appLimits {
	l := &appLimits{config: c, apps: make(map[app]*appLimit), swept: time.Now(), decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "faro_receiver_rate_limiter_requests_total",
		Help: "Requests that the rate limiter has decided on, by app, environment and whether they were allowed.",
	}, []string{"app", "env", "allowed"})}
	reg.MustRegister(l.decisions, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "faro_receiver_rate_limiter_active_app",
		Help: "Apps and environments with a rate limit of their own that have sent something in the last 10 minutes.",
	}, l.active))
	return l
}

// allow takes a token of an app.
func (l *appLimits) allow(a app) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if now.Sub(l.swept) > appExpiry {
		l.sweep(now)
	}
	if _, known := l.apps[a]; !known && len(l.apps) >= maxApps || len(a.name) > maxAppName || len(a.env) > maxAppName {
		a = app{otherApps, otherApps}
	}
	limit := l.apps[a]
	if limit == nil {
		limit = &appLimit{Limiter: rate.NewLimiter(rate.Limit(l.config.Rate), int(l.config.BurstSize))}
		l.apps[a] = limit
	}
	limit.used = now
	allowed := limit.AllowN(now, 1)
	l.decisions.WithLabelValues(a.name, a.env, strconv.FormatBool(allowed)).Inc()
	return allowed
}

// active counts the apps, without those that have expired.
func (l *appLimits) active() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sweep(time.Now())
	return float64(len(l.apps))
}

// sweep forgets apps that have expired, with their metrics. The caller holds mu.
func (l *appLimits) sweep(now time.Time) {
	l.swept = now
	for a, limit := range l.apps {
		if now.Sub(limit.used) > appExpiry {
			delete(l.apps, a)
			l.decisions.DeletePartialMatch(prometheus.Labels{"app": a.name, "env": a.env})
		}
	}
}
