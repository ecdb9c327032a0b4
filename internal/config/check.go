package config

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/schedule"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/worker"
)

// Validate returns a *task.InvalidError with everything that is wrong with c, or nil. A worker_id and a database may be missing.
func (c Config) Validate() error {
	var bad task.InvalidError
	c.check(nil, &bad)
	return bad.OrNil()
}

func (c Config) check(need []string, bad *task.InvalidError) {
	if c.WorkerID == "" && slices.Contains(need, "worker_id") {
		bad.Add("worker_id", "is required: name this worker in the file, by PRISMQ_WORKER_ID or by --worker-id")
	}
	if c.Database == "" && slices.Contains(need, "database") {
		bad.Add("database", "is required, since the environment does not tell where your data is kept: the path of a SQLite file or a postgres:// URL")
	}
	if c.Workers == 0 && slices.Contains(need, "workers") {
		bad.Add("workers", "must be at least 1 here: a worker that runs no task has nothing to do")
	}
	c.checkWorker(bad)
	c.checkServer(bad)
	for _, name := range slices.Sorted(maps.Keys(c.Retry)) {
		checkType(name, "retry."+name, bad)
		if err := c.Retry[name].Check(); err != nil {
			bad.Add("retry."+name, "%s", err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Types)) {
		checkType(name, "types."+name, bad)
		if wrong, ok := errors.AsType[*task.InvalidError](queue.CheckRules(c.Types[name])); ok {
			bad.Fields = append(bad.Fields, wrong.Within("types."+name).Fields...)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Schedules)) {
		c.checkSchedule(name, bad)
	}
	c.Handlers.check(c.MaxPayloadBytes, bad)
	if c.Workers > 0 && slices.Contains(need, "handlers") {
		c.Handlers.find(bad)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Webhooks)) {
		c.Webhooks[name].check(name, bad)
	}
}

// webhookName is what a webhook may be called: its name is part of that of a task type.
var webhookName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`)

func (h Webhook) check(name string, bad *task.InvalidError) {
	field := "webhooks." + name
	if !webhookName.MatchString(name) {
		bad.Add(field, "the name must be made of up to 100 letters, digits, _ and -")
	}
	for _, event := range h.Names() {
		if !slices.Contains(task.EventNames, event) {
			names := make([]string, len(task.EventNames))
			for i, n := range task.EventNames {
				names[i] = string(n)
			}
			bad.Add(field+".events", "unknown event %q: use some of %s", event, strings.Join(names, ", "))
		}
	}
	for _, taskType := range h.Types {
		checkType(taskType, field+".types", bad)
	}
	HTTP{URL: h.URL, Headers: h.Headers, AllowNetworks: h.AllowNetworks, Secrets: h.Secrets, TimeoutSeconds: h.TimeoutSeconds}.check(field, bad)
}

func (c Config) checkSchedule(name string, bad *task.InvalidError) {
	_, err := schedule.Check(name, c.Schedules[name], func(t task.Spec) (task.Task, error) {
		return t.Task(time.Time{}, task.Limits{MaxAttempts: queue.MaxAttempts, PayloadBytes: c.MaxPayloadBytes})
	})
	if wrong, ok := errors.AsType[*task.InvalidError](err); ok {
		bad.Fields = append(bad.Fields, wrong.Within("schedules."+name).Fields...)
	}
}

func (c Config) checkWorker(bad *task.InvalidError) {
	if msg := task.CheckName(c.WorkerID, 200); c.WorkerID != "" && msg != "" {
		bad.Add("worker_id", "%s", msg)
	}
	if !c.SchedulingStrategy.Valid() {
		bad.Add("scheduling_strategy", "unknown strategy %q: use one of %s", c.SchedulingStrategy, task.StrategyNames())
	}
	between(c.LeaseDurationSeconds, task.MinLease.Seconds(), task.MaxLease.Seconds(), "lease_duration_seconds", bad)
	between(c.PollIntervalSeconds, 0.01, 3600, "poll_interval_seconds", bad)
	between(float64(c.MaxRetries), 0, 100, "max_retries", bad)
	between(float64(c.Workers), 0, 1000, "workers", bad)
}

func (c Config) checkServer(bad *task.InvalidError) {
	if msg := checkDatabase(c.Database); msg != "" {
		bad.Add("database", "%s", msg)
	}
	if msg := checkAddr(c.Addr); msg != "" {
		bad.Add("addr", "%s", msg)
	}
	for _, host := range c.AllowedHosts {
		if host == "" || strings.ContainsAny(host, ":/ *") {
			bad.Add("allowed_hosts", "%q must be the name of a host, without a scheme or port", host)
		}
	}
	c.checkTLS(bad)
	if !isHTTP(c.Server) {
		bad.Add("server", "must be a URL like http://127.0.0.1:8000")
	}
	if _, _, err := task.ParseAPIKey(c.APIKey); c.APIKey != "" && err != nil {
		bad.Add("api_key", "must be a key as thequeue keys create shows it: tq_, 12 letters and digits, _ and 43 more")
	}
	between(float64(c.MaxWaiting), 1, 1e6, "max_waiting", bad)
	between(float64(c.MaxWaitingOfOne), 1, 1e6, "max_waiting_of_one", bad)
	between(c.ShutdownGraceSeconds, 0, 3600, "shutdown_grace_seconds", bad)
	between(c.IdempotencySeconds, 60, 30*86400, "idempotency_seconds", bad)
	between(c.Logs.RetentionDays, 0, 36500, "logs.retention_days", bad)
	between(float64(c.MaxPayloadBytes), 2, 1<<30, "max_payload_bytes", bad)
	between(float64(c.MaxBodyBytes), 1024, 1<<30, "max_body_bytes", bad)
	if c.MaxBodyBytes >= 1024 && c.MaxBodyBytes < c.MaxPayloadBytes {
		bad.Add("max_body_bytes", "must not be less than max_payload_bytes (%d): the payload comes in the body", c.MaxPayloadBytes)
	}
	if c.Tracing.OTLPEndpoint != "" && !isHTTP(c.Tracing.OTLPEndpoint) {
		bad.Add("tracing.otlp_endpoint", "must be a URL like http://127.0.0.1:4318")
	}
	between(c.Tracing.SampleRatio, 0, 1, "tracing.sample_ratio", bad)
	c.Backups.check(bad)
	c.checkWords(bad)
}

// shortestInterval is the least time from one scheduled backup to the next.
const shortestInterval = time.Minute

func (b Backups) check(bad *task.InvalidError) {
	if hasNUL(b.Directory) {
		bad.Add("backups.directory", "must not hold NUL")
	}
	if d, ok := task.ParseAge(b.Every); b.Every != "" && (!ok || d < shortestInterval) {
		bad.Add("backups.every", "must be a length of time of a minute or more in w, d, h, m and s, such as 12h or 1d")
	}
	if _, err := schedule.Parse(b.Cron, time.UTC); b.Cron != "" && err != nil {
		bad.Add("backups.cron", "%s", err)
	}
	if b.Every != "" && b.Cron != "" {
		bad.Add("backups.cron", "goes without backups.every: leave one of them out")
	}
	between(float64(b.Keep), 1, 10000, "backups.keep", bad)
}

// checkWords looks at the fields that have an of tag.
func (c Config) checkWords(bad *task.InvalidError) {
	v := reflect.ValueOf(c)
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag
		if of := tag.Get("of"); of != "" {
			oneOf(v.Field(i).String(), strings.Split(of, ","), keyOf(tag), bad)
		}
	}
}

func (h Handlers) check(maxResult int, bad *task.InvalidError) {
	for _, name := range slices.Sorted(maps.Keys(h.Exec)) {
		checkType(name, "handlers.exec."+name, bad)
		h.Exec[name].check("handlers.exec."+name, maxResult, bad)
	}
	for _, name := range slices.Sorted(maps.Keys(h.HTTP)) {
		field := "handlers.http." + name
		checkType(name, field, bad)
		if _, twice := h.Exec[name]; twice {
			bad.Add(field, "this type has a handler in handlers.exec already")
		}
		h.HTTP[name].check(field, bad)
	}
}

func (e Exec) check(field string, maxResult int, bad *task.InvalidError) {
	if len(e.Command) == 0 || e.Command[0] == "" {
		bad.Add(field+".command", "is required: a program, and its arguments")
	}
	if err := worker.CheckTemplates(e.Command); err != nil {
		bad.Add(field+".command", "%s", err)
	}
	if slices.ContainsFunc(append(slices.Clone(e.Command), e.Dir), hasNUL) {
		bad.Add(field+".command", "must not hold NUL, nor must dir")
	}
	for _, name := range slices.Sorted(maps.Keys(e.Env)) {
		switch {
		case name == "" || strings.ContainsAny(name, "=\x00"):
			bad.Add(field+".env", "%q cannot be the name of a variable", name)
		case hasNUL(e.Env[name]):
			bad.Add(field+".env."+name, "must not hold NUL")
		case strings.Contains(e.Env[name], placeholder):
			bad.Add(field+".env."+name, "has a placeholder, which is filled in arguments of the command alone; the payload comes on standard input too")
		}
	}
	if strings.Contains(e.Dir, placeholder) {
		bad.Add(field+".dir", "has a placeholder, which is filled in arguments of the command alone")
	}
	between(e.TimeoutSeconds, 0, task.MaxTimeout.Seconds(), field+".timeout_seconds", bad)
	between(float64(e.MaxOutputBytes), 0, 1<<30, field+".max_output_bytes", bad)
	if e.MaxOutputBytes > maxResult && e.MaxOutputBytes <= 1<<30 {
		bad.Add(field+".max_output_bytes", "must not be more than max_payload_bytes (%d), which bounds results too", maxResult)
	}
}

// placeholder begins what stands for a value of the payload in an argument of a command. Elsewhere nothing fills it in.
const placeholder = "{{payload"

func hasNUL(s string) bool { return strings.ContainsRune(s, 0) }

// RFC 9110 5.1 and 5.5.
var (
	headerName  = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
	headerValue = regexp.MustCompile(`^[^\x00-\x08\x0a-\x1f\x7f]*$`)
)

func (h HTTP) check(field string, bad *task.InvalidError) {
	if !isHTTP(h.URL) {
		bad.Add(field+".url", "must be a URL like https://example.com/hook")
	} else if strings.Contains(h.URL, placeholder) {
		bad.Add(field+".url", "has a placeholder, which is not filled in here: the payload is the body of the request")
	}
	for _, name := range slices.Sorted(maps.Keys(h.Headers)) {
		switch {
		case !headerName.MatchString(name):
			bad.Add(field+".headers", "%q cannot be the name of a header", name)
		case strings.EqualFold(name, "Host"):
			bad.Add(field+".headers."+name, "cannot be set: it is the host of the URL")
		case !headerValue.MatchString(h.Headers[name]):
			bad.Add(field+".headers."+name, "must be one line without control characters")
		case strings.Contains(h.Headers[name], placeholder):
			bad.Add(field+".headers."+name, "has a placeholder, which is not filled in here: the payload is the body of the request")
		}
	}
	if _, err := h.Networks(); err != nil {
		bad.Add(field+".allow_networks", "%s", err)
	}
	for i, secret := range h.Secrets {
		if _, err := worker.ParseSecret(secret); err != nil {
			bad.Add(fmt.Sprintf("%s.secrets[%d]", field, i), "%s", err)
		}
	}
	between(h.TimeoutSeconds, 0, task.MaxTimeout.Seconds(), field+".timeout_seconds", bad)
}

// Networks reads allow_networks: networks in CIDR notation, or single addresses.
func (h HTTP) Networks() ([]netip.Prefix, error) {
	out := make([]netip.Prefix, len(h.AllowNetworks))
	for i, text := range h.AllowNetworks {
		p, err := netip.ParsePrefix(text)
		if a, addrErr := netip.ParseAddr(text); addrErr == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("%q is not a network like 10.0.0.0/8, nor an address", text)
		}
		out[i] = p.Masked()
	}
	return out, nil
}

// connectionString knows the other form in which libpq is told where a database is, or a URL whose slashes are missing. As a path it would show its
// password; a file that has such a name can be written ./name.
var connectionString = regexp.MustCompile(`(?i)(?:^|\s)(?:host|hostaddr|port|user|password|passfile|dbname|service|sslmode)\s*=|^postgres(?:ql)?:(?:[^/]|/[^/]|$)`)

// checkDatabase says what is wrong without repeating the text: there may be a password in it.
func checkDatabase(database string) string {
	scheme, _, isURL := strings.Cut(database, "://")
	switch {
	case strings.ContainsRune(database, 0):
		return "must not hold NUL"
	case connectionString.MatchString(database):
		return "is a connection string: write it as a URL like postgres://user:password@host:5432/name"
	case strings.HasPrefix(strings.ToLower(database), "file:"):
		return "must be the plain path of a SQLite file, not a file: URI"
	case database == ":memory:":
		return "must be the path of a SQLite file: tasks in memory would be lost with the process"
	case IsPostgres(database):
		if u, err := url.Parse(database); err != nil || u.Host == "" && u.Query().Get("host") == "" {
			return "must be a URL like postgres://user:password@host:5432/name (special characters of a password percent-encoded)"
		}
	case isURL && !strings.ContainsAny(scheme, `/\`):
		return fmt.Sprintf("must be the path of a SQLite file or a postgres:// URL, not %s://", scheme)
	}
	return ""
}

// checkTLS refuses plain HTTP where keys would pass a network, unless it is asked for.
func (c Config) checkTLS(bad *task.InvalidError) {
	files := map[string]string{"tls.cert_file": c.TLS.CertFile, "tls.key_file": c.TLS.KeyFile, "tls.client_ca_file": c.TLS.ClientCAFile, "ca_file": c.CAFile, "client_cert_file": c.ClientCertFile, "client_key_file": c.ClientKeyFile}
	for _, field := range slices.Sorted(maps.Keys(files)) {
		if hasNUL(files[field]) {
			bad.Add(field, "must not hold NUL")
		}
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		bad.Add("tls", "needs both a cert_file and a key_file")
	}
	if c.TLS.ClientCAFile != "" && !c.TLS.On() {
		bad.Add("tls.client_ca_file", "needs a cert_file and a key_file too: clients show certificates by TLS alone")
	}
	if (c.ClientCertFile == "") != (c.ClientKeyFile == "") {
		bad.Add("client_cert_file", "goes with a client_key_file: give both")
	}
	if checkAddr(c.Addr) == "" && !c.OnLoopback() && !c.TLS.On() && !c.PlainHTTP {
		bad.Add("addr", "can be reached by other machines, and keys would pass the network in the clear: give tls.cert_file and tls.key_file, or listen on 127.0.0.1; where a proxy in front speaks TLS, or the network is trusted, say plain_http")
	}
}

// OnLoopback reports whether only this machine can reach the address that the server listens on.
func (c Config) OnLoopback() bool {
	host, _, err := net.SplitHostPort(c.Addr)
	ip, notIP := netip.ParseAddr(host)
	return err == nil && (host == "localhost" || notIP == nil && ip.IsLoopback())
}

func checkAddr(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "must be host:port, like 127.0.0.1:8000"
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return "must have a port between 0 and 65535"
	}
	if strings.ContainsAny(host, "/ \x00@") {
		return "must begin with an address, or the name of one, like 127.0.0.1:8000"
	}
	return ""
}

func checkType(name, field string, bad *task.InvalidError) {
	if msg := task.CheckName(name, 200); msg != "" {
		bad.Add(field, "the task type %s", msg)
	} else if name != strings.TrimSpace(name) {
		bad.Add(field, "the task type must not begin or end with white space")
	}
}

func isHTTP(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

func between(v, low, high float64, field string, bad *task.InvalidError) {
	if math.IsNaN(v) || v < low || v > high {
		bad.Add(field, "must lie between %s and %s", plain(low), plain(high))
	}
}

func plain(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func oneOf(v string, of []string, field string, bad *task.InvalidError) {
	if !slices.Contains(of, v) {
		bad.Add(field, "must be one of %s, not %q", strings.Join(of, ", "), v)
	}
}
