package app

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/prismq/thequeue/internal/clock"
	"github.com/prismq/thequeue/internal/config"
	"github.com/prismq/thequeue/internal/task"
)

// lookAtFiles is how often, at most, the files of certificates are looked at: at a handshake.
const lookAtFiles = time.Second

// certificates give every new connection what the files hold now. While they cannot be used, what they held before stays in force.
type certificates struct {
	files config.TLS
	log   *slog.Logger

	mu     sync.Mutex
	now    *tls.Config
	looked time.Time
	stamps [3]stamp
}

// stamp tells whether a file has changed.
type stamp struct {
	size     int64
	modified time.Time
}

// newCertificates reads the files. A *task.InvalidError says which is wrong.
func newCertificates(files config.TLS, log *slog.Logger) (*certificates, error) {
	c := &certificates{files: files, log: log, looked: clock.Wall()}
	c.stamps = c.stat()
	var err error
	c.now, err = c.read()
	return c, err
}

// config is what a listener is given.
func (c *certificates) config() *tls.Config {
	first := c.now.Clone()
	first.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.current(), nil }
	return first
}

// current looks whether the files have changed, but not all the time.
func (c *certificates) current() *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := clock.Wall(); now.Sub(c.looked) >= lookAtFiles {
		c.looked = now
		if stamps := c.stat(); stamps != c.stamps {
			c.stamps = stamps
			c.renew()
		}
	}
	return c.now
}

// reload reads the files again, whether they look changed or not.
func (c *certificates) reload() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stamps = c.stat()
	c.renew()
}

// renew puts what the files hold in force. The caller holds mu.
func (c *certificates) renew() {
	next, err := c.read()
	if err != nil {
		c.log.Error("the certificate cannot be used, and the one before stays in force", "error", err)
		return
	}
	c.now = next
	c.log.Info("certificate read", "file", c.files.CertFile)
}

func (c *certificates) stat() (out [3]stamp) {
	for i, path := range []string{c.files.CertFile, c.files.KeyFile, c.files.ClientCAFile} {
		if info, err := os.Stat(path); path != "" && err == nil {
			out[i] = stamp{info.Size(), info.ModTime()}
		}
	}
	return out
}

func (c *certificates) read() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(c.files.CertFile, c.files.KeyFile)
	if err != nil {
		return nil, badPair("tls.cert_file", c.files.CertFile, "tls.key_file", c.files.KeyFile, err)
	}
	// HTTP/2 would have several requests share a connection, of which a stop knows one.
	out := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}}
	if c.files.ClientCAFile != "" {
		if out.ClientCAs, err = readPool("tls.client_ca_file", c.files.ClientCAFile); err != nil {
			return nil, err
		}
		out.ClientAuth, out.SessionTicketsDisabled = tls.RequireAndVerifyClientCert, true // a session must not outlive its authority
	}
	return out, nil
}

// badPair says which of the files of a certificate is wrong.
func badPair(certField, cert, keyField, key string, err error) error {
	var path *fs.PathError
	if errors.As(err, &path) && path.Path == key {
		return task.Invalid(keyField, "%s", err)
	} else if errors.As(err, &path) {
		return task.Invalid(certField, "%s", err)
	}
	return task.Invalid(certField, "%s and %s of %s are not a certificate and its private key in PEM: %s", cert, keyField, key, err)
}

func readPool(field, path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, task.Invalid(field, "%s", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, task.Invalid(field, "%s holds no certificate in PEM", path)
	}
	return pool, nil
}

// ClientTLS is how the settings have clients speak TLS; nil: as the system does.
func ClientTLS(cfg config.Config) (*tls.Config, error) {
	if cfg.CAFile == "" && cfg.ClientCertFile == "" {
		return nil, nil
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	var err error
	if cfg.CAFile != "" {
		if out.RootCAs, err = readPool("ca_file", cfg.CAFile); err != nil {
			return nil, err
		}
	}
	if cfg.ClientCertFile != "" {
		pair, err := tls.LoadX509KeyPair(cfg.ClientCertFile, cfg.ClientKeyFile)
		if err != nil {
			return nil, badPair("client_cert_file", cfg.ClientCertFile, "client_key_file", cfg.ClientKeyFile, err)
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out, nil
}

// OwnTLS is how a client on this machine speaks to the server of these settings, under whatever name: it knows the certificate itself.
func OwnTLS(cfg config.Config) (*tls.Config, error) {
	out, err := ClientTLS(cfg)
	if err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(cfg.TLS.CertFile, cfg.TLS.KeyFile)
	if err != nil {
		return nil, badPair("tls.cert_file", cfg.TLS.CertFile, "tls.key_file", cfg.TLS.KeyFile, err)
	}
	if out == nil {
		out = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	out.InsecureSkipVerify = true // for what VerifyConnection looks at instead
	out.VerifyConnection = func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 || !bytes.Equal(s.PeerCertificates[0].Raw, pair.Certificate[0]) {
			return errors.New("the server has another certificate than that of these settings")
		}
		return nil
	}
	return out, nil
}
