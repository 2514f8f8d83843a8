//go:build integration

package snmp

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gosnmp/gosnmp"

	"collector/pkg/exporters/exporter/exportertest"
	"collector/pkg/listen/listentest"
)

// real starts snmpd, and returns its address.
func real(t *testing.T) string {
	t.Helper()
	port := listentest.FreePort(t)
	p := exportertest.NewProgram(t, "Debian-snmp")
	path := filepath.Join(p.Dir, "snmpd.conf")
	text := fmt.Sprintf("agentaddress udp:127.0.0.1:%d\nrocommunity public\nsysName shop\ncreateUser me SHA hunter2hunter2 AES hunter2hunter2\nrouser me priv\n", port)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	p.Start(t, func() error {
		g := &gosnmp.GoSNMP{Target: "127.0.0.1", Port: uint16(port), Community: "public", Version: gosnmp.Version2c, Timeout: time.Second}
		if err := g.Connect(); err != nil {
			return err
		}
		defer g.Conn.Close()
		_, err := g.Get([]string{"1.3.6.1.2.1.1.5.0"})
		return err
	}, exportertest.Find(t, "snmpd", "/usr/sbin/snmpd"), "-f", "-Lo", "-C", "-c", path, "-p", filepath.Join(p.Dir, "pid"), "--persistentDir="+p.Dir)
	return fmt.Sprintf("127.0.0.1:%d", port)
}

func TestTheMetricsOfARealAgent(t *testing.T) {
	address := real(t)
	for settings, line := range map[string]string{
		"module = \"if_mib\"":                              `ifOperStatus{ifAlias="",ifDescr="lo",ifIndex="1",ifName="lo"} 1`,
		"module = \"system\"":                              `sysName{sysName="shop"} 1`,
		"module = \"if_mib,system\"\nauth = \"public_v1\"": `snmp_scrape_pdus_returned{module="if_mib"} `,
		"module = \"system\"\nauth = \"v3\"":               `sysName{sysName="shop"} 1`,
	} {
		auths := "config_merge_strategy = \"merge\"\nconfig = `auths: {v3: {username: me, security_level: authPriv, auth_protocol: SHA, password: hunter2hunter2, priv_protocol: AES, priv_password: hunter2hunter2, version: 3}}`\n"
		if code, page := exportertest.New(t, Definition(), auths+target(address, settings)).Page(); code != 200 || !page.Has(line) {
			t.Errorf("%s: %d, no %s in\n%s", settings, code, line, page)
		}
	}
}
