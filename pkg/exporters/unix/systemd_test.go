package unix

import (
	"bufio"
	"encoding/binary"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
)

// bus is a D-Bus with systemd at it, and two units.
func bus(t *testing.T) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bus")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+path)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serveBus(conn)
		}
	}()
}

func serveBus(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for begun := false; !begun; {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		answer := "ERROR\r\n"
		switch command := strings.Trim(line, "\x00\r\n"); {
		case command == "BEGIN":
			begun = true
			continue
		case command == "AUTH":
			answer = "REJECTED EXTERNAL\r\n"
		case strings.HasPrefix(command, "AUTH EXTERNAL"):
			answer = "OK 0123456789abcdef0123456789abcdef\r\n"
		}
		if _, err := conn.Write([]byte(answer)); err != nil {
			return
		}
	}
	for {
		call, err := dbus.DecodeMessage(r)
		if err != nil {
			return
		}
		body := answerCall(call)
		reply := &dbus.Message{Type: dbus.TypeMethodReply, Body: []any{body}, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldReplySerial: dbus.MakeVariant(call.Serial()), dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf(body)),
		}}
		if err := reply.EncodeTo(conn, binary.LittleEndian); err != nil {
			return
		}
	}
}

type busUnit struct {
	Name, Description, Load, Active, Sub, Followed string
	Path                                           dbus.ObjectPath
	JobID                                          uint32
	JobType                                        string
	JobPath                                        dbus.ObjectPath
}

func answerCall(call *dbus.Message) any {
	member, _ := call.Headers[dbus.FieldMember].Value().(string)
	switch member {
	case "ListUnits":
		unit := func(name string) busUnit {
			return busUnit{name, "", "loaded", "active", "running", "", "/unit", 0, "", "/"}
		}
		return []busUnit{unit("shop.service"), unit("other.service"), unit("disk.mount")}
	case "Get":
		property, _ := call.Body[1].(string)
		if v, ok := map[string]any{
			"Version": "255", "SystemState": "running", "Type": "simple", "NRestarts": uint32(7),
			"ActiveEnterTimestamp": uint64(5_000_000), "TasksCurrent": uint64(3), "TasksMax": uint64(9),
		}[property]; ok {
			return dbus.MakeVariant(v)
		}
		return dbus.MakeVariant("")
	}
	return ":1.1" // Hello
}

func TestSystemd(t *testing.T) {
	if raced {
		t.Skip("the library's goroutines share the time that they log at the level debug")
	}
	bus(t)
	m := newMachine(t)
	page := func(settings string) []string {
		return m.exporter(t, "set_collectors = [\"systemd\"]\nsystemd {\n"+settings+"\n}").page(t)
	}
	const (
		shop     = `node_systemd_unit_state{name="shop.service",state="active",type="simple"} 1`
		other    = `node_systemd_unit_state{name="other.service",state="active",type="simple"} 1`
		mount    = `node_systemd_unit_state{name="disk.mount",state="active"`
		restarts = `node_systemd_service_restart_total{name="shop.service"} 7`
		started  = `node_systemd_unit_start_time_seconds{name="shop.service"} 5`
		tasks    = `node_systemd_unit_tasks_current{name="shop.service"} 3`
	)
	for _, test := range []struct {
		settings      string
		with, without []string
	}{
		{"", lines(shop, other, "node_systemd_system_running 1"), lines(mount, restarts, started, tasks)},
		{"enable_restarts = true", lines(shop, restarts), lines(started, tasks)},
		{"start_time = true", lines(shop, started), lines(restarts, tasks)},
		{"task_metrics = true", lines(shop, tasks), lines(restarts, started)},
		{`unit_include = "shop.*"`, lines(shop), lines(other, mount)},
		{`unit_exclude = "other.*"`, lines(shop, mount), lines(other)},
	} {
		got := page(test.settings)
		for _, line := range test.with {
			if !has(got, line) {
				t.Errorf("%s: no %s in\n%s", test.settings, line, strings.Join(got, "\n"))
			}
		}
		for _, line := range test.without {
			if has(got, line) {
				t.Errorf("%s: %s is there", test.settings, line)
			}
		}
	}
}
