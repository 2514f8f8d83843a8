package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"time"

	"collector/test/workload"
)

// The answers of services that serve no metrics, or bad ones.
const (
	answerHTML    = "html"    // a web page
	answerLogin   = "login"   // a redirect to a login page
	answerTLS     = "tls"     // metrics, over TLS only
	answerSlow    = "slow"    // nothing for a long time
	answerGarbage = "garbage" // a line whose value is no number
)

// serveAnswers serves answers of a kind on every path.
func serveAnswers(address, kind string) {
	s := &http.Server{Addr: address, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch kind {
		case answerLogin:
			if r.URL.Path != "/login" {
				http.Redirect(w, r, "/login", http.StatusFound)
				return
			}
			io.WriteString(w, "<!DOCTYPE html><title>Sign in</title>")
		case answerHTML:
			io.WriteString(w, "<!DOCTYPE html><title>Shop</title>")
		case answerSlow:
			<-r.Context().Done()
		case answerGarbage:
			io.WriteString(w, "# TYPE a gauge\na 1\nb many\n")
		default:
			io.WriteString(w, workload.Page(1))
		}
	})
	if kind != answerTLS {
		log.Fatal(s.ListenAndServe())
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	template := &x509.Certificate{NotAfter: time.Now().AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		log.Fatal(err)
	}
	s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	log.Fatal(s.ListenAndServeTLS("", ""))
}
