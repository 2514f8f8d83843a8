package cause

import (
	"net/url"
	"regexp"
	"strings"
)

// Words is the text of an error in which what a library says of a network, of TLS or of
// a file is put in words, with what to do about it. What precedes that, and texts of
// others, stay as they are. Many errors reach the pages as text only, so this goes by
// the text. A URL is shortened to its host.
func Words(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		parts := strings.Split(line, "; ")
		for j := range parts {
			parts[j] = inWords(parts[j])
		}
		lines[i] = strings.Join(parts, "; ")
	}
	return strings.Join(lines, "\n")
}

var (
	// request is how net/http begins an error, with the URL.
	request = regexp.MustCompile(`\b(?:Get|Head|Post|Put|Patch|Delete|Options|Propfind) "([^"]*)": `)
	// socket is how package net begins one, with an address at the end: what is read
	// and written from one to another, or what is looked up.
	socket = regexp.MustCompile(`\b(?:dial|read|write) (tcp|udp|unix)[46]?(?: (?:\S+->)?(\S+))?: `)
	lookup = regexp.MustCompile(`\blookup (\S+?)(?: on \S+)?: `)
	// bare is what begins without an address.
	bare = regexp.MustCompile(`\b(?:tls: |x509: |remote error: tls|context deadline exceeded|(?:unexpected )?EOF$)`)
	// path is how package os begins an error.
	path = regexp.MustCompile(`\b(?:open|stat|lstat|read|write|readlink|readdirent|mkdir|rename|fork/exec) ([^:"]+): (no such file or directory|permission denied|is a directory|not a directory|no space left on device)$`)
)

// inWords is Words of a text that has one error.
func inWords(text string) string {
	if m := path.FindStringSubmatchIndex(text); m != nil {
		before, name := text[:m[0]], text[m[2]:m[3]]
		if strings.HasSuffix(before, name+": ") {
			name = "it"
		}
		return before + ofFile(name, text[m[4]:m[5]])
	}
	begin, network, place, rest := len(text), "", "", text
	starts := func(re *regexp.Regexp) []string {
		m := re.FindStringSubmatchIndex(rest)
		if m == nil {
			return nil
		}
		groups := re.FindStringSubmatch(rest)
		begin = min(begin, len(text)-len(rest)+m[0])
		rest = rest[m[1]:]
		return groups
	}
	if m := starts(request); m != nil {
		place = hostOf(m[1])
	}
	if m := starts(socket); m != nil {
		network = m[1]
		if place == "" || network == "unix" {
			place = strings.TrimSuffix(m[2], ":")
		}
	}
	name := ""
	if m := starts(lookup); m != nil {
		name = m[1]
	}
	if m := bare.FindStringIndex(rest); m != nil && begin == len(text) {
		begin, rest = m[0], rest[m[0]:]
	}
	if begin == len(text) {
		return text
	}
	kind, detail := byText(rest)
	switch {
	case name != "" && (kind == UnknownHost || kind == Other):
		kind, detail = UnknownHost, name
	case name != "":
		kind, detail = NameServer, name
	case network == "unix":
		return text[:begin] + ofSocket(place, kind, rest)
	case kind == Other && strings.HasSuffix(rest, "EOF"):
		kind = Closed
	}
	return text[:begin] + atPlace(place, kind, detail, rest)
}

// hostOf is host:port of a URL.
func hostOf(text string) string {
	if u, err := url.Parse(text); err == nil && u.Host != "" {
		return cut(u.Host, 100)
	}
	return ""
}

// atPlace is what is wrong at a place, which may not be known; said is what the library
// says.
func atPlace(place string, kind Kind, detail, said string) string {
	known := place != ""
	if !known {
		place = "the server"
	}
	switch kind {
	case Refused:
		if !known {
			return "nothing listens at the address: start the server, or fix its address"
		}
		return "nothing listens at " + place + ": start the server, or fix its address"
	case UnknownHost:
		if detail == "" {
			detail = "of " + place
		}
		return "the name " + detail + " does not resolve: fix it, or put the collector and the server on one network"
	case NameServer:
		if detail == "" {
			detail = place
		}
		return "the name server does not answer for " + detail + ": check the DNS of the collector's host or container"
	case Unreachable:
		return "there is no route to " + place + ": put both on one network, or check the firewall"
	case NoConnection:
		return place + " does not accept connections in time: check its address, and that no firewall is in between"
	case NoAnswer:
		return place + " does not answer in time: check its load and its own log"
	case WantsTLS:
		return place + " speaks TLS, but the collector uses plain text: use https, or set TLS"
	case PlainHTTP:
		return place + " does not speak TLS: use http, or fix the port"
	case Certificate:
		return "the certificate of " + place + " is not accepted: " + detail + ": set ca_file or server_name in the TLS settings, or replace the certificate"
	case ClientCertificate:
		return place + " requires a client certificate, and got none or one that it does not accept: set cert_file and key_file in the TLS settings"
	case Handshake:
		return "there is no TLS connection to " + place + ": " + detail + ": check min_version in the TLS settings and what the server supports"
	case NotHTTP, WrongProtocol:
		return place + " speaks another protocol: fix the port in its address"
	case Closed:
		return place + " closes the connection without a complete response: check its own log, and the port in its address"
	case DiskFull:
		return "a disk is full: free some space"
	}
	if !known {
		return said
	}
	return place + ": " + said
}

// ofSocket is what is wrong with a Unix socket.
func ofSocket(name string, kind Kind, said string) string {
	switch {
	case kind == Refused:
		return "nothing listens on the socket " + name + ": start its server"
	case kind == Other && strings.Contains(said, "no such file or directory"):
		return "there is no socket " + name + ": start its server, mount the socket into the collector's container, or fix the path"
	case kind == Other && strings.Contains(said, "permission denied"):
		return "the collector may not use the socket " + name + ": add the group that owns it to the collector's user"
	}
	return atPlace(name, kind, "", said)
}

// ofFile is what is wrong with a file or directory.
func ofFile(name, said string) string {
	switch said {
	case "no such file or directory":
		return name + " does not exist: create it, or fix the path"
	case "permission denied":
		return name + " is not accessible: give the collector's user access"
	case "is a directory":
		return name + " is a directory: name a file"
	case "no space left on device":
		return "the disk of " + name + " is full: free some space"
	}
	return "a part of the path " + name + " is not a directory: fix the path"
}

// Attributes are err as attributes of a log message: err and, where its text says
// something that is not in words, its cause.
func Attributes(err error) []any {
	text := err.Error()
	if words := Words(text); words != text {
		return []any{"cause", words, "err", err}
	}
	return []any{"err", err}
}
