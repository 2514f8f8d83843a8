package httpserver

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"collector/pkg/component"
)

// maxShutdown bounds graceful shutdown, whatever the configuration says: the
// whole program ends within 5 s.
const maxShutdown = 2 * time.Second

// DefaultShutdown is Alloy's default of graceful_shutdown_timeout.
const DefaultShutdown = 30 * time.Second

// Config is the block http: the server that clients push to. Its defaults are its
// component's, and begin with Default.
type Config struct {
	ListenAddress string        `alloy:"listen_address,attr,optional"`
	ListenPort    int           `alloy:"listen_port,attr,optional"`
	ConnLimit     int           `alloy:"conn_limit,attr,optional"`
	ReadTimeout   time.Duration `alloy:"server_read_timeout,attr,optional"`
	WriteTimeout  time.Duration `alloy:"server_write_timeout,attr,optional"`
	IdleTimeout   time.Duration `alloy:"server_idle_timeout,attr,optional"`
	TLS           *TLSConfig    `alloy:"tls,block,optional"`
}

// TLSConfig is the server side of TLS.
type TLSConfig struct {
	CertPEM        string           `alloy:"cert_pem,attr,optional"`
	CertFile       string           `alloy:"cert_file,attr,optional,file"`
	KeyPEM         component.Secret `alloy:"key_pem,attr,optional"`
	KeyFile        string           `alloy:"key_file,attr,optional,file"`
	ClientAuthType string           `alloy:"client_auth_type,attr,optional"`
	ClientCAFile   string           `alloy:"client_ca_file,attr,optional,file"`
	ClientCAPEM    string           `alloy:"client_ca_pem,attr,optional"`
	// ClientCA is the name that Alloy's program has for client_ca_pem.
	ClientCA     string `alloy:"client_ca,attr,optional"`
	CipherSuites string `alloy:"cipher_suites,attr,optional"`
	MinVersion   string `alloy:"min_version,attr,optional"`
}

// Default is Alloy's default.
func Default() Config {
	return Config{ListenPort: 8080, ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 120 * time.Second}
}

// Validate reports settings that cannot work.
func (c *Config) Validate() error {
	if c.ListenPort < 0 || c.ListenPort > 65535 {
		return component.At("listen_port", fmt.Errorf("%d is not a port: it must be between 0 and 65535", c.ListenPort))
	}
	if c.ConnLimit < 0 {
		return component.At("conn_limit", fmt.Errorf("%d is negative: it must be positive, or 0 for no limit", c.ConnLimit))
	}
	for name, d := range map[string]time.Duration{
		"server_read_timeout":  c.ReadTimeout,
		"server_write_timeout": c.WriteTimeout,
		"server_idle_timeout":  c.IdleTimeout,
	} {
		if d < 0 {
			return component.At(name, fmt.Errorf("%s is negative: it must be positive, or 0 for no limit", d))
		}
	}
	return nil
}

// Validate reports settings that cannot work.
func (c *TLSConfig) Validate() error {
	s, err := c.settings()
	return errors.Join(err, s.CheckServer())
}

// ValidateShutdown reports a graceful_shutdown_timeout that cannot work.
func ValidateShutdown(d time.Duration) error {
	if d < 0 {
		return component.At("graceful_shutdown_timeout", fmt.Errorf("%s is negative", d))
	}
	return nil
}

// address is what to listen on.
func (c *Config) address() string {
	return net.JoinHostPort(c.ListenAddress, strconv.Itoa(c.ListenPort))
}

// GRPCConfig is the block grpc, which is accepted for Alloy's sake: its servers
// open a port for gRPC on which nothing is served.
type GRPCConfig struct {
	ListenAddress         string        `alloy:"listen_address,attr,optional"`
	ListenPort            int           `alloy:"listen_port,attr,optional"`
	ConnLimit             int           `alloy:"conn_limit,attr,optional"`
	MaxConnectionAge      time.Duration `alloy:"max_connection_age,attr,optional"`
	MaxConnectionAgeGrace time.Duration `alloy:"max_connection_age_grace,attr,optional"`
	MaxConnectionIdle     time.Duration `alloy:"max_connection_idle,attr,optional"`
	MaxRecvMsgSize        int           `alloy:"server_max_recv_msg_size,attr,optional"`
	MaxSendMsgSize        int           `alloy:"server_max_send_msg_size,attr,optional"`
	MaxConcurrentStreams  uint          `alloy:"server_max_concurrent_streams,attr,optional"`
	TLS                   *TLSConfig    `alloy:"tls,block,optional"`
}

// SetToDefault sets Alloy's defaults; 0s is no limit.
func (c *GRPCConfig) SetToDefault() {
	*c = GRPCConfig{MaxRecvMsgSize: 4 << 20, MaxSendMsgSize: 4 << 20, MaxConcurrentStreams: 100}
}
