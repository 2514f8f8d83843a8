// Package storage is otelcol.storage.file, which keeps nothing: the queue of an exporter
// is on disk in any case.
package storage

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"time"

	"collector/pkg/component"
	"collector/pkg/otlp/flow"
	"collector/pkg/pipeline"
)

// Config is the configuration of otelcol.storage.file.
type Config struct {
	Directory            string            `alloy:"directory,attr,optional"`
	Timeout              time.Duration     `alloy:"timeout,attr,optional"`
	Compaction           Compaction        `alloy:"compaction,block,optional"`
	FSync                bool              `alloy:"fsync,attr,optional"`
	CreateDirectory      bool              `alloy:"create_directory,attr,optional"`
	DirectoryPermissions string            `alloy:"directory_permissions,attr,optional"`
	DebugMetrics         flow.DebugMetrics `alloy:"debug_metrics,block,optional"`
}

// Compaction is the block compaction.
type Compaction struct {
	OnStart                    bool          `alloy:"on_start,attr,optional"`
	OnRebound                  bool          `alloy:"on_rebound,attr,optional"`
	Directory                  string        `alloy:"directory,attr,optional"`
	ReboundNeededThresholdMiB  int64         `alloy:"rebound_needed_threshold_mib,attr,optional"`
	ReboundTriggerThresholdMiB int64         `alloy:"rebound_trigger_threshold_mib,attr,optional"`
	MaxTransactionSize         int64         `alloy:"max_transaction_size,attr,optional"`
	CheckInterval              time.Duration `alloy:"check_interval,attr,optional"`
	CleanupOnStart             bool          `alloy:"cleanup_on_start,attr,optional"`
}

// SetToDefault sets the defaults.
func (c *Config) SetToDefault() {
	*c = Config{Timeout: time.Second, CreateDirectory: true, DirectoryPermissions: "0750"}
	c.Compaction.SetToDefault()
	c.DebugMetrics.SetToDefault()
}

// SetToDefault sets the defaults.
func (c *Compaction) SetToDefault() {
	*c = Compaction{ReboundNeededThresholdMiB: 100, ReboundTriggerThresholdMiB: 10, MaxTransactionSize: 65536, CheckInterval: 5 * time.Second}
}

// Validate rejects what Alloy does.
func (c *Config) Validate() error {
	if !c.CreateDirectory {
		return nil
	}
	if mode, err := strconv.ParseInt(c.DirectoryPermissions, 8, 32); err != nil || mode&int64(os.ModePerm) != mode {
		return component.At("directory_permissions", fmt.Errorf("%q is not an octal mode such as 0750", c.DirectoryPermissions))
	}
	return nil
}

// Validate rejects what Alloy does.
func (c *Compaction) Validate() error {
	var errs []error
	if c.MaxTransactionSize < 0 {
		errs = append(errs, component.At("max_transaction_size", errors.New("it cannot be negative")))
	}
	if c.OnRebound && c.CheckInterval <= 0 {
		errs = append(errs, component.At("check_interval", errors.New("it must be more than 0 with on_rebound")))
	}
	return errors.Join(errs...)
}

// Handler is what a component of otelcol.storage exports, for the argument storage of a
// sending_queue.
type Handler struct{}

// Kind is the kind of handlers.
func Kind() pipeline.Kind {
	return pipeline.Kind{
		Type: reflect.TypeFor[*Handler](), Name: "otelcol.StorageHandler", Is: "a storage handler",
		From: "a storage component, such as otelcol.storage.file.<label>.handler", Optional: true,
		Absent: func() any { return &Handler{} },
	}
}

// Component is the component.
type Component struct{ handler *Handler }

//go:embed otelcol.storage.file.md
var page string

// Definition defines otelcol.storage.file.
func Definition() component.Definition {
	return component.Define("otelcol.storage.file", New, component.Doc{Page: page, Exports: []component.Export{{Name: "handler", Type: "otelcol.StorageHandler"}}})
}

// New makes the component.
func New(c Config, o component.Options) (*Component, error) {
	o = o.WithDefaults()
	c.DebugMetrics.Warn(o)
	if c.Directory != "" {
		o.Warn("directory", "it is not used: queues are on disk in any case, below --storage.path")
	}
	return &Component{&Handler{}}, nil
}

// Exports is the handler.
func (c *Component) Exports() map[string]any { return map[string]any{"handler": c.handler} }

// Run waits until ctx ends.
func (*Component) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
