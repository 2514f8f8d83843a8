//go:build integration

package stack

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
)

// mailServer accepts every mail.
type mailServer struct {
	Address string

	mu    sync.Mutex
	mails []string // as they came
}

func startMailServer(t *testing.T) *mailServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s := &mailServer{Address: l.Addr().String()}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(c)
		}
	}()
	return s
}

// serve speaks as much of SMTP as a client needs to send a mail.
func (s *mailServer) serve(c net.Conn) {
	defer c.Close()
	fmt.Fprint(c, "220 test\r\n")
	lines := bufio.NewScanner(c)
	var mail strings.Builder
	for inMail := false; lines.Scan(); {
		line := lines.Text()
		switch {
		case inMail && line == ".":
			inMail = false
			s.mu.Lock()
			s.mails = append(s.mails, mail.String())
			s.mu.Unlock()
			mail.Reset()
			fmt.Fprint(c, "250 taken\r\n")
		case inMail:
			mail.WriteString(line + "\n")
		case strings.HasPrefix(line, "DATA"):
			inMail = true
			fmt.Fprint(c, "354 go on\r\n")
		case strings.HasPrefix(line, "QUIT"):
			fmt.Fprint(c, "221 bye\r\n")
			return
		default:
			fmt.Fprint(c, "250 fine\r\n")
		}
	}
}

// About is nil once a mail has come that has all the words.
func (s *mailServer) About(words ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, mail := range s.mails {
		found := true
		for _, word := range words {
			found = found && strings.Contains(mail, word)
		}
		if found {
			return nil
		}
	}
	return fmt.Errorf("of %d mails none is about %v", len(s.mails), words)
}
