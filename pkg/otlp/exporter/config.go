package exporter

import (
	"errors"
	"fmt"
	"time"

	"collector/pkg/component"
	"collector/pkg/deliver"
	"collector/pkg/otlp/storage"
	"collector/pkg/pipeline"
	"collector/pkg/queue"
)

// Retry is the retry_on_failure block.
type Retry struct {
	Enabled             bool          `alloy:"enabled,attr,optional"`
	InitialInterval     time.Duration `alloy:"initial_interval,attr,optional"`
	RandomizationFactor float64       `alloy:"randomization_factor,attr,optional"`
	Multiplier          float64       `alloy:"multiplier,attr,optional"`
	MaxInterval         time.Duration `alloy:"max_interval,attr,optional"`
	MaxElapsedTime      time.Duration `alloy:"max_elapsed_time,attr,optional"`
}

const defaultMaxElapsedTime = 5 * time.Minute

// SetToDefault sets the defaults.
func (c *Retry) SetToDefault() {
	*c = Retry{
		Enabled:             true,
		InitialInterval:     5 * time.Second,
		RandomizationFactor: 0.5,
		Multiplier:          1.5,
		MaxInterval:         30 * time.Second,
		MaxElapsedTime:      defaultMaxElapsedTime,
	}
}

// Validate rejects what cannot work.
func (c *Retry) Validate() error {
	var errs []error
	if c.Multiplier <= 1 {
		errs = append(errs, component.At("multiplier", errors.New("it must be greater than 1")))
	}
	if c.RandomizationFactor < 0 || c.RandomizationFactor > 1 {
		errs = append(errs, component.At("randomization_factor", errors.New("it must be from 0 to 1")))
	}
	if c.InitialInterval <= 0 {
		errs = append(errs, component.At("initial_interval", errors.New("it must be positive")))
	}
	if c.MaxInterval < c.InitialInterval {
		errs = append(errs, component.At("max_interval", errors.New("it must not be below initial_interval")))
	}
	return errors.Join(errs...)
}

func (c *Retry) backoff() deliver.Backoff {
	return deliver.Backoff{Min: c.InitialInterval, Max: c.MaxInterval, Factor: c.Multiplier, Jitter: c.RandomizationFactor}
}

// The sizers of a sending_queue.
const (
	sizerRequests = "requests"
	sizerItems    = "items"
	sizerBytes    = "bytes"
)

func checkSizer(s string) error {
	switch s {
	case sizerRequests, sizerItems, sizerBytes:
		return nil
	}
	return component.At("sizer", fmt.Errorf("%q is not known: use %s, %s or %s", s, sizerRequests, sizerItems, sizerBytes))
}

// SendingQueue is the sending_queue block. The queue is on disk, and capped by
// bytes.
type SendingQueue struct {
	Enabled         bool             `alloy:"enabled,attr,optional"`
	NumConsumers    int              `alloy:"num_consumers,attr,optional"`
	QueueSize       int64            `alloy:"queue_size,attr,optional"`
	BlockOnOverflow bool             `alloy:"block_on_overflow,attr,optional"`
	Sizer           string           `alloy:"sizer,attr,optional"`
	WaitForResult   bool             `alloy:"wait_for_result,attr,optional"`
	Storage         *storage.Handler `alloy:"storage,attr,optional"` // not used
	Batch           *QueueBatch      `alloy:"batch,block,optional"`
}

const defaultQueueSize = 1000

// SetToDefault sets the defaults.
func (c *SendingQueue) SetToDefault() {
	*c = SendingQueue{Enabled: true, NumConsumers: 10, QueueSize: defaultQueueSize, Sizer: sizerRequests}
}

// Validate rejects what cannot work. Of a queue that is switched off, Alloy's converter
// writes zeros.
func (c *SendingQueue) Validate() error {
	if !c.Enabled {
		return nil
	}
	errs := []error{checkSizer(c.Sizer)}
	if c.NumConsumers <= 0 {
		errs = append(errs, component.At("num_consumers", errors.New("it must be positive")))
	}
	if c.QueueSize <= 0 {
		errs = append(errs, component.At("queue_size", errors.New("it must be positive")))
	}
	return errors.Join(errs...)
}

// warn reports what has no effect here.
func (c *SendingQueue) warn(o component.Options) {
	if !c.Enabled {
		o.Warn("sending_queue/enabled", "requests are acknowledged once they are in the queue on disk, and retried until they are delivered")
	}
	if c.WaitForResult {
		o.Warn("sending_queue/wait_for_result", "requests are acknowledged when they are queued on disk")
	}
	if c.Sizer != sizerBytes && c.QueueSize != defaultQueueSize {
		o.Warn("sending_queue/queue_size", "the queue on disk is capped by bytes, at 1 GiB; set sizer = \"bytes\" to choose another size")
	}
}

func (c *SendingQueue) maxBytes() int64 {
	if c.Sizer == sizerBytes && c.QueueSize != defaultQueueSize {
		return c.QueueSize
	}
	return 0 // the queue's own default
}

func (c *SendingQueue) whenFull() queue.Policy {
	if c.BlockOnOverflow {
		return queue.Wait
	}
	return queue.Refuse
}

// QueueBatch is the sending_queue > batch block: how requests are merged.
type QueueBatch struct {
	FlushTimeout time.Duration `alloy:"flush_timeout,attr,optional"`
	MinSize      int64         `alloy:"min_size,attr,optional"`
	MaxSize      int64         `alloy:"max_size,attr,optional"`
	Sizer        string        `alloy:"sizer,attr,optional"`
}

// SetToDefault sets the defaults.
func (c *QueueBatch) SetToDefault() {
	*c = QueueBatch{FlushTimeout: 200 * time.Millisecond, MinSize: 8192, Sizer: sizerItems}
}

// Validate rejects what cannot work.
func (c *QueueBatch) Validate() error {
	errs := []error{checkSizer(c.Sizer)}
	if c.Sizer == sizerRequests {
		errs = append(errs, component.At("sizer", errors.New("a batch is measured in items or bytes")))
	}
	if c.FlushTimeout <= 0 {
		errs = append(errs, component.At("flush_timeout", errors.New("it must be positive")))
	}
	if c.MinSize < 0 || c.MaxSize < 0 {
		errs = append(errs, component.At("min_size", errors.New("it and max_size cannot be negative")))
	}
	if c.MaxSize > 0 && c.MaxSize < c.MinSize {
		errs = append(errs, component.At("max_size", errors.New("it must not be below min_size")))
	}
	return errors.Join(errs...)
}

// Bounds on the size of one request, uncompressed.
const (
	// MaxRequestBytes is below the 4 MiB that receivers accept by default, with a
	// margin for what a part repeats.
	MaxRequestBytes = 3584 << 10
	// mergeBytes is how much is merged when nobody asks for more: enough that a
	// backlog goes out fast, little enough that many requests at once fit in
	// memory.
	mergeBytes = 1 << 20
)

// limits is how an exporter cuts and merges requests.
type limits struct {
	maxBytes, maxItems int // of one request
	batch              queue.BatchLimits
}

// limitsOf combines what the batch block says and, if there is none, what a
// batch processor asks for; either may be nil.
func limitsOf(own *QueueBatch, asked *pipeline.Batching) limits {
	l := limits{maxBytes: MaxRequestBytes, batch: queue.BatchLimits{MaxBytes: mergeBytes}}
	if asked != nil {
		l.maxItems = asked.MaxItems
	}
	switch {
	case own != nil:
		l.batch = queue.BatchLimits{MaxBytes: MaxRequestBytes, MinBytes: MaxRequestBytes, MaxWait: own.FlushTimeout}
		if own.Sizer == sizerBytes {
			l.batch.MinBytes = int(min(own.MinSize, MaxRequestBytes))
			if own.MaxSize > 0 {
				l.maxBytes = int(min(own.MaxSize, MaxRequestBytes))
				l.batch.MaxBytes = l.maxBytes
			}
		} else {
			l.batch.MinItems = int(own.MinSize)
			if own.MaxSize > 0 && (l.maxItems == 0 || int(own.MaxSize) < l.maxItems) {
				l.maxItems = int(own.MaxSize)
			}
		}
		if own.MinSize == 0 {
			l.batch.MaxWait = 0
		}
	case asked != nil:
		l.batch = queue.BatchLimits{MaxBytes: MaxRequestBytes, MinBytes: MaxRequestBytes, MinItems: asked.MinItems, MaxWait: asked.Timeout}
		if asked.MinItems == 0 {
			l.batch.MaxWait = 0
		}
	}
	l.batch.MaxItems = l.maxItems
	if l.maxItems > 0 && l.batch.MinItems > l.maxItems {
		l.batch.MinItems = l.maxItems
	}
	return l
}
