package statsd

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"collector/pkg/component"
)

// Config is the configuration of prometheus.exporter.statsd.
type Config struct {
	ListenUDP           string        `alloy:"listen_udp,attr,optional"`
	ListenTCP           string        `alloy:"listen_tcp,attr,optional"`
	ListenUnixgram      string        `alloy:"listen_unixgram,attr,optional"`
	UnixSocketMode      string        `alloy:"unix_socket_mode,attr,optional"`
	MappingConfig       string        `alloy:"mapping_config_path,attr,optional,file"`
	ReadBuffer          int           `alloy:"read_buffer,attr,optional"`
	CacheSize           int           `alloy:"cache_size,attr,optional"`
	CacheType           string        `alloy:"cache_type,attr,optional"`
	EventQueueSize      int           `alloy:"event_queue_size,attr,optional"`
	EventFlushThreshold int           `alloy:"event_flush_threshold,attr,optional"`
	EventFlushInterval  time.Duration `alloy:"event_flush_interval,attr,optional"`
	ParseDogStatsD      bool          `alloy:"parse_dogstatsd_tags,attr,optional"`
	ParseInfluxDB       bool          `alloy:"parse_influxdb_tags,attr,optional"`
	ParseLibrato        bool          `alloy:"parse_librato_tags,attr,optional"`
	ParseSignalFX       bool          `alloy:"parse_signalfx_tags,attr,optional"`
	RelayAddr           string        `alloy:"relay_addr,attr,optional"`
	RelayPacketLength   int           `alloy:"relay_packet_length,attr,optional"`
}

// SetToDefault sets Alloy's defaults.
func (c *Config) SetToDefault() {
	*c = Config{
		ListenUDP: ":9125", ListenTCP: ":9125", UnixSocketMode: "755",
		CacheSize: 1000, CacheType: "lru",
		EventQueueSize: 10000, EventFlushThreshold: 1000, EventFlushInterval: 200 * time.Millisecond,
		ParseDogStatsD: true, ParseInfluxDB: true, ParseLibrato: true, ParseSignalFX: true,
		RelayPacketLength: 1400,
	}
}

// Validate reports what cannot work.
func (c *Config) Validate() error {
	var errs []error
	if c.ListenUDP == "" && c.ListenTCP == "" && c.ListenUnixgram == "" {
		errs = append(errs, errors.New("nothing listens: set listen_udp, listen_tcp or listen_unixgram"))
	}
	for name, address := range map[string]string{"listen_udp": c.ListenUDP, "listen_tcp": c.ListenTCP, "relay_addr": c.RelayAddr} {
		if _, _, err := net.SplitHostPort(address); address != "" && err != nil {
			errs = append(errs, component.At(name, fmt.Errorf("%q is not an address: use host:port", address)))
		}
	}
	if c.CacheSize != 0 && c.CacheType != "lru" && c.CacheType != "random" {
		errs = append(errs, component.At("cache_type", fmt.Errorf("%q is unknown: use \"lru\" or \"random\"", c.CacheType)))
	}
	for name, n := range map[string]int{"read_buffer": c.ReadBuffer, "cache_size": c.CacheSize} {
		if n < 0 {
			errs = append(errs, component.At(name, fmt.Errorf("%d is negative", n)))
		}
	}
	for name, n := range map[string]int64{
		"event_queue_size": int64(c.EventQueueSize), "event_flush_threshold": int64(c.EventFlushThreshold),
		"event_flush_interval": int64(c.EventFlushInterval), "relay_packet_length": int64(c.RelayPacketLength),
	} {
		if n <= 0 {
			errs = append(errs, component.At(name, errors.New("it must be above 0")))
		}
	}
	return errors.Join(errs...)
}

// mode is the mode of the Unix socket.
func (c *Config) mode() (uint32, error) {
	mode, err := strconv.ParseUint(c.UnixSocketMode, 8, 12)
	if err != nil {
		return 0, fmt.Errorf("%q is not a mode such as \"755\", so the socket has the system's default", c.UnixSocketMode)
	}
	return uint32(mode), nil
}
