package app

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/client"
	"github.com/prismq/thequeue/internal/config"
	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// newAuthority writes its certificate to ca.pem in a directory.
func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.sign("ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// sign writes a certificate of 127.0.0.1 and its key to NAME.pem and NAME-key.pem.
func (a *authority) sign(name string, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c.Subject, c.NotBefore, c.NotAfter = pkix.Name{CommonName: name}, time.Unix(0, 0), time.Unix(1<<33, 0)
	c.SerialNumber, c.IPAddresses = big.NewInt(time.Now().UnixNano()), []net.IP{net.IPv4(127, 0, 0, 1)}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(name+".pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	a.write(name+"-key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
	made, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return made, key
}

func (a *authority) server(name string) *x509.Certificate {
	c, _ := a.sign(name, &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	return c
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) write(name string, text []byte) {
	a.t.Helper()
	if err := os.WriteFile(a.path(name), text, 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// settings serve with server.pem.
func (a *authority) settings() config.Config {
	cfg := config.Default(func(string) string { return "" })
	cfg.WorkerID, cfg.Workers, cfg.CAFile = "w", 0, a.path("ca.pem")
	cfg.TLS = config.TLS{CertFile: a.path("server.pem"), KeyFile: a.path("server-key.pem")}
	return cfg
}

// serveTLS serves until the test ends.
func serveTLS(t *testing.T, cfg config.Config, o Options) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	st := testdb.SQLite(t)
	go func() { ended <- serve(ctx, ln, st, cfg, o) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	return ln.Addr().String()
}

// ready asks over TLS, on a connection of its own, whether the server takes requests, and returns the certificate that it has shown.
func ready(t *testing.T, addr string, with *tls.Config) (*x509.Certificate, error) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: with, DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: transport}).Get("https://" + addr + "/readyz")
	if err != nil {
		return nil, err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.TLS.NegotiatedProtocol == "h2" {
		t.Errorf("%s over %q", resp.Status, resp.TLS.NegotiatedProtocol)
	}
	return resp.TLS.PeerCertificates[0], nil
}

func TestTLSIsServedAndItsFilesAreReadAgain(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	first := a.server("server")
	cfg := a.settings()
	var log lines
	reloads := make(chan config.Config)
	addr := serveTLS(t, cfg, Options{Log: slog.New(slog.NewTextHandler(&log, nil)), Reloads: reloads})
	trust, err := ClientTLS(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ready(t, addr, trust); err != nil || !got.Equal(first) {
		t.Fatalf("certificate %v, error %v", got, err)
	}
	if _, err := ready(t, addr, nil); err == nil {
		t.Error("a client trusts an authority that it does not know")
	}
	if _, err := ready(t, addr, &tls.Config{RootCAs: trust.RootCAs, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 is served")
	}
	if resp, err := http.Get("http://" + addr + "/readyz"); err == nil && resp.StatusCode < 400 {
		t.Errorf("plain HTTP is answered %s", resp.Status)
	}

	own, err := OwnTLS(cfg) // as healthcheck does
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ready(t, addr, own); err != nil {
		t.Errorf("by the certificate itself: %v", err)
	}
	open, err := tls.Dial("tcp", addr, trust)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	second := a.server("server")
	for end := time.Now().Add(20 * time.Second); ; {
		got, err := ready(t, addr, trust)
		if err != nil {
			t.Fatal(err)
		}
		if got.Equal(second) {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the new certificate is not shown")
		}
		time.Sleep(20 * time.Millisecond)
	}
	if _, err := io.WriteString(open, "GET /livez HTTP/1.1\r\nHost: queue.example\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := ready(t, addr, own); err == nil {
		t.Error("another certificate is taken for the one of the settings")
	}
	if text, err := io.ReadAll(open); err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 200") {
		t.Errorf("the connection from before got %q, error %v", text, err)
	}

	a.write("server.pem", []byte("half of a cert"))
	reloads <- cfg // as SIGHUP does
	for end := time.Now().Add(20 * time.Second); !strings.Contains(log.String(), "the certificate cannot be used"); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the log says nothing of it:\n%s", log.String())
		}
	}
	if got, err := ready(t, addr, trust); err != nil || !got.Equal(second) {
		t.Errorf("with a broken file: certificate %v, error %v", got, err)
	}
}

func TestClientsMustShowACertificate(t *testing.T) {
	t.Parallel()
	a, stranger := newAuthority(t), newAuthority(t)
	a.server("server")
	for _, who := range []*authority{a, stranger} {
		who.sign("client", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	}
	cfg := a.settings()
	cfg.TLS.ClientCAFile = a.path("ca.pem")
	addr := serveTLS(t, cfg, Options{Log: slog.New(slog.DiscardHandler)})
	for who, want := range map[*authority]bool{nil: false, a: true, stranger: false} {
		own := cfg
		if who != nil {
			own.ClientCertFile, own.ClientKeyFile = who.path("client.pem"), who.path("client-key.pem")
		}
		own.Server, own.MaxRetries = "https://"+addr, 0
		c, err := Dial(own)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Stats(t.Context())
		if c.Close(); (err == nil) != want {
			t.Errorf("let in: %v, want %v", err, want)
		}
	}
}

func TestFilesOfCertificatesThatCannotBeUsedAreNamed(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.server("server")
	a.server("other")
	a.write("none.pem", []byte("nothing"))
	for field, change := range map[string]func(*config.Config){
		"tls.cert_file":      func(c *config.Config) { c.TLS.CertFile = a.path("missing.pem") },
		"tls.key_file":       func(c *config.Config) { c.TLS.KeyFile = a.path("missing.pem") },
		"tls.cert_file:":     func(c *config.Config) { c.TLS.KeyFile = a.path("other-key.pem") },
		"tls.client_ca_file": func(c *config.Config) { c.TLS.ClientCAFile = a.path("none.pem") },
	} {
		cfg := a.settings()
		change(&cfg)
		if _, err := newCertificates(cfg.TLS, slog.New(slog.DiscardHandler)); err == nil || !strings.HasPrefix(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	for field, change := range map[string]func(*config.Config){
		"ca_file":          func(c *config.Config) { c.CAFile = a.path("none.pem") },
		"client_cert_file": func(c *config.Config) { c.ClientCertFile, c.ClientKeyFile = a.path("none.pem"), a.path("ca-key.pem") },
	} {
		cfg := a.settings()
		change(&cfg)
		if _, err := Dial(cfg); err == nil || !strings.HasPrefix(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// An address that other machines can reach is closed until it is opened: by keys, and by TLS or by saying that it is not wanted.
func TestAnAddressForOthersNeedsKeysAndTLS(t *testing.T) {
	t.Parallel()
	cfg := config.Default(func(string) string { return "" })
	cfg.Database, cfg.WorkerID, cfg.Workers = filepath.Join(t.TempDir(), "queue.db"), "w", 0
	for _, addr := range []string{"0.0.0.0:0", "[::]:0", ":0", "192.0.2.1:0", "queue.example:0", "[::ffff:192.0.2.1]:0"} {
		cfg.Addr = addr
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "addr: can be reached by other machines") || !strings.Contains(err.Error(), "tls.cert_file") {
			t.Errorf("%s: %v", addr, err)
		}
		if cfg.OnLoopback() {
			t.Errorf("%s is taken for one of this machine alone", addr)
		}
	}
	cfg.Addr, cfg.PlainHTTP = "0.0.0.0:0", true
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	o := Options{Log: slog.New(slog.DiscardHandler), Ready: func(string) { t.Error("it serves without keys") }}
	if err := Serve(t.Context(), cfg, o); err == nil || !strings.Contains(err.Error(), "addr: 0.0.0.0:0 can be reached by other machines, and there are no API keys: make the first one with thequeue keys create") {
		t.Fatalf("without keys: %v", err)
	}
	st, err := OpenStore(t.Context(), cfg.Database, false, o.Log)
	if err != nil {
		t.Fatal(err)
	}
	k, err := queue.New(st, queue.Options{}).CreateAPIKey(t.Context(), task.APIKeySpec{Name: "ops", Role: task.RoleAdmin})
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	at, ended := make(chan string, 1), make(chan error, 1)
	o.Ready = func(addr string) { at <- addr }
	go func() { ended <- Serve(ctx, cfg, o) }()
	var port string
	select {
	case addr := <-at:
		_, port, _ = net.SplitHostPort(addr)
	case err := <-ended:
		t.Fatalf("with keys: %v", err)
	}
	for key, want := range map[string]bool{"": false, k.Key: true} {
		c, err := client.New("http://127.0.0.1:"+port, client.Options{APIKey: key, Retries: -1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Stats(t.Context()); (err == nil) != want {
			t.Errorf("with the key %q: %v", key, err)
		}
		c.Close()
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
