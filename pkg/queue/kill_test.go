package queue

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

const childEnv = "QUEUE_TEST_CHILD"

// TestChild is the process that TestKill kills: it says which blocks it has
// appended and acknowledged, each after the call has returned.
func TestChild(t *testing.T) {
	dir := os.Getenv(childEnv)
	if dir == "" {
		t.Skip("runs in a process of its own only")
	}
	q, err := Open(Options{Dir: dir, Readers: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	r := q.Reader("a")
	for i := 0; ; i++ {
		data := fmt.Sprintf("%d-%d %s", os.Getpid(), i, strings.Repeat("x", i%9000))
		if err := q.Append(t.Context(), Block{Data: []byte(data), Items: 1}); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("+ %d-%d\n", os.Getpid(), i)
		if i%3 == 0 {
			continue // fall behind
		}
		l, err := r.TryNext(BatchLimits{MaxItems: 2})
		if err != nil || l == nil {
			t.Fatal(l, err)
		}
		names := ""
		for _, b := range l.Blocks {
			name, _, _ := strings.Cut(string(b.Data), " ")
			names += " " + name
		}
		fmt.Printf("?%s\n", names)
		if err := r.Ack(l); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("-%s\n", names)
	}
}

// killed is what the killed processes have said.
type killed struct {
	appended []string
	acked    map[string]bool // for certain
	perhaps  map[string]bool // the process was killed while doing it
}

// run starts a process and kills it after so many lines of its output.
func (k *killed) run(t *testing.T, dir string, after int) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	pending := ""
	for n := 0; lines.Scan(); n++ {
		if n == after {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		verb, rest, _ := strings.Cut(lines.Text(), " ")
		switch names := strings.Fields(rest); verb {
		case "+":
			k.appended = append(k.appended, names...)
		case "?":
			pending = rest
		case "-":
			pending = ""
			for _, name := range names {
				delete(k.perhaps, name)
				if k.acked[name] {
					t.Errorf("block %s was acknowledged twice", name)
				}
				k.acked[name] = true
			}
		default:
			t.Log(lines.Text())
		}
	}
	for _, name := range strings.Fields(pending) {
		k.perhaps[name] = true
	}
	_ = cmd.Wait()
}

// A process that is killed at any time loses no block that it has appended,
// and repeats none that it has acknowledged.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	k := &killed{acked: make(map[string]bool), perhaps: make(map[string]bool)}
	for round := range 8 {
		k.run(t, dir, 100+round*37)
	}
	if len(k.appended) < 200 || len(k.acked) < 100 {
		t.Fatalf("only %d were appended and %d acknowledged", len(k.appended), len(k.acked))
	}
	q := mustOpen(t, Options{Dir: dir})
	left := make(map[string]int) // position of each block
	for {
		l, err := q.Reader("a").TryNext(BatchLimits{})
		if err != nil {
			t.Fatal(err)
		}
		if l == nil {
			break
		}
		for _, b := range l.Blocks {
			name, _, _ := strings.Cut(string(b.Data), " ")
			if _, twice := left[name]; twice || k.acked[name] {
				t.Errorf("block %s came again", name)
			}
			left[name] = len(left) + 1
		}
		if err := q.Reader("a").Ack(l); err != nil {
			t.Fatal(err)
		}
	}
	last := 0
	for _, name := range k.appended {
		place, ok := left[name]
		switch {
		case !ok && !k.acked[name] && !k.perhaps[name]:
			t.Errorf("block %s is lost", name)
		case ok && place < last:
			t.Errorf("block %s came out of order", name)
		case ok:
			last = place
		}
	}
	if s := q.Stats()[0]; len(s.Dropped) != 0 {
		t.Errorf("dropped %v", s.Dropped)
	}
}
