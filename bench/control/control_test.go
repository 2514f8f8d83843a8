package control

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAChildIsAskedAndStopped(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/how-many" {
			http.Error(w, "no such question", http.StatusNotFound)
			return
		}
		Answer(w, map[string]int{"Items": 7})
	}))
	t.Cleanup(server.Close)
	hello, err := json.Marshal(Hello{Control: server.Listener.Addr().String(), Addresses: []string{"a:1"}})
	if err != nil {
		t.Fatal(err)
	}
	// cat ends when its input does, as a child has to.
	c, err := Start(t.Context(), "/bin/sh", "-c", "echo '"+string(hello)+"'; cat")
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Addresses) != 1 || c.Addresses[0] != "a:1" {
		t.Errorf("addresses are %v", c.Addresses)
	}
	var answer struct{ Items int }
	if err := c.Ask(t.Context(), "/how-many", &answer); err != nil || answer.Items != 7 {
		t.Errorf("%+v, %v", answer, err)
	}
	if err := c.Ask(t.Context(), "/other", &answer); err == nil || !strings.Contains(err.Error(), "no such question") {
		t.Errorf("error is %v", err)
	}
	c.Stop()
	if c.command.ProcessState == nil {
		t.Error("it still runs")
	}
}

func TestAChildThatSaysNothingIsAnError(t *testing.T) {
	for _, script := range []string{"exit 1", "echo ready; cat"} {
		if c, err := Start(t.Context(), "/bin/sh", "-c", script); err == nil {
			c.Stop()
			t.Errorf("%q: no error", script)
		}
	}
}
