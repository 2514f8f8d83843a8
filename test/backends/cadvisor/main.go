// Command cadvisor serves the metrics of cAdvisor itself, with the settings that Alloy
// gives it: what prometheus.exporter.cadvisor is compared with.
//
//	cadvisor ADDRESS DOCKER_HOST
package main

import (
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/google/cadvisor/cache/memory"
	"github.com/google/cadvisor/container"
	"github.com/google/cadvisor/container/docker"
	"github.com/google/cadvisor/container/systemd"
	v2 "github.com/google/cadvisor/info/v2"
	"github.com/google/cadvisor/manager"
	"github.com/google/cadvisor/metrics"
	"github.com/google/cadvisor/storage"
	"github.com/google/cadvisor/utils/sysfs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/utils/clock"
)

func main() {
	*docker.ArgDockerEndpoint = os.Args[2]
	for name, plugin := range map[string]container.Plugin{"docker": docker.NewPlugin(), "systemd": systemd.NewPlugin()} {
		if err := container.RegisterPlugin(name, plugin); err != nil {
			log.Fatal(err)
		}
	}
	var off container.MetricSet
	if err := off.Set(strings.Join([]string{"memory_numa", "tcp", "udp", "advtcp", "sched", "process", "hugetlb", "referenced_memory", "cpu_topology", "resctrl", "cpuset"}, ",")); err != nil {
		log.Fatal(err)
	}
	on := container.AllMetrics.Difference(off)
	interval, dynamic := time.Second, false
	housekeeping := manager.HousekeepingConfig{Interval: &interval, AllowDynamic: &dynamic}
	m, err := manager.New(memory.New(2*time.Minute, []storage.StorageDriver{}), sysfs.NewRealSysFs(), housekeeping, on, &http.Client{}, []string{""}, []string{""}, "", 0)
	if err != nil {
		log.Fatal(err)
	}
	if err := m.Start(); err != nil {
		log.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		metrics.NewPrometheusMachineCollector(m, on),
		metrics.NewPrometheusCollector(m, metrics.DefaultContainerLabels, on, clock.RealClock{}, v2.RequestOptions{IdType: v2.TypeName, Count: 1, Recursive: true}),
	)
	http.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}))
	log.Fatal(http.ListenAndServe(os.Args[1], nil))
}
