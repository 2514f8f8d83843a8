package snmp

import (
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gosnmp/gosnmp"
)

// agent answers SNMP v2c and keeps what it is sent.
type agent struct {
	address string

	mu     sync.Mutex
	values []gosnmp.SnmpPDU // in order; guarded by mu, as all below
	asked  []gosnmp.SnmpPacket
	before func() bool                // is called before an answer, without mu; false: none is sent
	other  bool                       // answers come from another port
	next   func(n int) gosnmp.SnmpPDU // answers to walks, instead of values
	walked int                        // answers of next
}

func newAgent(t *testing.T, values ...gosnmp.SnmpPDU) *agent {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	second, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &agent{address: conn.LocalAddr().String(), values: values}
	var serving sync.WaitGroup
	t.Cleanup(func() { conn.Close(); second.Close(); serving.Wait() })
	serving.Go(func() {
		for buffer := make([]byte, 1<<16); ; {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			packet, err := (&gosnmp.GoSNMP{Version: gosnmp.Version2c}).SnmpDecodePacket(slices.Clone(buffer[:n]))
			if err != nil {
				continue
			}
			serving.Go(func() {
				if answer := a.answer(packet); answer != nil {
					to := conn
					if a.elsewhere() {
						to = second
					}
					to.WriteTo(answer, from)
				}
			})
		}
	})
	return a
}

// answers sets whether questions are answered.
func (a *agent) answers(before func() bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.before = before
}

// afterLosing does not answer the first n questions.
func afterLosing(n int32) func() bool {
	var lost atomic.Int32
	return func() bool { return lost.Add(1) > n }
}

// endless answers walks with what next makes.
func (a *agent) endless(next func(n int) gosnmp.SnmpPDU) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.next = next
}

func (a *agent) elsewhere() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.other
}

func (a *agent) answer(p *gosnmp.SnmpPacket) []byte {
	a.mu.Lock()
	a.asked = append(a.asked, *p)
	before := a.before
	a.mu.Unlock()
	if before != nil && !before() {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	reply := gosnmp.SnmpPacket{Version: gosnmp.Version2c, Community: p.Community, PDUType: gosnmp.GetResponse, RequestID: p.RequestID}
	if a.next != nil {
		reply.Variables = append(reply.Variables, a.next(a.walked))
		a.walked++
		p.Variables = nil
	}
	for _, v := range p.Variables {
		reply.Variables = append(reply.Variables, a.value(p.PDUType, v.Name))
	}
	out, err := reply.MarshalMsg()
	if err != nil {
		return nil
	}
	return out
}

// value is the one of a name, or the first one below it.
func (a *agent) value(kind gosnmp.PDUType, name string) gosnmp.SnmpPDU {
	for _, v := range a.values {
		if v.Name == name && kind == gosnmp.GetRequest || kind != gosnmp.GetRequest && strings.HasPrefix(v.Name, name+".") {
			return v
		}
	}
	if kind == gosnmp.GetRequest {
		return gosnmp.SnmpPDU{Name: name, Type: gosnmp.NoSuchObject}
	}
	return gosnmp.SnmpPDU{Name: name, Type: gosnmp.EndOfMibView}
}

// packets are what was sent since the last time.
func (a *agent) packets() []gosnmp.SnmpPacket {
	a.mu.Lock()
	defer a.mu.Unlock()
	asked := a.asked
	a.asked = nil
	return asked
}
