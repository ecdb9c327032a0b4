package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"time"

	"github.com/prismq/thequeue/internal/app"
	"github.com/prismq/thequeue/internal/client"
	"github.com/prismq/thequeue/internal/config"
)

type healthcheckCmd struct {
	URL     string        `arg:"" optional:"" placeholder:"URL" help:"The server to ask; default: the one that these settings make, at addr (PRISMQ_ADDR)."`
	Timeout time.Duration `default:"5s" placeholder:"DURATION" help:"How long it may take to answer."`
}

// Run asks once, so that the answer is that of this moment: whoever watches the server tries again by itself.
func (c *healthcheckCmd) Run(ctx context.Context, s *session) error {
	if c.Timeout <= 0 {
		return usage("--timeout must be longer than nothing")
	}
	cfg, err := s.settings(func(*config.Config) {})
	if err != nil {
		return err
	}
	url := "http://" + dialled(cfg.Addr)
	secure, err := app.ClientTLS(cfg)
	if c.URL == "" && cfg.TLS.On() && err == nil {
		url = "https://" + dialled(cfg.Addr)
		secure, err = app.OwnTLS(cfg)
	}
	if err != nil {
		return &usageError{err}
	}
	q, err := client.New(cmp.Or(c.URL, url), client.Options{Timeout: c.Timeout, Retries: -1, TLS: secure})
	if err != nil {
		return &usageError{err}
	}
	defer q.Close()
	if err := q.Ready(ctx); err != nil {
		return &unavailableError{fmt.Errorf("not ready: %w", err)}
	}
	_, err = fmt.Fprintln(s.stdout, "ready")
	return err
}

// dialled is the address under which a server is reached that listens on addr: on every address of the machine means on its own too.
func dialled(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil { // the settings were checked
		return addr
	}
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}
