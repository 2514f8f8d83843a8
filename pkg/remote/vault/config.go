package vault

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"collector/pkg/component"
	"collector/pkg/httpclient"
)

// Config configures remote.vault.
type Config struct {
	Server          string        `alloy:"server,attr"`
	Namespace       string        `alloy:"namespace,attr,optional"`
	Path            string        `alloy:"path,attr"`
	Key             string        `alloy:"key,attr,optional"`
	RereadFrequency time.Duration `alloy:"reread_frequency,attr,optional"`
	Client          ClientOptions `alloy:"client_options,block,optional"`
	Auth            []Auth        `alloy:"auth,enum,optional"`
}

// ClientOptions says how requests are repeated.
type ClientOptions struct {
	MinRetryWait time.Duration `alloy:"min_retry_wait,attr,optional"`
	MaxRetryWait time.Duration `alloy:"max_retry_wait,attr,optional"`
	MaxRetries   int           `alloy:"max_retries,attr,optional"`
	Timeout      time.Duration `alloy:"timeout,attr,optional"`
}

// Auth is one block auth.*.
type Auth struct {
	Token      *Token      `alloy:"token,block,optional"`
	AppRole    *AppRole    `alloy:"approle,block,optional"`
	AWS        *AWS        `alloy:"aws,block,optional"`
	Azure      *Azure      `alloy:"azure,block,optional"`
	GCP        *GCP        `alloy:"gcp,block,optional"`
	Kubernetes *Kubernetes `alloy:"kubernetes,block,optional"`
	LDAP       *LDAP       `alloy:"ldap,block,optional"`
	UserPass   *UserPass   `alloy:"userpass,block,optional"`
	Custom     *Custom     `alloy:"custom,block,optional"`
}

// Token is a token of Vault.
type Token struct {
	Token component.Secret `alloy:"token,attr"`
}

// AppRole logs in as a role with a secret, which may be in a wrapping token.
type AppRole struct {
	RoleID        string           `alloy:"role_id,attr"`
	Secret        component.Secret `alloy:"secret,attr"`
	WrappingToken bool             `alloy:"wrapping_token,attr,optional"`
	MountPath     string           `alloy:"mount_path,attr,optional"`
}

// AWS logs in by AWS keys (iam) or as an instance (ec2).
type AWS struct {
	Type              string `alloy:"type,attr"`
	Region            string `alloy:"region,attr,optional"`
	Role              string `alloy:"role,attr,optional"`
	IAMServerIDHeader string `alloy:"iam_server_id_header,attr,optional"`
	EC2SignatureType  string `alloy:"ec2_signature_type,attr,optional"`
	MountPath         string `alloy:"mount_path,attr,optional"`
}

// Azure logs in by the identity of a virtual machine.
type Azure struct {
	Role        string `alloy:"role,attr"`
	ResourceURL string `alloy:"resource_url,attr,optional"`
	MountPath   string `alloy:"mount_path,attr,optional"`
}

// GCP logs in as an instance (gce) or a service account (iam).
type GCP struct {
	Role              string `alloy:"role,attr"`
	Type              string `alloy:"type,attr"`
	IAMServiceAccount string `alloy:"iam_service_account,attr,optional"`
	MountPath         string `alloy:"mount_path,attr,optional"`
}

// Kubernetes logs in by the token of a service account.
type Kubernetes struct {
	Role      string `alloy:"role,attr"`
	TokenFile string `alloy:"service_account_file,attr,optional,file"`
	MountPath string `alloy:"mount_path,attr,optional"`
}

// LDAP logs in as a user of a directory.
type LDAP struct {
	Username  string           `alloy:"username,attr"`
	Password  component.Secret `alloy:"password,attr"`
	MountPath string           `alloy:"mount_path,attr,optional"`
}

// UserPass logs in as a user of Vault.
type UserPass struct {
	Username  string           `alloy:"username,attr"`
	Password  component.Secret `alloy:"password,attr"`
	MountPath string           `alloy:"mount_path,attr,optional"`
}

// Custom logs in by whatever a path is sent.
type Custom struct {
	Path      string                      `alloy:"path,attr"`
	Data      map[string]component.Secret `alloy:"data,attr"`
	Namespace string                      `alloy:"namespace,attr,optional"`
}

// SetToDefault sets Alloy's defaults, as do the methods below.
func (c *Config) SetToDefault() { *c = Config{}; c.Client.SetToDefault() }

func (c *ClientOptions) SetToDefault() {
	*c = ClientOptions{MinRetryWait: time.Second, MaxRetryWait: 1500 * time.Millisecond, MaxRetries: 2, Timeout: time.Minute}
}

func (a *AppRole) SetToDefault() { *a = AppRole{MountPath: "approle"} }

func (a *AWS) SetToDefault() {
	*a = AWS{Type: typeIAM, Region: "us-east-1", EC2SignatureType: "pkcs7", MountPath: "aws"}
}

func (a *Azure) SetToDefault() {
	*a = Azure{ResourceURL: "https://management.azure.com/", MountPath: "azure"}
}

func (a *GCP) SetToDefault() { *a = GCP{Type: typeGCE, MountPath: "gcp"} }

func (a *Kubernetes) SetToDefault() {
	*a = Kubernetes{TokenFile: "/var/run/secrets/kubernetes.io/serviceaccount/token", MountPath: "kubernetes"}
}

func (a *LDAP) SetToDefault()     { *a = LDAP{MountPath: "ldap"} }
func (a *UserPass) SetToDefault() { *a = UserPass{MountPath: "userpass"} }

const (
	typeIAM = "iam"
	typeEC2 = "ec2"
	typeGCE = "gce"
)

// Validate reports what cannot work, as do the methods below.
func (c *Config) Validate() error {
	if why := httpclient.Off(c.Server); why != "" {
		return component.At("server", errors.New(why))
	}
	if _, _, err := c.secret(); err != nil {
		return component.At("path", err)
	}
	if c.RereadFrequency < 0 {
		return component.At("reread_frequency", errors.New("must not be negative"))
	}
	if len(c.Auth) != 1 {
		return fmt.Errorf("exactly one block auth.* is needed, and there are %d", len(c.Auth))
	}
	return nil
}

// secret is the mount of the engine and the path of the secret in it.
func (c *Config) secret() (mount, path string, err error) {
	if c.Key != "" {
		return strings.Trim(c.Path, "/"), strings.Trim(c.Key, "/"), nil
	}
	mount, path, ok := strings.Cut(strings.Trim(c.Path, "/"), "/")
	if !ok {
		return "", "", fmt.Errorf("%q has no mount path: write it as \"mount/secret\", or set key as well", c.Path)
	}
	return mount, path, nil
}

func (c *ClientOptions) Validate() error {
	switch {
	case c.Timeout <= 0:
		return component.At("timeout", errors.New("must be more than 0s"))
	case c.MaxRetries < 0:
		return component.At("max_retries", errors.New("must not be negative"))
	case c.MinRetryWait < 0 || c.MaxRetryWait < c.MinRetryWait:
		return component.At("max_retry_wait", errors.New("must not be less than min_retry_wait"))
	}
	return nil
}

func (a *AWS) Validate() error {
	switch {
	case a.Type != typeIAM && a.Type != typeEC2:
		return component.At("type", fmt.Errorf("%q is unknown: use \"iam\" or \"ec2\"", a.Type))
	case a.EC2SignatureType != "pkcs7" && a.EC2SignatureType != "identity":
		return component.At("ec2_signature_type", fmt.Errorf("%q is unknown: use \"pkcs7\" or \"identity\"", a.EC2SignatureType))
	}
	return nil
}

func (a *GCP) Validate() error {
	switch {
	case a.Type != typeGCE && a.Type != typeIAM:
		return component.At("type", fmt.Errorf("%q is unknown: use \"gce\" or \"iam\"", a.Type))
	case a.Type == typeIAM && a.IAMServiceAccount == "":
		return component.At("iam_service_account", errors.New("must be set with type \"iam\""))
	}
	return nil
}
