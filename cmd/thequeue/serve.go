package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/prismq/thequeue/internal/app"
	"github.com/prismq/thequeue/internal/config"
)

type serveCmd struct {
	Addr        string         `placeholder:"HOST:PORT" help:"Where to listen (PRISMQ_ADDR; default 127.0.0.1:8000)."`
	Database    string         `placeholder:"PATH|URL" help:"A SQLite file or a postgres:// URL (PRISMQ_DATABASE_URL, PRISMQ_QUEUE_DB_PATH; default: queue.db in your data directory)."`
	Workers     *int           `placeholder:"N" help:"Tasks run at a time in this process; 0: none (PRISMQ_WORKERS; default 4)."`
	Grace       *time.Duration `placeholder:"DURATION" help:"How long running tasks may take to end at a stop, like 30s (PRISMQ_SHUTDOWN_GRACE_SECONDS; default 10s)."`
	TLSCert     string         `name:"tls-cert" placeholder:"FILE" help:"Speak TLS with this certificate in PEM, which is read again when it changes (PRISMQ_TLS_CERT_FILE)."`
	TLSKey      string         `name:"tls-key" placeholder:"FILE" help:"Its private key (PRISMQ_TLS_KEY_FILE)."`
	TLSClientCA string         `name:"tls-client-ca" placeholder:"FILE" help:"Ask clients for certificates that one of these has signed (PRISMQ_TLS_CLIENT_CA_FILE)."`
	PlainHTTP   bool           `name:"plain-http" help:"Speak plain HTTP on an address that other machines can reach: a proxy in front speaks TLS, or the network is trusted (PRISMQ_PLAIN_HTTP)."`
	traceFlags
}

// traceFlags say where the spans of a process are sent.
type traceFlags struct {
	OTLPEndpoint     string   `name:"otlp-endpoint" placeholder:"URL" help:"Send traces to this OpenTelemetry collector, like http://127.0.0.1:4318 (PRISMQ_OTLP_ENDPOINT; default: no traces)."`
	TraceSampleRatio *float64 `placeholder:"SHARE" help:"Of the traces that begin here, 0 to 1 (PRISMQ_TRACE_SAMPLE_RATIO; default 1)."`
}

func (f traceFlags) set(cfg *config.Config) {
	replace(&cfg.Tracing.OTLPEndpoint, f.OTLPEndpoint)
	if f.TraceSampleRatio != nil {
		cfg.Tracing.SampleRatio = *f.TraceSampleRatio
	}
}

func (c *serveCmd) flags(cfg *config.Config) {
	replace(&cfg.Addr, c.Addr)
	replace(&cfg.Database, c.Database)
	replace(&cfg.TLS.CertFile, c.TLSCert)
	replace(&cfg.TLS.KeyFile, c.TLSKey)
	replace(&cfg.TLS.ClientCAFile, c.TLSClientCA)
	cfg.PlainHTTP = cfg.PlainHTTP || c.PlainHTTP
	setPool(cfg, c.Workers, c.Grace)
	c.set(cfg)
}

// setPool sets what is given.
func setPool(cfg *config.Config, workers *int, grace *time.Duration) {
	if workers != nil {
		cfg.Workers = *workers
	}
	if grace != nil {
		cfg.ShutdownGraceSeconds = grace.Seconds()
	}
}

func (c *serveCmd) Run(ctx context.Context, s *session) error {
	cfg, err := s.settings(c.flags, "database", "handlers")
	if err != nil {
		return err
	}
	if cfg.WorkerID == "" {
		cfg.WorkerID = processID()
	}
	o := s.process(cfg, func(addr string) { s.greet(addr, cfg) })
	o.Reloads = s.reloads(ctx, o.Log, c.flags, "database", "handlers")
	err = app.Serve(ctx, cfg, o)
	if addressInUse(err) {
		return fmt.Errorf("%s is in use: stop what listens there, or choose another address with --addr", cfg.Addr)
	}
	return err
}

// greet says where the server is and what to do next.
func (s *session) greet(addr string, cfg config.Config) {
	url, server := "http://"+addr, ""
	if cfg.TLS.On() {
		url = "https://" + addr
	}
	if url != "http://127.0.0.1:8000" {
		server = " --server " + url
	}
	fmt.Fprintf(s.stdout, "The Queue listens on %s and keeps its tasks in %s; a first task: thequeue enqueue echo --payload '{\"name\":\"Ada\"}'%s\n",
		url, config.Redact(cfg.Database), server)
}

// processID names the workers of this process.
func processID() string {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return fmt.Sprintf("%s-%d", strings.ToValidUTF8(host, ""), os.Getpid())
}

// addressInUse knows the error of Windows too, which package syscall does not map.
func addressInUse(err error) bool {
	const windows = syscall.Errno(10048) // WSAEADDRINUSE
	return errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, windows)
}
