package redis

import (
	"errors"
	"net/url"
	"strings"
)

// address is redis_addr without the password that it may have, which is shown
// nowhere: the address is the label instance.
type address struct {
	text           string // for the label
	dial           string // for the library
	user, password string
	hasPassword    bool
}

// parseAddress reads a URL, or a host with a port.
func parseAddress(text string) (address, error) {
	a := address{text: text, dial: text}
	if text == "" {
		return a, errors.New("the address is empty; for example: redis:6379")
	}
	scheme, rest, hasScheme := strings.Cut(text, "://")
	if !hasScheme {
		scheme, rest = "redis", text
	}
	u, err := url.Parse(scheme + "://" + rest)
	if err != nil {
		if strings.Contains(text, "@") { // the error would quote the password
			return a, errors.New("the address is not a valid URL; for example: redis://user:password@redis:6379 (write special characters of the password like %40)")
		}
		return a, nil // an IPv6 address with a zone, which the library dials as it is
	}
	if u.User != nil {
		var ok bool
		if a.password, ok = u.User.Password(); ok {
			a.user = u.User.Username()
		} else { // a name alone is a password, as for redis-cli
			a.password = u.User.Username()
		}
		a.hasPassword, u.User = true, nil
		a.text = strings.TrimPrefix(u.String(), "redis://")
		if hasScheme {
			a.text = u.String()
		}
		a.dial = a.text
	}
	// If it can't connect, the library tries the scheme as a network, and reports
	// that there is no network redis. Without the scheme it reports the cause.
	if plain, ok := strings.CutPrefix(a.dial, "redis://"); ok && plain == u.Host && u.Port() != "" {
		a.dial = plain
	}
	return a, nil
}
