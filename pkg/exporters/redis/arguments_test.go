package redis

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"collector/pkg/tlsconfig/tlstest"
)

func array(parts ...string) string {
	return fmt.Sprintf("*%d\r\n%s", len(parts), strings.Join(parts, ""))
}

// answering is a server that answers commands by their beginnings.
func answering(t *testing.T, answers map[string]string) *server {
	t.Helper()
	s := newServer(t)
	s.answer = func(command string) string {
		for beginning, answer := range answers {
			if strings.HasPrefix(command, beginning) {
				return answer
			}
		}
		return ""
	}
	return s
}

// effect is what an argument changes on the page.
type effect struct {
	settings      string
	with, without string // a line's beginning that is there with the settings only, or without them only
}

func (e effect) check(t *testing.T, address string) {
	t.Helper()
	settings := fmt.Sprintf("redis_addr = %q\n", address)
	_, without := exported(t, settings).page()
	r := exported(t, settings+e.settings)
	r.page() // promhttp counts a page once it has been served
	_, with := r.page()
	if e.with != "" && (has(without, e.with) || !has(with, e.with)) {
		t.Errorf("%s: %s…: %v by default, %v with it in\n%s", e.settings, e.with, has(without, e.with), has(with, e.with), strings.Join(with, "\n"))
	}
	if e.without != "" && (!has(without, e.without) || has(with, e.without)) {
		t.Errorf("%s: %s…: %v by default, %v with it", e.settings, e.without, has(without, e.without), has(with, e.without))
	}
}

// script is the path of a Lua script.
func script(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "script.lua")
	if err := os.WriteFile(path, []byte(`return {"answer", "42"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const groups = "check_key_groups = [\"^(.*):[0-9]+$\", \"^([a-z]+)$\"]\n"

func TestArgumentsAreSeenOnThePage(t *testing.T) {
	lua := script(t)
	s := answering(t, map[string]string{
		"INFO":                          bulk("# Memory\r\ntotal_system_memory:7\r\n"),
		"EVAL return":                   array(bulk("answer"), bulk("42")),
		"TYPE number":                   "+string\r\n",
		"MEMORY USAGE number":           ":9\r\n",
		"PFCOUNT number":                "-WRONGTYPE\r\n",
		"STRLEN number":                 ":1\r\n",
		"GET number":                    bulk("7"),
		"CLIENT LIST":                   bulk("id=1 addr=10.0.0.1:4711 name=a age=1 idle=1 flags=N db=0\n"),
		"CONFIG":                        array(bulk("databases"), bulk("1")),
		"EVALSHA":                       "-ERR other arguments\r\n",
		"PING":                          "+PONG\r\n",
		"CLIENT SETNAME redis_exporter": "+OK\r\n",
	})
	answer := s.answer
	s.answer = func(command string) string {
		if strings.HasPrefix(command, "EVALSHA") && strings.HasSuffix(command, " 0 0 10000 ^(.*):[0-9]+$ ^([a-z]+)$") {
			group := func(name, count, bytes string) string { return array(bulk(name), ":"+count+"\r\n", ":"+bytes+"\r\n") }
			return array(bulk("0"), array(group("list", "2", "90"), group("text", "1", "10")))
		}
		return answer(command)
	}
	const keys, clients = "check_single_keys = [\"number\"]\n", "export_client_list = true\n"
	for _, e := range []effect{
		{"include_exporter_metrics = true", `promhttp_metric_handler_requests_total{code="200"} 1`, ""},
		{`namespace = "kv"`, "kv_up 1", "redis_up 1"},
		{"incl_system_metrics = true", "redis_total_system_memory_bytes 7", ""},
		{keys, `redis_key_value{db="db0",key="number"} 7`, ""},
		{keys + "export_key_values = false", `redis_key_size{db="db0",key="number"} 1`, ""},
		{groups, `redis_key_group_count{db="db0",key_group="text"} 1`, ""},
		{groups + "max_distinct_key_groups = 1", `redis_key_group_memory_usage_bytes{db="db0",key_group="overflow"} 10`, ""},
		{fmt.Sprintf("script_path = %q", lua), fmt.Sprintf("redis_script_values{filename=%q,key=\"answer\"} 42", lua), ""},
		{fmt.Sprintf("script_paths = [%q]", lua), fmt.Sprintf("redis_script_values{filename=%q,key=\"answer\"} 42", lua), ""},
		{clients, "redis_connected_client_info{", ""},
		{"ping_on_connect = true", "redis_exporter_last_scrape_ping_time_seconds ", ""},
	} {
		e.check(t, s.address)
	}
	page := func(settings string) string {
		_, page := exported(t, fmt.Sprintf("redis_addr = %q\n%s", s.address, settings)).page()
		return strings.Join(page, "\n")
	}
	if text := page(keys + "export_key_values = false"); strings.Contains(text, "redis_key_value") {
		t.Errorf("values are on the page:\n%s", text)
	}
	if strings.Contains(page(clients), `port="4711"`) || !strings.Contains(page(clients+"export_client_port = true"), `port="4711"`) {
		t.Error("ports of clients are on the page by default, or never")
	}
}

func TestKeysOfAClusterAreAskedOfItsNodes(t *testing.T) {
	node := answering(t, map[string]string{
		"TYPE number": "+string\r\n", "MEMORY USAGE number": ":9\r\n", "GET number": bulk("7"), "STRLEN number": ":1\r\n", "PFCOUNT number": "-WRONGTYPE\r\n",
	})
	host, port, err := net.SplitHostPort(node.address)
	if err != nil {
		t.Fatal(err)
	}
	first := answering(t, map[string]string{"CLUSTER SLOTS": array(array(":0\r\n", ":16383\r\n", array(bulk(host), ":"+port+"\r\n", bulk("id"))))})
	effect{"is_cluster = true\ncheck_single_keys = [\"number\"]", `redis_key_value{db="db0",key="number"} 7`, ""}.check(t, first.address)
}

// certified writes a certificate for this machine, and its key.
func certified(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	cert, key := tlstest.SelfSigned(t, &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		Subject: pkix.Name{CommonName: "redis"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, text := range map[string]string{certFile: cert, keyFile: key} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

// checkTLS scrapes a server at port that wants certificates.
func checkTLS(t *testing.T, port, certFile, keyFile string) {
	t.Helper()
	ca := fmt.Sprintf("tls_ca_cert_file = %q\n", certFile)
	client := fmt.Sprintf("tls_client_cert_file = %q\ntls_client_key_file = %q\n", certFile, keyFile)
	for settings, want := range map[string]string{
		ca + client: "redis_up 1", client + "skip_tls_verification = true": "redis_up 1", client: "redis_up 0", ca: "redis_up 0", "": "redis_up 0",
	} {
		_, page := exported(t, fmt.Sprintf("redis_addr = %q\n%s", "rediss://127.0.0.1:"+port, settings)).page()
		if !has(page, want) {
			t.Errorf("with\n%s there is no %s:\n%s", settings, want, strings.Join(page, "\n"))
		}
	}
}

func TestTLS(t *testing.T) {
	certFile, keyFile := certified(t)
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert.Leaf)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool})
	if err != nil {
		t.Fatal(err)
	}
	s := serveAt(t, l)
	_, port, err := net.SplitHostPort(s.address)
	if err != nil {
		t.Fatal(err)
	}
	checkTLS(t, port, certFile, keyFile)
}
