package docker

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/docker/docker/api/types/versions"
)

// Details are what the Engine says of a container beyond Container: how it was made
// and where it runs.
type Details struct {
	ID, Name     string // the name with its leading slash
	Image        string // as it was asked for
	Labels       map[string]string
	Env          []string // NAME=value
	Created      time.Time
	Running      bool
	PID          int // of the first process, as the host counts; 0 if it is not running
	RestartCount int
	NetworkMode  string
	UpperDir     string // what the container has written, on the Engine's host; empty if unknown
	LogPath      string // the Engine's file; empty if there is none
	Limits       Limits
}

// Limits are the limits of a container, 0 where there is none.
type Limits struct {
	Memory, MemorySwap, MemoryReservation int64 // bytes
	CPUShares, CPUPeriod, CPUQuota        int64
}

// detailsAnswer is what is read of an inspection for Details.
type detailsAnswer struct {
	ID           string `json:"Id"`
	Name         string
	Created      string
	RestartCount int
	LogPath      string
	State        struct {
		Running bool
		Pid     int
	}
	Config struct {
		Image  string
		Env    []string
		Labels boundedLabels
	}
	HostConfig struct {
		NetworkMode                           string
		Memory, MemorySwap, MemoryReservation int64
		CPUShares                             int64 `json:"CpuShares"`
		CPUPeriod                             int64 `json:"CpuPeriod"`
		CPUQuota                              int64 `json:"CpuQuota"`
		NanoCPUs                              int64 `json:"NanoCpus"`
	}
	GraphDriver struct{ Data map[string]string }
}

// Details asks the Engine about one container, whatever is known of it. IsNotFound
// reports that it does not exist.
func (e *Engine) Details(ctx context.Context, id string) (Details, error) {
	err := e.unasked(toInspect)
	var r *detailsAnswer
	if err == nil {
		r, err = ask(ctx, e, toInspect, requestTimeout, func(ctx context.Context, c *connection) (*detailsAnswer, error) {
			r := new(detailsAnswer)
			return r, c.object(ctx, "/containers/"+url.PathEscape(id)+"/json", maxObject, r)
		})
		if err != nil {
			e.noteRefusal(toInspect, err, "without inspections, the names and labels of containers are missing")
		}
	}
	if err != nil {
		return Details{}, fmt.Errorf("inspect container %s: %w", short(id), err)
	}
	return fromDetails(r), nil
}

func fromDetails(r *detailsAnswer) Details {
	h := &r.HostConfig
	d := Details{
		ID: r.ID, Name: r.Name, Image: r.Config.Image, Labels: r.Config.Labels, Env: r.Config.Env, Created: parseTime(r.Created),
		Running: r.State.Running, PID: r.State.Pid, RestartCount: r.RestartCount, NetworkMode: h.NetworkMode,
		UpperDir: r.GraphDriver.Data["UpperDir"], LogPath: r.LogPath,
		Limits: Limits{Memory: h.Memory, MemorySwap: max(0, h.MemorySwap), MemoryReservation: h.MemoryReservation, CPUShares: h.CPUShares, CPUPeriod: h.CPUPeriod, CPUQuota: max(0, h.CPUQuota)},
	}
	if d.Limits.CPUPeriod == 0 {
		d.Limits.CPUPeriod = 100_000
	}
	if h.NanoCPUs > 0 && d.Limits.CPUQuota == 0 {
		d.Limits.CPUQuota = h.NanoCPUs / 1000 * d.Limits.CPUPeriod / 1_000_000
	}
	return d
}

// Running asks the Engine for the IDs of the containers that are running or paused,
// sorted.
func (e *Engine) Running(ctx context.Context) ([]string, error) {
	found, err := e.list(ctx, map[string][]string{"status": {"running", "paused"}})
	if err != nil {
		return nil, fmt.Errorf("list running containers: %w", err)
	}
	out := make([]string, 0, len(found))
	for i := range found {
		out = append(out, found[i].ID)
	}
	slices.Sort(out)
	return out, nil
}

// Usage is what a container uses, as the Engine says. Times are in nanoseconds.
type Usage struct {
	CPU struct {
		Usage struct {
			Total  uint64   `json:"total_usage"`
			User   uint64   `json:"usage_in_usermode"`
			System uint64   `json:"usage_in_kernelmode"`
			PerCPU []uint64 `json:"percpu_usage"` // with cgroup v1 only
		} `json:"cpu_usage"`
		Throttling struct {
			Periods   uint64 `json:"periods"`
			Throttled uint64 `json:"throttled_periods"`
			Time      uint64 `json:"throttled_time"`
		} `json:"throttling_data"`
	} `json:"cpu_stats"`
	Memory struct {
		Usage    uint64            `json:"usage"`
		MaxUsage uint64            `json:"max_usage"` // with cgroup v1 only
		FailCnt  uint64            `json:"failcnt"`   // with cgroup v1 only
		Stats    map[string]uint64 `json:"stats"`     // of memory.stat
	} `json:"memory_stats"`
	Blkio struct {
		Bytes    []BlkioEntry `json:"io_service_bytes_recursive"`
		Serviced []BlkioEntry `json:"io_serviced_recursive"`
	} `json:"blkio_stats"`
	Networks map[string]NetworkUsage `json:"networks"`
	Pids     struct {
		Current uint64 `json:"current"`
		Limit   uint64 `json:"limit"` // the largest number if there is none
	} `json:"pids_stats"`
}

// BlkioEntry counts one kind of operation of one device.
type BlkioEntry struct {
	Major uint64 `json:"major"`
	Minor uint64 `json:"minor"`
	Op    string `json:"op"`
	Value uint64 `json:"value"`
}

// NetworkUsage counts what passed through an interface.
type NetworkUsage struct {
	RxBytes   uint64 `json:"rx_bytes"`
	RxPackets uint64 `json:"rx_packets"`
	RxErrors  uint64 `json:"rx_errors"`
	RxDropped uint64 `json:"rx_dropped"`
	TxBytes   uint64 `json:"tx_bytes"`
	TxPackets uint64 `json:"tx_packets"`
	TxErrors  uint64 `json:"tx_errors"`
	TxDropped uint64 `json:"tx_dropped"`
}

// Usage asks the Engine what a container uses. Engine 20.10 takes up to a second to
// answer, and those before it another one: they measure twice.
func (e *Engine) Usage(ctx context.Context, id string) (*Usage, error) {
	err := e.unasked(toUsage)
	var r *Usage
	if err == nil {
		r, err = ask(ctx, e, toUsage, requestTimeout, func(ctx context.Context, c *connection) (*Usage, error) {
			r := new(Usage)
			query := url.Values{"stream": {"false"}}
			if !versions.LessThan(c.version, "1.41") {
				query.Set("one-shot", "true")
			}
			return r, c.objectOf(ctx, "/containers/"+url.PathEscape(id)+"/stats", query, maxObject, r)
		})
		if err != nil {
			e.noteRefusal(toUsage, err, "what containers use is known only where their cgroups are mounted")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read what container %s uses: %w", short(id), err)
	}
	return r, nil
}

// Rest closes the connections that nobody is using, unless somebody runs the Engine:
// components that use it only occasionally call this when they stop.
func (e *Engine) Rest() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.users) == 0 {
		e.endpoint.http.CloseIdleConnections()
	}
}
