package config

import (
	"path/filepath"
	"runtime"
	"time"

	"github.com/prismq/thequeue/internal/backup"
	"github.com/prismq/thequeue/internal/schedule"
	"github.com/prismq/thequeue/internal/task"
)

// Config is every setting of the binary. Keys in files are the names in the conf tags; a field with an env tag can also be set by that variable,
// and one with an of tag must be one of the words in it.
type Config struct {
	// The worker: what `work`, and the workers inside `serve`, are and may take.

	WorkerID             string            `conf:"worker_id" env:"PRISMQ_WORKER_ID"`                           // empty: only `serve` may make one up
	Capabilities         task.Capabilities `conf:"capabilities" env:"PRISMQ_CAPABILITIES"`                     // JSON in the environment; nil: none
	SchedulingStrategy   task.Strategy     `conf:"scheduling_strategy" env:"PRISMQ_SCHEDULING_STRATEGY"`       // the order of its claims
	LeaseDurationSeconds float64           `conf:"lease_duration_seconds" env:"PRISMQ_LEASE_DURATION_SECONDS"` // how long a claim holds without a heartbeat
	PollIntervalSeconds  float64           `conf:"poll_interval_seconds" env:"PRISMQ_POLL_INTERVAL_SECONDS"`   // at least so long from a claim that found nothing to the next
	MaxRetries           int               `conf:"max_retries" env:"PRISMQ_MAX_RETRIES"`                       // how often a call to the server is repeated
	Workers              int               `conf:"workers" env:"PRISMQ_WORKERS"`                               // tasks run at a time; 0: none, `serve` then runs no task itself
	Handlers             Handlers          `conf:"handlers"`                                                   // what is run for a task, by its type

	// The server and where it keeps its tasks.

	Database             string                       `conf:"database" env:"PRISMQ_DATABASE_URL"`                         // path of a SQLite file, or a postgres:// URL
	Addr                 string                       `conf:"addr" env:"PRISMQ_ADDR"`                                     // host:port to listen on; port 0: any free one
	AllowedHosts         []string                     `conf:"allowed_hosts" env:"PRISMQ_ALLOWED_HOSTS"`                   // names by which the server may be called, beside localhost and addresses
	Server               string                       `conf:"server" env:"PRISMQ_SERVER_URL"`                             // where clients and `work` find the server
	TLS                  TLS                          `conf:"tls"`                                                        // the certificate of the server; none: it speaks plain HTTP
	PlainHTTP            bool                         `conf:"plain_http" env:"PRISMQ_PLAIN_HTTP"`                         // plain HTTP on an address that others can reach, too
	APIKey               string                       `conf:"api_key" env:"PRISMQ_API_KEY"`                               // what clients and `work` show the server; empty: nothing
	CAFile               string                       `conf:"ca_file" env:"PRISMQ_CA_FILE"`                               // the certificates that clients and `work` trust; empty: those of the system
	ClientCertFile       string                       `conf:"client_cert_file" env:"PRISMQ_CLIENT_CERT_FILE"`             // the certificate that clients and `work` show the server; empty: none
	ClientKeyFile        string                       `conf:"client_key_file" env:"PRISMQ_CLIENT_KEY_FILE"`               // its private key
	MaxWaiting           int                          `conf:"max_waiting" env:"PRISMQ_MAX_WAITING"`                       // claims that wait and streams of events at a time
	MaxWaitingOfOne      int                          `conf:"max_waiting_of_one" env:"PRISMQ_MAX_WAITING_OF_ONE"`         // of them, those of one key, or one address where there are no keys
	ShutdownGraceSeconds float64                      `conf:"shutdown_grace_seconds" env:"PRISMQ_SHUTDOWN_GRACE_SECONDS"` // how long running tasks may take to end when the process stops
	MaxPayloadBytes      int                          `conf:"max_payload_bytes" env:"PRISMQ_MAX_PAYLOAD_BYTES"`           // the longest payload of a task
	MaxBodyBytes         int                          `conf:"max_body_bytes" env:"PRISMQ_MAX_BODY_BYTES"`                 // the longest request
	Retry                map[string]task.Backoff      `conf:"retry"`                                                      // by task type; others: task.DefaultBackoff
	Types                map[string]task.TypeRules    `conf:"types"`                                                      // the rules of task types, by name; set when the server starts
	Schedules            map[string]task.ScheduleSpec `conf:"schedules"`                                                  // by name; set when the server starts
	Webhooks             map[string]Webhook           `conf:"webhooks"`                                                   // by name: who is told of events
	IdempotencySeconds   float64                      `conf:"idempotency_seconds" env:"PRISMQ_IDEMPOTENCY_SECONDS"`       // how long an answer is kept for a request that is sent again with its Idempotency-Key
	Tracing              Tracing                      `conf:"tracing"`                                                    // where spans are sent
	Logs                 Logs                         `conf:"logs"`                                                       // the logs of tasks
	Backups              Backups                      `conf:"backups"`                                                    // backups of the database
	LogLevel             string                       `conf:"log_level" env:"PRISMQ_LOG_LEVEL" of:"debug,info,warn,error"`
	LogFormat            string                       `conf:"log_format" env:"PRISMQ_LOG_FORMAT" of:"text,json"`
}

// Handlers says what is run for a task, by its type. A type has one handler, of one kind.
type Handlers struct {
	Exec map[string]Exec `conf:"exec"` // a command
	HTTP map[string]HTTP `conf:"http"` // a POST request
}

// Exec runs a command of this machine, without a shell.
type Exec struct {
	Command        []string          `conf:"command"`          // the program, by absolute path or as found in PATH at the start, and the templates of its arguments
	Env            map[string]string `conf:"env"`              // its environment, beside PATH, HOME and the THEQUEUE_ variables; nothing else is passed on
	Dir            string            `conf:"dir"`              // where it runs; empty: where the worker runs
	TimeoutSeconds float64           `conf:"timeout_seconds"`  // 0: the task's own limit alone
	MaxOutputBytes int               `conf:"max_output_bytes"` // of its output kept; 0: the handler's default
}

// HTTP posts the task to a URL.
type HTTP struct {
	URL            string            `conf:"url"`
	Headers        map[string]string `conf:"headers"`         // sent with every request
	AllowNetworks  []string          `conf:"allow_networks"`  // to which the name in the URL may lead, beside the public Internet
	Secrets        []string          `conf:"secrets"`         // with which requests are signed
	TimeoutSeconds float64           `conf:"timeout_seconds"` // 0: the handler's default
}

// Webhook is a URL that is told of events.
type Webhook struct {
	URL            string            `conf:"url"`
	Events         []string          `conf:"events"`          // names of events; none: those with which a task ends
	Types          []string          `conf:"types"`           // of tasks; none: all
	Headers        map[string]string `conf:"headers"`         // this and all below: as in HTTP
	AllowNetworks  []string          `conf:"allow_networks"`  //
	Secrets        []string          `conf:"secrets"`         //
	TimeoutSeconds float64           `conf:"timeout_seconds"` // 0: 15 seconds
}

// EndingEvents are those with which a task ends.
var EndingEvents = []task.EventName{task.EventCompleted, task.EventFailed, task.EventCancelled, task.EventExpired}

// Names are the names of the events that the webhook is told of.
func (h Webhook) Names() []task.EventName {
	if len(h.Events) == 0 {
		return EndingEvents
	}
	out := make([]task.EventName, len(h.Events))
	for i, name := range h.Events {
		out[i] = task.EventName(name)
	}
	return out
}

// TLS names the files of the server's certificate, in PEM. They are read again when they change.
type TLS struct {
	CertFile     string `conf:"cert_file" env:"PRISMQ_TLS_CERT_FILE"`           // the certificate, and those between it and one that clients trust
	KeyFile      string `conf:"key_file" env:"PRISMQ_TLS_KEY_FILE"`             // its private key
	ClientCAFile string `conf:"client_ca_file" env:"PRISMQ_TLS_CLIENT_CA_FILE"` // who signs the certificates that clients must show; empty: they need none
}

// On reports whether the server speaks TLS.
func (t TLS) On() bool { return t.CertFile != "" }

// Tracing says where the spans of OpenTelemetry are sent.
type Tracing struct {
	OTLPEndpoint string  `conf:"otlp_endpoint" env:"PRISMQ_OTLP_ENDPOINT"`     // URL of a collector that takes OTLP over HTTP; empty: no spans are made
	SampleRatio  float64 `conf:"sample_ratio" env:"PRISMQ_TRACE_SAMPLE_RATIO"` // of the traces that begin here
}

// Default returns the settings that hold where nothing else is said. The database is in the user's data directory, or empty when the
// environment does not tell where that is.
func Default(getenv func(string) string) Config {
	return Config{
		SchedulingStrategy:   task.Priority,
		LeaseDurationSeconds: task.DefaultLease.Seconds(),
		PollIntervalSeconds:  1,
		MaxRetries:           3,
		Workers:              4,
		Database:             defaultDatabase(runtime.GOOS, getenv),
		Addr:                 "127.0.0.1:8000",
		Server:               "http://127.0.0.1:8000",
		MaxWaiting:           10000,
		MaxWaitingOfOne:      1000,
		ShutdownGraceSeconds: 10,
		MaxPayloadBytes:      1 << 20,
		MaxBodyBytes:         2 << 20,
		IdempotencySeconds:   86400,
		Tracing:              Tracing{SampleRatio: 1},
		Backups:              Backups{Keep: backup.DefaultKeep},
		LogLevel:             "info",
		LogFormat:            "text",
	}
}

// Lease is how long the claims of the workers ask to hold without a heartbeat; 0 for the default, so that the rule of a type has its say.
func (c Config) Lease() time.Duration {
	if c.LeaseDurationSeconds == task.DefaultLease.Seconds() {
		return 0
	}
	return seconds(c.LeaseDurationSeconds)
}

// PollInterval is the least time from a claim that found nothing to the next.
func (c Config) PollInterval() time.Duration { return seconds(c.PollIntervalSeconds) }

// ShutdownGrace is how long running tasks may take to end when the process stops.
func (c Config) ShutdownGrace() time.Duration { return seconds(c.ShutdownGraceSeconds) }

// Logs says what becomes of the logs of tasks.
type Logs struct {
	RetentionDays float64 `conf:"retention_days"` // how long lines are kept; 0: as long as their tasks
}

// Backups says where backups of the database are, and when a server makes them by itself.
type Backups struct {
	Directory string `conf:"directory" env:"PRISMQ_BACKUPS_DIRECTORY"` // empty: beside the SQLite file, or in the data directory
	Every     string `conf:"every" env:"PRISMQ_BACKUPS_EVERY"`         // from one to the next, like 12h or 1d; empty: not so
	Cron      string `conf:"cron" env:"PRISMQ_BACKUPS_CRON"`           // or at these times, by the clocks of UTC; empty: not so
	Keep      int    `conf:"keep" env:"PRISMQ_BACKUPS_KEEP"`           // how many of those made by themselves are kept
	Compress  bool   `conf:"compress" env:"PRISMQ_BACKUPS_COMPRESS"`   // those of a SQLite file
}

// Interval is the time from one backup to the next; 0: there is none.
func (b Backups) Interval() time.Duration {
	d, _ := task.ParseAge(b.Every) // checked before
	return d
}

// Rule says at which times backups are made; nil: it does not.
func (b Backups) Rule() *schedule.Rule {
	r, err := schedule.Parse(b.Cron, time.UTC)
	if err != nil { // empty, as it was checked before
		return nil
	}
	return &r
}

// BackupsDirectory is where the backups of the database are, as an absolute path. Empty when nothing tells: the database is no file, and the environment does
// not tell where data is kept.
func (c Config) BackupsDirectory(getenv func(string) string) string {
	dir := c.Backups.Directory
	switch data := defaultDatabase(runtime.GOOS, getenv); {
	case dir != "":
	case c.Database != "" && !IsPostgres(c.Database):
		dir = c.Database + ".backups"
	case data != "":
		dir = filepath.Join(filepath.Dir(data), "postgres.backups")
	default:
		return ""
	}
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	return dir
}

// Retention is how long lines are kept; 0: as long as their tasks.
func (l Logs) Retention() time.Duration { return seconds(l.RetentionDays * 86400) }

// AnswerLifetime is how long an answer is kept for a request that is sent again.
func (c Config) AnswerLifetime() time.Duration { return seconds(c.IdempotencySeconds) }

// Timeout is the longest that the command may run; 0: no limit of the handler.
func (e Exec) Timeout() time.Duration { return seconds(e.TimeoutSeconds) }

// Timeout is the longest that the request may take; 0: the handler's default.
func (h HTTP) Timeout() time.Duration { return seconds(h.TimeoutSeconds) }

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
