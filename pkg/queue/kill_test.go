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
		l, err := r.TryNext(Want{MaxItems: 2})
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

// A process that is killed at any time loses no block that it has appended,
// and repeats none that it has acknowledged.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	var appended []string
	acked := make(map[string]bool)   // for certain
	perhaps := make(map[string]bool) // the process was killed over it
	for round := range 8 {
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
			if n == 100+round*37 {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			verb, rest, _ := strings.Cut(lines.Text(), " ")
			switch names := strings.Fields(rest); verb {
			case "+":
				appended = append(appended, names...)
			case "?":
				pending = rest
			case "-":
				pending = ""
				for _, name := range names {
					if acked[name] || perhaps[name] {
						delete(perhaps, name)
					}
					if acked[name] {
						t.Errorf("block %s was acknowledged twice", name)
					}
					acked[name] = true
				}
			default:
				t.Log(lines.Text())
			}
		}
		for _, name := range strings.Fields(pending) {
			perhaps[name] = true
		}
		_ = cmd.Wait()
	}
	q := mustOpen(t, Options{Dir: dir})
	r := q.Reader("a")
	var left []string
	for {
		l, err := r.TryNext(Want{})
		if err != nil {
			t.Fatal(err)
		}
		if l == nil {
			break
		}
		for _, b := range l.Blocks {
			name, _, _ := strings.Cut(string(b.Data), " ")
			left = append(left, name)
		}
		if err := r.Ack(l); err != nil {
			t.Fatal(err)
		}
	}
	if len(appended) < 200 || len(acked) < 100 {
		t.Fatalf("only %d were appended and %d acknowledged", len(appended), len(acked))
	}
	i := 0
	for _, name := range appended {
		for i < len(left) && left[i] != name && acked[left[i]] {
			t.Errorf("block %s came again", left[i])
			i++
		}
		if i < len(left) && left[i] == name {
			if acked[name] {
				t.Errorf("block %s came again", name)
			}
			i++
		} else if !acked[name] && !perhaps[name] {
			t.Errorf("block %s is lost", name)
		}
		// An append whose answer nobody saw may stand between.
		if i < len(left) && !contains(appended, left[i]) {
			i++
		}
	}
	if s := q.Stats()[0]; len(s.Dropped) != 0 {
		t.Errorf("dropped %v", s.Dropped)
	}
}

func contains(all []string, s string) bool {
	for _, a := range all {
		if a == s {
			return true
		}
	}
	return false
}
