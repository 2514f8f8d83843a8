package targets_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"collector/pkg/admin/ui/targets"
	"collector/pkg/admin/ui/uitest"
	"collector/pkg/cause"
	"collector/pkg/inspect"
)

func TestTargetsAreFilteredSortedAndPaged(t *testing.T) {
	u := uitest.New(t, uitest.Small, uitest.Having(uitest.NewStock(450, 0)))
	all := uitest.Listed[targets.Target](t, u, "/api/v1/targets")
	if all.Total != 450 || all.Pages != 3 || len(all.Items) != 200 || all.Items[0].State != "down" {
		t.Errorf("%d of %d, %s first", len(all.Items), all.Total, all.Items[0].State)
	}
	if down := uitest.Listed[targets.Target](t, u, "/api/v1/targets?state=down"); down.Total != 45 {
		t.Errorf("%d are down", down.Total)
	}
	if one := uitest.Listed[targets.Target](t, u, "/api/v1/targets?q=SERVICE-0123"); one.Total != 1 || one.Items[0].Name != "shop-service-0123-1" {
		t.Errorf("%d found", one.Total)
	}
	if most := uitest.Listed[targets.Target](t, u, "/api/v1/targets?sort=-samples&per_page=3&page=2"); len(most.Items) != 3 || most.Items[0].Samples != 4460 {
		t.Errorf("%+v", most)
	}
	if none := uitest.Listed[targets.Target](t, u, "/api/v1/targets?q=hunter2planted"); none.Total != 0 {
		t.Error("a secret can be found by a filter")
	}
	if other := uitest.Listed[targets.Target](t, u, "/api/v1/targets?component=other"); other.Total != 0 {
		t.Errorf("%d of another component", other.Total)
	}
}

func TestATargetIsFetchedOnDemandOnly(t *testing.T) {
	s := uitest.NewStock(5, 0)
	s.Answer = inspect.Response{Status: "200 OK", ContentType: "text/plain", Body: "a{b=\"<script>alert(1)</script>\"} 1\n" + strings.Repeat("<", 1<<20)}
	u := uitest.New(t, uitest.Small, uitest.Having(s))
	path := "/targets/prometheus.scrape.containers/0000000000000001"
	if page := uitest.Get(t, u, path); len(s.Asked()) != 0 || !strings.Contains(page, `action="`+path+`/response"`) {
		t.Errorf("asked %v", s.Asked())
	}
	w := u.Ask("POST", path+"/response")
	uitest.CheckPage(t, path, w.Body.String())
	if w.Code != 200 || len(s.Asked()) != 1 || !strings.Contains(w.Body.String(), "&lt;script&gt;") || w.Body.Len() > uitest.MaxPage {
		t.Errorf("%d, asked %v, %d bytes", w.Code, s.Asked(), w.Body.Len())
	}
	var answer targets.Answer
	if w := u.Ask("POST", "/api/v1"+path+"/response"); json.Unmarshal(w.Body.Bytes(), &answer) != nil || answer.Response == nil || answer.Response.Body != s.Answer.Body {
		t.Error("the API does not give all of the answer")
	}
	s.Err = errors.New(`Get "http://u:hunter2planted@h/?token=hunter2planted": refused`)
	if page := u.Ask("POST", path+"/response").Body.String(); !strings.Contains(page, "refused") || strings.Contains(page, uitest.Planted) {
		t.Errorf("%s", page)
	}
	for method, path := range map[string]string{"GET": path + "/response", "POST": "/targets/prometheus.scrape.containers/http:%2F%2Fevil/response"} {
		if w := u.Ask(method, path); w.Code != http.StatusNotFound {
			t.Errorf("%s %s: %d", method, path, w.Code)
		}
	}
	if len(s.Asked()) != 3 {
		t.Errorf("asked %v", s.Asked())
	}
}

func TestFewTargetsAreFetchedAtOnce(t *testing.T) {
	s := uitest.NewStock(5, 0)
	held, goOn := make(chan bool), make(chan bool)
	s.Hold = func() { held <- true; <-goOn }
	u := uitest.New(t, uitest.Small, uitest.Having(s))
	const path = "/targets/prometheus.scrape.containers/0000000000000001/response"
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() { u.Ask("POST", path) })
		<-held
	}
	if page := u.Ask("POST", path).Body.String(); len(s.Asked()) != 4 || !strings.Contains(page, "try again") {
		t.Error("there is no bound to requests at once")
	}
	close(goOn)
	asking.Wait()
}

func TestTargetsAreFetchedAtABoundedRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const asks = 30 // in 10 seconds
		s := uitest.NewStock(5, 0)
		u := uitest.New(t, uitest.Small, uitest.Having(s))
		const path = "/targets/prometheus.scrape.containers/0000000000000001/response"
		for range 2 * asks {
			u.Ask("POST", path)
		}
		if page := u.Ask("POST", path).Body.String(); len(s.Asked()) != asks || !strings.Contains(page, "try again") {
			t.Errorf("asked %d times", len(s.Asked()))
		}
		time.Sleep(10 * time.Second)
		if u.Ask("POST", path); len(s.Asked()) != asks+1 {
			t.Error("not asked again later")
		}
	})
}

// The cause is what one reads, and the error what one finds below it.
func TestATargetThatFailsSaysWhyAndWhatToDo(t *testing.T) {
	s := uitest.NewStock(15, 0)
	s.Targets[3].Cause = cause.Cause{Kind: cause.WebPage, Text: "shop-3 answers with a <web page> of hunter2planted.", Fix: "Set the path."}
	s.Targets[1].Hint = "Port 80, the default, is scraped."
	u := uitest.New(t, uitest.Small, uitest.Having(s))
	const path = "/targets/prometheus.scrape.containers/"
	for path, wants := range map[string][]string{
		"/targets":                {"shop-3 answers with a &lt;web page&gt; of (secret)."},
		path + "0000000000000003": {"shop-3 answers with a &lt;web page&gt; of (secret). <strong>Set the path.</strong>", "<summary>Error message</summary>", "connection refused"},
		path + "000000000000000d": {"connection refused"}, // without a cause
		path + "0000000000000001": {"Port 80, the default, is scraped."},
	} {
		page := uitest.Get(t, u, path)
		uitest.CheckPage(t, path, page)
		for _, want := range wants {
			if !strings.Contains(page, want) {
				t.Errorf("%s: no %q", path, want)
			}
		}
	}
	some := uitest.Listed[targets.Target](t, u, "/api/v1/targets?cause=web_page")
	if some.Total != 1 || some.Items[0].CauseKind != cause.WebPage || some.Items[0].Fix != "Set the path." || strings.Contains(some.Items[0].Cause, uitest.Planted) {
		t.Errorf("%+v", some)
	}
}

func TestAFetchSaysWhyAScrapeWouldFail(t *testing.T) {
	s := uitest.NewStock(5, 0)
	u := uitest.New(t, uitest.Small, uitest.Having(s))
	const path = "/targets/prometheus.scrape.containers/0000000000000001/response"
	why := cause.Cause{Kind: cause.Login, Text: "It redirects to /login, a login page.", Fix: "Set its credentials."}
	for name, c := range map[string]struct {
		answer inspect.Response
		err    error
		want   []string
	}{
		"metrics":     {inspect.Response{Status: "200 OK", ContentType: "text/plain", Body: "a 1\n"}, nil, []string{"These are metrics that a scrape can read.", `badge good`, "<code>text/plain</code>"}},
		"a web page":  {inspect.Response{Status: "200 OK", Body: "<html>", Cause: why}, nil, []string{"It redirects to /login, a login page. <strong>Set its credentials.</strong>", `badge bad`, "<code>none</code>"}},
		"a redirect":  {inspect.Response{Status: "302 Found", Location: "http://h/login", Cause: why}, nil, []string{`badge bad`, "redirects to", "<code>http://h/login</code>"}},
		"no response": {inspect.Response{}, &cause.Explained{Err: errors.New("dial tcp: refused"), Cause: why}, []string{"It redirects to /login", "<code>dial tcp: refused</code>"}},
	} {
		s.Answer, s.Err = c.answer, c.err
		page := u.Ask("POST", path).Body.String()
		uitest.CheckPage(t, path, page)
		for _, want := range c.want {
			if !strings.Contains(page, want) {
				t.Errorf("%s: no %q in %s", name, want, page)
			}
		}
	}
	s.Answer, s.Err = inspect.Response{Status: "302 Found", Cause: why}, nil
	var answer targets.Answer
	if w := u.Ask("POST", "/api/v1"+path); json.Unmarshal(w.Body.Bytes(), &answer) != nil || answer.Cause != why.Text || answer.Fix != why.Fix || answer.CauseKind != why.Kind {
		t.Errorf("%+v", answer)
	}
}
