// Package aws signs requests, and finds the credentials for it where AWS's own programs
// do, without AWS's SDK.
package aws

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"collector/pkg/component"
	"collector/pkg/httpclient"
)

// Keys are what requests are signed with.
type Keys struct {
	Access  string
	Secret  component.Secret
	Session component.Secret // of keys that expire
	Expires time.Time        // the zero time: never
}

// Config says whose keys they are. All of it is optional.
type Config struct {
	Region    string
	AccessKey string
	SecretKey component.Secret
	Profile   string
	RoleARN   string // a role that is assumed
}

const (
	// margin is how long before they expire keys are replaced.
	margin = 5 * time.Minute
	// retryEvery is how often a service is asked that fails while there are keys to use.
	retryEvery = 10 * time.Second
	// serviceTimeout bounds a request for keys.
	serviceTimeout = 10 * time.Second
	// localDial bounds connecting to a service of the machine: where there is none,
	// packets may vanish without a refusal.
	localDial = 2 * time.Second
	// largestAnswer bounds the response of such a service.
	largestAnswer = 64 << 10
)

// Identity finds the keys that requests are signed with: those of the configuration, of
// the environment, of a web identity (EKS), of a profile, of a container (ECS, EKS), or
// of an instance (EC2), whichever comes first; and with them, those of a role.
type Identity struct {
	cfg    Config
	remote *http.Client // of STS
	local  *http.Client // of services of the machine, which have no proxy
	getenv func(string) string
	now    func() time.Time

	turn       chan struct{} // holds one element while nobody uses the fields below
	base, role fetched
}

// fetched are keys that expire, as they were fetched last.
type fetched struct {
	Keys
	failed time.Time // when they could not be replaced
}

// New makes an Identity that reaches AWS's token service by the proxy of settings.
func New(cfg Config, settings *httpclient.Config, userAgent string) (*Identity, error) {
	own := httpclient.Config{
		ProxyURL: settings.ProxyURL, NoProxy: settings.NoProxy, ProxyFromEnvironment: settings.ProxyFromEnvironment, ProxyConnectHeader: settings.ProxyConnectHeader,
	}
	client, err := own.NewPush("sts", userAgent)
	if err != nil {
		return nil, err
	}
	client.Timeout = serviceTimeout
	i := &Identity{cfg: cfg, remote: client, getenv: os.Getenv, now: time.Now, turn: make(chan struct{}, 1)}
	i.local = &http.Client{
		Timeout: serviceTimeout, CheckRedirect: httpclient.FollowNone,
		Transport: &http.Transport{DialContext: (&net.Dialer{Timeout: localDial}).DialContext, DisableKeepAlives: true},
	}
	i.turn <- struct{}{}
	return i, nil
}

// Check says why requests cannot be signed, as far as that is known without asking a
// service.
func (c Config) Check() error {
	i := &Identity{cfg: c, getenv: os.Getenv}
	if _, err := i.Region(); err != nil {
		return err
	}
	if _, _, err := i.source(); err != nil {
		return err
	}
	return nil
}

// Region comes from the configuration, the environment, or the profile.
func (i *Identity) Region() (string, error) {
	if region := cmp.Or(i.cfg.Region, i.getenv("AWS_REGION"), i.getenv("AWS_DEFAULT_REGION")); region != "" {
		return region, nil
	}
	values, err := i.section(i.file("AWS_CONFIG_FILE", "config"), "profile "+i.profile())
	if err == nil && values["region"] == "" && i.profile() == "default" {
		values, err = i.section(i.file("AWS_CONFIG_FILE", "config"), "default")
	}
	if err != nil {
		return "", fmt.Errorf("find the AWS region: %w: set region, or AWS_REGION", err)
	}
	if values["region"] == "" {
		return "", errors.New("no region is set: neither in the configuration nor in AWS_REGION nor in the profile")
	}
	return values["region"], nil
}

// Keys are the keys to sign with now. One caller at a time asks a service for them.
func (i *Identity) Keys(ctx context.Context) (Keys, error) {
	select {
	case <-i.turn:
		defer func() { i.turn <- struct{}{} }()
	case <-ctx.Done():
		return Keys{}, fmt.Errorf("wait for AWS credentials: %w", ctx.Err())
	}
	if i.cfg.RoleARN == "" {
		return i.own(ctx)
	}
	return i.refresh(&i.role, func() (Keys, error) {
		own, err := i.own(ctx)
		if err != nil {
			return Keys{}, err
		}
		role, err := i.assume(ctx, own)
		if err != nil {
			return Keys{}, fmt.Errorf("assume the role %s: %w", i.cfg.RoleARN, err)
		}
		return role, nil
	})
}

// refresh returns the keys, which fetch replaces some time before they expire. If that
// fails, they are used until they do.
func (i *Identity) refresh(keys *fetched, fetch func() (Keys, error)) (Keys, error) {
	now := i.now()
	valid := keys.Access != "" && now.Before(keys.Expires)
	if valid && (now.Add(margin).Before(keys.Expires) || now.Sub(keys.failed) < retryEvery) {
		return keys.Keys, nil
	}
	got, err := fetch()
	switch {
	case err == nil:
		*keys = fetched{Keys: got}
	case valid:
		keys.failed = now
	default:
		return Keys{}, err
	}
	return keys.Keys, nil
}

// own are the keys without a role. Keys that a service gives are kept until they
// expire.
func (i *Identity) own(ctx context.Context) (Keys, error) {
	keys, fetch, err := i.source()
	if err != nil || fetch == nil {
		return keys, err
	}
	return i.refresh(&i.base, func() (Keys, error) {
		keys, err := fetch(ctx)
		if err != nil {
			return Keys{}, fmt.Errorf("find AWS credentials: %w", err)
		}
		return keys, nil
	})
}

const whereKeysAre = "set access_key and secret_key, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile"

// source returns the keys, or what fetches them.
func (i *Identity) source() (Keys, func(context.Context) (Keys, error), error) {
	if i.cfg.AccessKey != "" {
		return Keys{Access: i.cfg.AccessKey, Secret: i.cfg.SecretKey}, nil, nil
	}
	if i.cfg.Profile == "" {
		if id := i.getenv("AWS_ACCESS_KEY_ID"); id != "" {
			return Keys{Access: id, Secret: component.Secret(i.getenv("AWS_SECRET_ACCESS_KEY")), Session: component.Secret(i.getenv("AWS_SESSION_TOKEN"))}, nil, nil
		}
		if i.getenv("AWS_WEB_IDENTITY_TOKEN_FILE") != "" && i.getenv("AWS_ROLE_ARN") != "" {
			return Keys{}, i.webIdentity, nil
		}
	}
	path := i.file("AWS_SHARED_CREDENTIALS_FILE", "credentials")
	values, err := i.section(path, i.profile())
	switch {
	case err == nil && values["aws_access_key_id"] != "":
		return Keys{Access: values["aws_access_key_id"], Secret: component.Secret(values["aws_secret_access_key"]), Session: component.Secret(values["aws_session_token"])}, nil, nil
	case i.cfg.Profile != "" && err == nil:
		err = fmt.Errorf("%s has no credentials for profile %q", path, i.profile())
		fallthrough
	case i.cfg.Profile != "":
		return Keys{}, nil, fmt.Errorf("find AWS credentials: %w: %s", err, whereKeysAre)
	case i.getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") != "" || i.getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI") != "":
		return Keys{}, i.container, nil
	case i.getenv("AWS_EC2_METADATA_DISABLED") == "true":
		return Keys{}, nil, fmt.Errorf("find AWS credentials: there are none in the configuration, the environment or %s, and AWS_EC2_METADATA_DISABLED is true: %s", path, whereKeysAre)
	}
	return Keys{}, i.instance, nil
}
