//go:build integration

package syslog

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"collector/pkg/component"
	"collector/pkg/discovery"
	"collector/pkg/httpclient"
	"collector/pkg/listen"
	"collector/pkg/logs/logstest"
	"collector/test/harness"
)

// Messages of logger arrive in each form that it has.
func TestLogger(t *testing.T) {
	for _, form := range []struct {
		name, protocol, format string
		args                   []string
		labels                 []string
	}{
		{"RFC 5424 by TCP", tcp, rfc5424, []string{"--tcp", "--rfc5424", "--msgid", "M1", "--sd-id", "ex@1", "--sd-param", `k="v"`}, []string{`msg_id="M1"`, `sd_ex_1_k="v"`}},
		{"RFC 5424 by TCP, counted", tcp, rfc5424, []string{"--tcp", "--octet-count"}, nil},
		{"RFC 5424 by UDP", udp, rfc5424, []string{"--udp"}, nil},
		{"RFC 3164 by TCP", tcp, rfc3164, []string{"--tcp", "--rfc3164"}, nil},
		{"RFC 3164 by TCP, counted", tcp, rfc3164, []string{"--tcp", "--rfc3164", "--octet-count"}, nil},
		{"RFC 3164 by UDP", udp, rfc3164, []string{"--udp", "--rfc3164"}, nil},
	} {
		t.Run(form.name, func(t *testing.T) {
			var sink logstest.Sink
			c := config(&sink, func(l *ListenerConfig) {
				l.Protocol, l.SyslogFormat, l.LabelStructuredData, l.UseIncomingTimestamp, l.RFC3164DefaultToCurrentYear = form.protocol, form.format, true, true, true
			})
			c.RelabelRules = rules(t, allLabels)
			s := start(t, c)
			_, port, err := net.SplitHostPort(s.address(0))
			if err != nil {
				t.Fatal(err)
			}
			args := append([]string{"-n", "127.0.0.1", "-P", port, "-t", "my-app", "--id=42", "-p", "local3.warning"}, form.args...)
			if out, err := exec.Command("logger", append(args, "hello, wörld")...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			got := awaitLines(t, &sink, "hello, wörld")[0]
			for _, label := range append(form.labels, `app_name="my-app"`, `proc_id="42"`, `severity="warning"`, `facility="local3"`, `hostname=`) {
				if !strings.Contains(got.Labels, label) {
					t.Errorf("labels %s, without %s", got.Labels, label)
				}
			}
			if age := time.Since(got.Time); form.format == rfc5424 && (age < -time.Minute || age > time.Minute) {
				t.Errorf("the message is %s old", age)
			}
		})
	}
}

// rsyslog forwards a file in each form that it has. Nothing is lost while the
// component is replaced again and again, nor while receivers take nothing.
func TestRsyslogLosesNothing(t *testing.T) {
	server, client := makeCertificate(t, "server"), makeCertificate(t, "client")
	for _, form := range []struct{ name, format, action string }{
		{"RFC 5424", rfc5424, `template="RSYSLOG_SyslogProtocol23Format"`},
		{"RFC 5424, counted", rfc5424, `template="RSYSLOG_SyslogProtocol23Format" TCP_Framing="octet-counted"`},
		{"RFC 3164", rfc3164, `template="RSYSLOG_TraditionalForwardFormat"`},
		{"RFC 3164 with other times", rfc3164, `template="RSYSLOG_ForwardFormat"`},
		{"TLS", rfc5424, fmt.Sprintf(`template="RSYSLOG_SyslogProtocol23Format" StreamDriver="gtls" StreamDriverMode="1" StreamDriverAuthMode="x509/name" StreamDriverPermittedPeers="server"
			StreamDriver.CAFile=%q StreamDriver.CertFile=%q StreamDriver.KeyFile=%q`, server.certFile, client.certFile, client.keyFile)},
	} {
		t.Run(form.name, func(t *testing.T) {
			const lines, reloads = 5000, 5
			address := harness.Address(harness.FreePort(t))
			sink := logstest.Sink{}
			pool := listen.NewPool()
			c := config(&sink, func(l *ListenerConfig) {
				l.Address, l.SyslogFormat = address, form.format
				if form.name == "TLS" {
					l.TLS = &httpclient.TLS{Cert: server.cert, Key: component.Secret(server.key), CA: client.cert}
				}
			})
			c.RelabelRules = rules(t, func(r *discovery.Rule) { r.SourceLabels, r.TargetLabel = []string{"__syslog_message_app_name"}, "app" })
			source := makeSource(t, c, pool).run(t)
			file := startRsyslog(t, address, form.action)
			for part := range reloads {
				write(t, file, logstest.Text(logstest.Numbered(part*lines/reloads, (part+1)*lines/reloads)))
				before := len(sink.Lines())
				await(t, "lines arrive", func() bool { return len(sink.Lines()) > before })
				block := make(chan struct{})
				if part == 2 {
					sink.Set(func() { sink.Block = block })
				}
				next := makeSource(t, c, pool)
				close(block)
				sink.Set(func() { sink.Block = nil })
				if err := source.stop(); err != nil {
					t.Fatal(err)
				}
				source = next.run(t)
			}
			await(t, "all lines are there", func() bool { return len(sink.Lines()) >= lines })
			var got []string
			for _, line := range sink.Lines() {
				got = append(got, strings.TrimSuffix(line, "\n")) // of the template, where the length says that it belongs to the message
			}
			logstest.WantEach(t, logstest.Numbered(0, lines), got)
			if e := sink.All()[0]; e.Labels != `{app="my-app", job="syslog"}` {
				t.Errorf("labels %s", e.Labels)
			}
		})
	}
}

// startRsyslog starts rsyslog, which forwards the lines of a file, and returns that.
func startRsyslog(t *testing.T, address, action string) (file string) {
	t.Helper()
	dir := t.TempDir()
	file = filepath.Join(dir, "app.log")
	write(t, file, "")
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "rsyslog.conf")
	write(t, config, fmt.Sprintf(`
global(workDirectory=%q)
module(load="imfile" mode="inotify")
input(type="imfile" file=%q tag="my-app:" severity="info" facility="local0" readMode="0")
action(type="omfwd" target=%q port=%q protocol="tcp" action.resumeRetryCount="-1" action.resumeInterval="1" queue.type="LinkedList" %s)
`, dir, file, host, port, action))
	daemon := exec.Command("rsyslogd", "-n", "-C", "-f", config, "-i", filepath.Join(dir, "pid"))
	log, err := os.Create(filepath.Join(dir, "rsyslog.out"))
	if err != nil {
		t.Fatal(err)
	}
	daemon.Stdout, daemon.Stderr = log, log
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = daemon.Process.Kill()
		_ = daemon.Wait()
		if t.Failed() {
			out, _ := os.ReadFile(log.Name())
			t.Logf("rsyslog: %s", out)
		}
	})
	return file
}

// write appends to a file.
func write(t *testing.T, file, text string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}
