package config_test

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prismq/thequeue/internal/config"
	"github.com/prismq/thequeue/internal/task"
)

// environment returns a getenv with these variables; HOME is always set.
func environment(vars map[string]string) func(string) string {
	return func(name string) string {
		if v, ok := vars[name]; ok || name != "HOME" {
			return v
		}
		return filepath.Join(string(filepath.Separator), "home", "ada")
	}
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, name, text string) (config.Config, error) {
	t.Helper()
	return config.Load(config.Source{File: write(t, name, text), Getenv: environment(nil)})
}

// problems returns field: message of every complaint in err, sorted.
func problems(t *testing.T, err error) []string {
	t.Helper()
	bad, ok := errors.AsType[*task.InvalidError](err)
	if !ok {
		t.Fatalf("got %v, want an InvalidError", err)
	}
	out := map[string]bool{}
	for _, f := range bad.Fields {
		out[f.Field+": "+f.Message] = true
	}
	return slices.Sorted(maps.Keys(out))
}

// A 0 is no default, and a key that is not known is an error however deep it stands.
func TestRulesOfTypesAreReadToTheirLastMember(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"c.json": `{"types": {"a": {"rate_limit": {"tasks": 1, "per_seconds": 0.0, "burst": 0}, "breaker": {"failure_share": 0, "min_attempts": 0, "window_seconds": 0, "open_seconds": 0},
			"per_key": {"rate_limit": {"tasks": 1, "bursts": 2}, "weights": {"k": 0}}}, "b": {"breaker": 5, "retention": {"completed": 1}}}}`,
		"c.yaml": "types:\n  a:\n    rate_limit: {tasks: 1, per_seconds: 0.0, burst: 0}\n    breaker: {failure_share: 0, min_attempts: 0, window_seconds: 0, open_seconds: 0}\n    per_key: {rate_limit: {tasks: 1, bursts: 2}, weights: {k: 0}}\n" +
			"  b: {breaker: 5, retention: {completed: 1}}\n",
		"c.toml": "[types.a]\nrate_limit = {tasks = 1, per_seconds = 0.0, burst = 0}\nbreaker = {failure_share = 0, min_attempts = 0, window_seconds = 0, open_seconds = 0}\nper_key = {rate_limit = {tasks = 1, bursts = 2}, weights = {k = 0}}\n" +
			"[types.b]\nbreaker = 5\nretention = {completed = 1}\n",
	}
	want := []string{
		"types.a.breaker.failure_share: must be greater than 0", "types.a.breaker.min_attempts: must lie between 1 and 10000", "types.a.breaker.open_seconds: must lie between 1 and 86400",
		"types.a.breaker.window_seconds: must lie between 1 and 3600", "types.a.per_key.rate_limit.bursts: unknown key", `types.a.per_key.weights["k"]: must lie between 1 and 1000`,
		"types.a.rate_limit.burst: must lie between 1 and 1000000", "types.a.rate_limit.per_seconds: must be greater than 0", "types.b.breaker: must be an object with keys", "types.b.retention.completed: unknown key",
	}
	for name, text := range files {
		_, err := load(t, name, text)
		got := problems(t, err)
		for i := range got {
			if i >= len(want) || !strings.HasPrefix(got[i], want[i]) {
				t.Errorf("%s: got %q, want %q", name, got, want)
				break
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: %d problems, want %d: %q", name, len(got), len(want), got)
		}
	}
	c, err := load(t, "c.yaml", "types:\n  a: {rate_limit: {tasks: 5}, breaker: {}, per_key: null}\n")
	if err != nil {
		t.Fatal(err)
	}
	if a := c.Types["a"]; *a.RateLimit != (task.RateLimit{Tasks: 5}) || *a.Breaker != (task.Breaker{}) || a.PerKey != nil {
		t.Errorf("got %+v", a)
	}
}

// YAML 1.2 knows 1e3 as a number, in quotes and as a key as a text.
func TestNumbersWithAnExponentInYAML(t *testing.T) {
	t.Parallel()
	c, err := load(t, "c.yaml", "poll_interval_seconds: 1e1\nlease_duration_seconds: 1E+2\nshutdown_grace_seconds: 2.5e1\nmax_retries: 1e1\nworker_id: \"1e3\"\ncapabilities: {a: [1e3, -2e2, '1e3', 5e-1], 1e3: 1e3x, b: 1e3}\n")
	if err != nil {
		t.Fatal(err)
	}
	if c.PollIntervalSeconds != 10 || c.LeaseDurationSeconds != 100 || c.ShutdownGraceSeconds != 25 || c.MaxRetries != 10 || c.WorkerID != "1e3" {
		t.Errorf("got %v, %v, %v, %d, %q", c.PollIntervalSeconds, c.LeaseDurationSeconds, c.ShutdownGraceSeconds, c.MaxRetries, c.WorkerID)
	}
	if got, err := json.Marshal(c.Capabilities); err != nil || string(got) != `{"1e3":"1e3x","a":[1000,-200,"1e3",0.5],"b":1000}` {
		t.Errorf("got %s, %v", got, err)
	}
	if _, err := load(t, "c.yaml", "poll_interval_seconds: 1e999\n"); err == nil || !strings.Contains(err.Error(), "poll_interval_seconds: must be a number (line 1)") {
		t.Errorf("1e999: %v", err)
	}
}

func TestDefaultsAreThoseOfTheContract(t *testing.T) {
	t.Parallel()
	c, err := config.Load(config.Source{Getenv: environment(nil)})
	if err != nil {
		t.Fatal(err)
	}
	c.Database = ""
	want := config.Config{
		SchedulingStrategy: "priority", LeaseDurationSeconds: 60, PollIntervalSeconds: 1, MaxRetries: 3, Workers: 4,
		Addr: "127.0.0.1:8000", Server: "http://127.0.0.1:8000", ShutdownGraceSeconds: 10, MaxWaiting: 10000, MaxWaitingOfOne: 1000, IdempotencySeconds: 86400,
		MaxPayloadBytes: 1 << 20, MaxBodyBytes: 2 << 20, Tracing: config.Tracing{SampleRatio: 1}, Backups: config.Backups{Keep: 10}, LogLevel: "info", LogFormat: "text",
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
}

var sameInThreeFormats = map[string]string{
	"c.json": `{
	"worker_id": "w1",
	"capabilities": {"gpu": true, "memory_gb": 64, "regions": ["eu", "us"]},
	"lease_duration_seconds": 90,
	"poll_interval_seconds": 0.5,
	"retry": {"mail": {"max_seconds": 60}},
	"handlers": {
		"exec": {"resize": {"command": ["ABS", "-x"], "env": {"LANG": "C"}, "timeout_seconds": 5}},
		"http": {"hook": {"url": "https://example.com/h", "headers": {"X-Key": "k"}}}
	}
}`,
	"c.yaml": `
worker_id: w1
capabilities: {gpu: true, memory_gb: 64, regions: [eu, us]}
lease_duration_seconds: 90
poll_interval_seconds: 0.5
retry:
  mail: {max_seconds: 60}
handlers:
  exec:
    resize:
      command: ["ABS", -x]
      env: {LANG: C}
      timeout_seconds: 5
  http:
    hook: {url: "https://example.com/h", headers: {X-Key: k}}
`,
	"c.toml": `
worker_id = "w1"
capabilities = { gpu = true, memory_gb = 64, regions = ["eu", "us"] }
lease_duration_seconds = 90
poll_interval_seconds = 0.5
[retry.mail]
max_seconds = 60
[handlers.exec.resize]
command = ["ABS", "-x"]
env = { LANG = "C" }
timeout_seconds = 5
[handlers.http.hook]
url = "https://example.com/h"
headers = { X-Key = "k" }
`,
}

func TestLoadReadsThreeFormats(t *testing.T) {
	t.Parallel()
	program := "/bin/resize"
	if runtime.GOOS == "windows" {
		program = "C:/resize.exe"
	}
	want := config.Default(environment(nil))
	want.WorkerID, want.LeaseDurationSeconds, want.PollIntervalSeconds = "w1", 90, 0.5
	want.Retry = map[string]task.Backoff{"mail": {InitialSeconds: 1, Multiplier: 2, MaxSeconds: 60, Jitter: 0.1}}
	want.Handlers = config.Handlers{
		Exec: map[string]config.Exec{"resize": {Command: []string{program, "-x"}, Env: map[string]string{"LANG": "C"}, TimeoutSeconds: 5}},
		HTTP: map[string]config.HTTP{"hook": {URL: "https://example.com/h", Headers: map[string]string{"X-Key": "k"}}},
	}
	for name, text := range sameInThreeFormats {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := load(t, name, strings.ReplaceAll(text, "ABS", program))
			if err != nil {
				t.Fatal(err)
			}
			needs, err := task.ParseRequirements(`{"gpu": true, "memory_gb": {"min": 64, "max": 64}, "regions": ["us", "eu"]}`)
			if err != nil {
				t.Fatal(err)
			}
			if !needs.Satisfied(got.Capabilities) {
				t.Errorf("capabilities %v do not satisfy %v", got.Capabilities, needs)
			}
			got.Capabilities = nil
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLoadNamesEveryProblemAtOnce(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"c.json": "{\n\"worker_idd\": \"w\",\n\"max_retries\": \"three\",\n\"capabilities\": [1],\n\"handlers\": {\n\"exec\": {\"a\": {\n\"comand\": [\"x\"]}}},\n\"retry\": {\"m\": {\n\"jitter\": 7,\n\"factor\": 2}},\n\"scheduling_strategy\": \"random\"}",
		"c.yaml": "\nworker_idd: w\nmax_retries: three\ncapabilities: [1]\nhandlers:\n  exec: {a: {\n    comand: [x]}}\nretry: {m: {\n    jitter: 7,\n    factor: 2}}\nscheduling_strategy: random\n",
		"c.toml": "\nworker_idd = \"w\"\nmax_retries = \"three\"\ncapabilities = [1]\nscheduling_strategy = \"random\"\n[handlers.exec.a]\ncomand = [\"x\"]\n[retry.m]\njitter = 7\nfactor = 2\n",
	}
	want := []string{
		`PRISMQ_WORKERS: must be a whole number`,
		`addr: must be host:port, like 127.0.0.1:8000`,
		`capabilities: must be a JSON object (line 4)`,
		`handlers.exec.a.comand: unknown key (line 7)`,
		`handlers.exec.a.command: is required: a program, and its arguments`,
		`max_retries: must be a whole number (line 3)`,
		`retry.m.factor: unknown key (line 10)`,
		`retry.m: jitter must lie between 0 and 1`,
		`scheduling_strategy: unknown strategy "random": use one of fifo, lifo, priority, weighted_random`,
		`worker_id: is required: name this worker in the file, by PRISMQ_WORKER_ID or by --worker-id`,
		`worker_idd: unknown key (line 2)`,
	}
	for name, text := range files {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load(config.Source{
				File: write(t, name, text), Need: []string{"worker_id"},
				Getenv: environment(map[string]string{"PRISMQ_WORKERS": "many"}),
				Flags:  func(c *config.Config) { c.Addr = "8000" },
			})
			if diff := cmp.Diff(want, problems(t, err)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLoadRefusesFilesItCannotRead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want string }{
		{"c.yaml", "a: [\n", "line 1:"},
		{"c.yaml", "workers: 1\nworkers: 2\n", "line 2: mapping key \"workers\" already defined"},
		{"c.json", `{"workers": 1, "workers": 2}`, `mapping key "workers" already defined`},
		{"c.json", "[]", "the file: must be an object with keys"},
		{"c.json", "{\n\"workers\": 1,\nworker_id: a}", "line 3: not valid JSON"},
		{"c.yaml", "worker_id: a\n---\nno_such_key: 1", "more than one document"},
		{"c.toml", "a = \n", "line 1:"},
		{"c.toml", "workers = 1\nworkers = 2\n", "key workers is already defined"},
		{"c.ini", "workers=1", `unknown extension ".ini": use .json, .yaml, .yml or .toml`},
		{"c.yaml", "handlers: 5\n", "handlers: must be an object with keys (line 1)"},
		{"c.yaml", "retry: {a: 5}\n", "retry.a: must be an object with keys"},
		{"c.yaml", "'': 5\n", "unknown key"},
	} {
		if _, err := load(t, c.name, c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %q: got %v, want %q", c.name, c.text, err, c.want)
		}
	}
	missing := filepath.Join(t.TempDir(), "none.yaml")
	if _, err := config.Load(config.Source{File: missing, Getenv: environment(nil)}); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), missing) {
		t.Errorf("missing file: got %v", err)
	}
}

func TestTheExtensionIsLookedAtBeforeTheFile(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "zero")
	_, err := config.Load(config.Source{File: missing, Getenv: environment(nil)})
	if want := missing + `: unknown extension ""`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestAFileHasAtMostFourMebibytes(t *testing.T) {
	t.Parallel()
	longest := "workers = 7\n#" + strings.Repeat("x", 4<<20-13)
	if c, err := load(t, "c.toml", longest); err != nil || c.Workers != 7 {
		t.Errorf("4 MiB: got %d workers, %v", c.Workers, err)
	}
	path := write(t, "c.toml", longest+"x")
	_, err := config.Load(config.Source{File: path, Getenv: environment(nil)})
	if want := path + ": is longer than 4194304 bytes (4 MiB)"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("a byte more: got %v, want %s", err, want)
	}
}

func TestAFileWithoutEndIsNotReadToIt(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "zero.yaml")
	if err := os.Symlink("/dev/zero", path); err != nil || !exists("/dev/zero") {
		t.Skip("there is no /dev/zero here")
	}
	if _, err := config.Load(config.Source{File: path, Getenv: environment(nil)}); err == nil || !strings.Contains(err.Error(), "is longer than") {
		t.Errorf("got %v", err)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestLoadTakesAnEmptyFileForNone(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"c.yaml", "c.toml", "c.json"} {
		if _, err := load(t, name, ""); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLaterSourcesWin(t *testing.T) {
	t.Parallel()
	file := "worker_id: file\nworkers: 2\nlog_level: debug\ndatabase: file.db\n"
	env := map[string]string{"PRISMQ_WORKER_ID": "env", "PRISMQ_WORKERS": "3", "PRISMQ_QUEUE_DB_PATH": "env.db"}
	got, err := config.Load(config.Source{
		File: write(t, "c.yml", file), Getenv: environment(env), Flags: func(c *config.Config) { c.WorkerID = "flag" },
	})
	if err != nil {
		t.Fatal(err)
	}
	have := []any{got.WorkerID, got.Workers, got.LogLevel, got.Database, got.MaxRetries}
	if diff := cmp.Diff([]any{"flag", 3, "debug", "env.db", 3}, have); diff != "" {
		t.Error(diff)
	}
}

func TestEnvironmentSetsEveryWorkerField(t *testing.T) {
	t.Parallel()
	got, err := config.Load(config.Source{Need: []string{"worker_id", "database"}, Getenv: environment(map[string]string{
		"PRISMQ_WORKER_ID": "7", "PRISMQ_CAPABILITIES": `{"gpu": 1}`, "PRISMQ_SCHEDULING_STRATEGY": "lifo", "PRISMQ_LEASE_DURATION_SECONDS": "30",
		"PRISMQ_POLL_INTERVAL_SECONDS": "2", "PRISMQ_MAX_RETRIES": "0", "PRISMQ_DATABASE_URL": "postgres://h/db", "PRISMQ_QUEUE_DB_PATH": "x.db",
		"PRISMQ_SERVER_URL": "https://q.example.com", "PRISMQ_ADDR": "[::1]:0", "PRISMQ_SHUTDOWN_GRACE_SECONDS": "0",
		"PRISMQ_OTLP_ENDPOINT": "https://collector:4318", "PRISMQ_TRACE_SAMPLE_RATIO": "0.25",
	})})
	if err != nil {
		t.Fatal(err)
	}
	needs := task.Requirements{"gpu": 1}
	if !needs.Satisfied(got.Capabilities) {
		t.Errorf("capabilities: %v", got.Capabilities)
	}
	have := []any{got.WorkerID, got.SchedulingStrategy, got.LeaseDurationSeconds, got.PollIntervalSeconds, got.MaxRetries, got.Database, got.Server, got.Addr, got.ShutdownGraceSeconds, got.Tracing}
	want := []any{"7", task.LIFO, 30.0, 2.0, 0, "postgres://h/db", "https://q.example.com", "[::1]:0", 0.0, config.Tracing{OTLPEndpoint: "https://collector:4318", SampleRatio: 0.25}}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Error(diff)
	}
}

func TestValidateChecksEachField(t *testing.T) {
	t.Parallel()
	for field, change := range map[string]func(*config.Config){
		"worker_id":              func(c *config.Config) { c.WorkerID = strings.Repeat("x", 201) },
		"lease_duration_seconds": func(c *config.Config) { c.LeaseDurationSeconds = 43201 },
		"poll_interval_seconds":  func(c *config.Config) { c.PollIntervalSeconds = 0 },
		"max_retries":            func(c *config.Config) { c.MaxRetries = -1 },
		"workers":                func(c *config.Config) { c.Workers = 1001 },
		"database":               func(c *config.Config) { c.Database = "mysql://h/db" },
		"addr":                   func(c *config.Config) { c.Addr = "0.0.0.0:8000" },
		"tls":                    func(c *config.Config) { c.TLS.CertFile = "cert.pem" },
		"tls.client_ca_file":     func(c *config.Config) { c.TLS.ClientCAFile = "ca.pem" },
		"tls.key_file":           func(c *config.Config) { c.TLS = config.TLS{CertFile: "c", KeyFile: "k\x00"} },
		"client_cert_file":       func(c *config.Config) { c.ClientKeyFile = "key.pem" },
		"api_key":                func(c *config.Config) { c.APIKey = "opensesame" },
		"max_waiting":            func(c *config.Config) { c.MaxWaiting = 0 },
		"max_waiting_of_one":     func(c *config.Config) { c.MaxWaitingOfOne = -1 },
		"allowed_hosts":          func(c *config.Config) { c.AllowedHosts = []string{"queue.example.com", "http://h"} },
		"server":                 func(c *config.Config) { c.Server = "127.0.0.1:8000" },
		"tracing.otlp_endpoint":  func(c *config.Config) { c.Tracing.OTLPEndpoint = "collector:4318" },
		"tracing.sample_ratio":   func(c *config.Config) { c.Tracing.SampleRatio = 1.5 },
		"idempotency_seconds":    func(c *config.Config) { c.IdempotencySeconds = 59 },
		"shutdown_grace_seconds": func(c *config.Config) { c.ShutdownGraceSeconds = -1 },
		"max_payload_bytes":      func(c *config.Config) { c.MaxPayloadBytes = 0 },
		"max_body_bytes":         func(c *config.Config) { c.MaxBodyBytes = 0 },
		"log_level":              func(c *config.Config) { c.LogLevel = "loud" },
		"log_format":             func(c *config.Config) { c.LogFormat = "xml" },
		"retry. ":                func(c *config.Config) { c.Retry = map[string]task.Backoff{" ": task.DefaultBackoff} },
		"schedules.s.cron":       func(c *config.Config) { c.Schedules = schedules(func(s *task.ScheduleSpec) { s.Cron = "0 0 30 2 *" }) },
		"schedules.s.timezone":   func(c *config.Config) { c.Schedules = schedules(func(s *task.ScheduleSpec) { s.Timezone = "Mars" }) },
		"schedules.s.misfire":    func(c *config.Config) { c.Schedules = schedules(func(s *task.ScheduleSpec) { s.Misfire = "later" }) },
		"schedules.s.overlap":    func(c *config.Config) { c.Schedules = schedules(func(s *task.ScheduleSpec) { s.Overlap = "queue" }) },
		"schedules.s.jitter_seconds": func(c *config.Config) {
			c.Schedules = schedules(func(s *task.ScheduleSpec) { s.JitterSeconds = new(-1.0) })
		},
		"schedules.s.max_misfires": func(c *config.Config) { c.Schedules = schedules(func(s *task.ScheduleSpec) { s.MaxMisfires = new(0) }) },
		"schedules.s.task.type":    func(c *config.Config) { c.Schedules = schedules(func(s *task.ScheduleSpec) { s.Task.Type = "" }) },
		"schedules.s.task.priority": func(c *config.Config) {
			c.Schedules = schedules(func(s *task.ScheduleSpec) { s.Task.Priority = new(0) })
		},
		"schedules.s.task.idempotency_key": func(c *config.Config) {
			c.Schedules = schedules(func(s *task.ScheduleSpec) { s.Task.IdempotencyKey = new("k") })
		},
		"handlers.exec.a.command": func(c *config.Config) {
			c.Handlers.Exec = map[string]config.Exec{"a": {Command: []string{""}}}
		},
		"handlers.exec.b.command": func(c *config.Config) {
			c.Handlers.Exec = map[string]config.Exec{"b": {Command: []string{"echo", "{{payload}}", "{{payload.a}}", "{{task.id}}"}}}
		},
		"handlers.exec.b.env.B": func(c *config.Config) {
			c.Handlers.Exec = execs(config.Exec{Env: map[string]string{"B": "{{payload.b}}"}})
		},
		"handlers.exec.b.dir":         func(c *config.Config) { c.Handlers.Exec = execs(config.Exec{Dir: "/tmp/{{payload.b}}"}) },
		"handlers.http.b.headers.Key": func(c *config.Config) { c.Handlers.HTTP = hooks("Key", "{{payload.key}}") },
		"handlers.http.u.url": func(c *config.Config) {
			c.Handlers.HTTP = map[string]config.HTTP{"u": {URL: "http://h/{{payload.id}}"}}
		},
		"handlers.exec.d.command": func(c *config.Config) {
			c.Handlers.Exec = map[string]config.Exec{"d": {Command: []string{"{{payload.program}}"}}}
		},
		"handlers.http.s.secrets[0]": func(c *config.Config) {
			c.Handlers.HTTP = map[string]config.HTTP{"s": {URL: "http://h/", Secrets: []string{"whsec_" + strings.Repeat("A", 33)}}} // no base64
		},
		"handlers.exec.b.env":              func(c *config.Config) { c.Handlers.Exec = execs(config.Exec{Env: map[string]string{"A=B": "x"}}) },
		"handlers.exec.b.env.A":            func(c *config.Config) { c.Handlers.Exec = execs(config.Exec{Env: map[string]string{"A": "x\x00"}}) },
		"handlers.exec.b.max_output_bytes": func(c *config.Config) { c.Handlers.Exec = execs(config.Exec{MaxOutputBytes: c.MaxPayloadBytes + 1}) },
		"handlers.http.b.headers":          func(c *config.Config) { c.Handlers.HTTP = hooks("X Y", "z") },
		"handlers.http.b.headers.X":        func(c *config.Config) { c.Handlers.HTTP = hooks("X", "y\nZ: 1") },
		"handlers.http.b.headers.host":     func(c *config.Config) { c.Handlers.HTTP = hooks("host", "h") },
		"handlers.http.a.url":              func(c *config.Config) { c.Handlers.HTTP = map[string]config.HTTP{"a": {URL: "ftp://x"}} },
		"webhooks.a b":                     func(c *config.Config) { c.Webhooks = map[string]config.Webhook{"a b": {URL: "http://h/"}} },
		"webhooks.w.url":                   func(c *config.Config) { c.Webhooks = webhooks(func(w *config.Webhook) { w.URL = "" }) },
		"webhooks.w.events":                func(c *config.Config) { c.Webhooks = webhooks(func(w *config.Webhook) { w.Events = []string{"done"} }) },
		"webhooks.w.types":                 func(c *config.Config) { c.Webhooks = webhooks(func(w *config.Webhook) { w.Types = []string{" a"} }) },
		"webhooks.w.secrets[0]":            func(c *config.Config) { c.Webhooks = webhooks(func(w *config.Webhook) { w.Secrets = []string{"s"} }) },
		"webhooks.w.timeout_seconds":       func(c *config.Config) { c.Webhooks = webhooks(func(w *config.Webhook) { w.TimeoutSeconds = -1 }) },
	} {
		c := config.Default(environment(nil))
		change(&c)
		got := problems(t, c.Validate())
		if len(got) != 1 || !strings.HasPrefix(got[0], field+": ") {
			t.Errorf("%s: got %q", field, got)
		}
	}
}

func schedules(change func(*task.ScheduleSpec)) map[string]task.ScheduleSpec {
	s := task.ScheduleSpec{Cron: "@daily", Task: task.Spec{Type: "t"}}
	change(&s)
	return map[string]task.ScheduleSpec{"s": s}
}

func TestSchedulesAreReadFromEachFormat(t *testing.T) {
	t.Parallel()
	want := map[string]task.ScheduleSpec{
		"hourly": {Cron: "@hourly", Task: task.Spec{Type: "sweep"}},
		"nightly": {
			Cron: "30 2 * * *", Timezone: "Europe/Berlin", Misfire: task.MisfireAll, MaxMisfires: new(3), Overlap: task.OverlapSkip, JitterSeconds: new(1.5), Paused: new(true),
			Task: task.Spec{Type: "report", Priority: new(5), Payload: `{"to":"ada","n":[1,2.5]}`, TimeoutSeconds: new(60.0), RetryPolicy: new(task.JSON(`{"jitter":0}`))},
		},
	}
	for name, text := range map[string]string{
		"c.yaml": `
schedules:
  hourly: {cron: "@hourly", task: {type: sweep}}
  nightly:
    cron: 30 2 * * *
    timezone: Europe/Berlin
    misfire: all
    max_misfires: 3
    overlap: skip
    jitter_seconds: 1.5
    paused: true
    task:
      type: report
      priority: 5
      payload: {to: ada, n: [1, 2.5]}
      timeout_seconds: 60
      retry_policy: {jitter: 0}
`,
		"c.toml": `
[schedules.hourly]
cron = "@hourly"
task = {type = "sweep"}
[schedules.nightly]
cron = "30 2 * * *"
timezone = "Europe/Berlin"
misfire = "all"
max_misfires = 3
overlap = "skip"
jitter_seconds = 1.5
paused = true
task = {type = "report", priority = 5, payload = {to = "ada", n = [1, 2.5]}, timeout_seconds = 60, retry_policy = {jitter = 0}}
`,
		"c.json": `{"schedules": {
	"hourly": {"cron": "@hourly", "task": {"type": "sweep"}},
	"nightly": {"cron": "30 2 * * *", "timezone": "Europe/Berlin", "misfire": "all", "max_misfires": 3, "overlap": "skip", "jitter_seconds": 1.5, "paused": true,
		"task": {"type": "report", "priority": 5, "payload": {"to": "ada", "n": [1, 2.5]}, "timeout_seconds": 60, "retry_policy": {"jitter": 0}}}
}}`,
	} {
		c, err := load(t, name, text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		keys := c.Schedules["nightly"].Task.Payload
		if keys != `{"n":[1,2.5],"to":"ada"}` { // in the order of a map
			t.Errorf("%s: payload %s", name, keys)
		}
		got := c.Schedules["nightly"]
		got.Task.Payload = want["nightly"].Task.Payload
		c.Schedules["nightly"] = got
		if d := cmp.Diff(want, c.Schedules); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
	_, err := load(t, "c.yaml", "schedules:\n  a:\n    cron: 5\n    paused: maybe\n    max_misfires: x\n    task: {type: t, colour: blue, run_after_utc: soon}\n    every: 5\n")
	if d := cmp.Diff([]string{
		"schedules.a.cron: must be a text (line 3)", "schedules.a.cron: must not be empty: write five fields like 0 3 * * *, or six with the second in front",
		"schedules.a.every: unknown key (line 7)", "schedules.a.max_misfires: must be a whole number (line 5)",
		"schedules.a.paused: must be true or false (line 4)", "schedules.a.task.colour: unknown key (line 6)",
		"schedules.a.task.run_after_utc: must be a time like 2026-01-31T08:00:00Z (line 6)",
	}, problems(t, err)); d != "" {
		t.Errorf("problems (-want +got):\n%s", d)
	}
}

func execs(e config.Exec) map[string]config.Exec {
	e.Command = []string{"true"}
	return map[string]config.Exec{"b": e}
}

func hooks(name, value string) map[string]config.HTTP {
	return map[string]config.HTTP{"b": {URL: "http://h/", Headers: map[string]string{name: value}}}
}

// webhooks has one webhook, changed.
func webhooks(change func(*config.Webhook)) map[string]config.Webhook {
	w := config.Webhook{URL: "http://h/", Events: []string{"failed", "lost"}, Types: []string{"a"}}
	change(&w)
	return map[string]config.Webhook{"w": w}
}

func TestATypeHasOneHandler(t *testing.T) {
	t.Parallel()
	_, err := load(t, "c.yaml", "handlers:\n  exec: {a: {command: ["+os.Args[0]+"]}}\n  http: {a: {url: http://h/}}\n")
	if diff := cmp.Diff([]string{"handlers.http.a: this type has a handler in handlers.exec already"}, problems(t, err)); diff != "" {
		t.Error(diff)
	}
}

func TestADatabaseMustBeKnownWhereItIsNeeded(t *testing.T) {
	t.Parallel()
	nothing := func(string) string { return "" }
	if _, err := config.Load(config.Source{Getenv: nothing}); err != nil {
		t.Errorf("not needed: got %v", err)
	}
	_, err := config.Load(config.Source{Getenv: nothing, Need: []string{"database"}})
	if got := problems(t, err); len(got) != 1 || !strings.HasPrefix(got[0], "database: is required") {
		t.Errorf("got %q", got)
	}
}

func TestNoMessageShowsThePassword(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"postgres://u:s3cr3t%@h/db", "postgres://u:s3cr3t@/db", "mysql://u:s3cr3t@h/db", "postgres://u:s3cr3t@h:port/db"} {
		c := config.Default(environment(nil))
		c.Database = url
		if err := c.Validate(); err == nil || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: got %v", url, err)
		}
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"/var/lib/queue.db":                        "/var/lib/queue.db",
		"postgres://u:s3cr3t@h:5432/db":            "postgres://u:xxxxx@h:5432/db",
		"postgresql://h/db?user=u&password=s3cr3t": "postgresql://h/db?password=xxxxx&user=u",
		"postgres://h/db?sslpassword=s3cr3t":       "postgres://h/db?sslpassword=xxxxx",
		"postgres://u:s3cr3t%@h/db":                "postgres://(not a valid URL)",
	} {
		if got := config.Redact(in); got != want {
			t.Errorf("Redact(%s) = %s, want %s", in, got, want)
		}
	}
}

func TestExamplesLoad(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the examples name programs by paths of Unix")
	}
	files, err := filepath.Glob("../../docs/examples/*.*")
	if err != nil || len(files) < 3 {
		t.Fatalf("found %v, %v", files, err)
	}
	for _, file := range files {
		s := config.Source{File: file, Getenv: environment(nil)}
		if strings.Contains(filepath.Base(file), "worker") {
			s.Need = []string{"worker_id"}
		}
		if _, err := config.Load(s); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestWhatIsNoPathIsNotTakenForOne(t *testing.T) {
	t.Parallel()
	for _, database := range []string{
		"host=127.0.0.1 port=5432 password=s3cr3t dbname=q", "dbname=q", "application_name=x password = s3cr3t", "PASSWORD=s3cr3t", "postgres:ada:s3cr3t@h/q", "postgresql:/ada:s3cr3t@h/q",
		"file:foo.db?mode=ro", "File:foo.db", ":memory:",
	} {
		c := config.Default(environment(nil))
		c.Database = database
		if got := problems(t, c.Validate()); len(got) != 1 || !strings.HasPrefix(got[0], "database: ") || strings.Contains(got[0], "s3cr3t") {
			t.Errorf("%s: got %q", database, got)
		}
	}
	for _, path := range []string{"queue.db", "./host=a.db", "/srv/my host/q.db", `C:\q\queue.db`, "postgres.db", "profile:1.db"} {
		c := config.Default(environment(nil))
		c.Database = path
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// Numbers of JSON stay as they are written, and the mark that editors of Windows put in front of a file is no part of it.
func TestNumbersOfJSONAndTheMarkInFront(t *testing.T) {
	t.Parallel()
	c, err := load(t, "c.json", "\ufeff"+`{"worker_id": "w", "poll_interval_seconds": 1e1, "capabilities": {"mem": 1e3, "big": 12345678901234567890123}, "schedules":
		{"x": {"cron": "@daily", "task": {"type": "a", "payload": {"n": 1e3, "k": -2E-1, "d": 0.1234567890123456789, "m": -9223372036854775809}}}}}`)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.Schedules["x"].Task.Payload, task.JSON(`{"d":0.1234567890123456789,"k":-2E-1,"m":-9223372036854775809,"n":1e3}`); got != want {
		t.Errorf("payload %s, want %s", got, want)
	}
	if text, err := json.Marshal(c.Capabilities); err != nil || string(text) != `{"big":12345678901234567890123,"mem":1e3}` {
		t.Errorf("capabilities %s, %v", text, err)
	}
	if c.WorkerID != "w" || c.PollIntervalSeconds != 10 {
		t.Errorf("%q polls every %v", c.WorkerID, c.PollIntervalSeconds)
	}
	for _, name := range []string{"c.yaml", "c.toml"} {
		text := map[string]string{"c.yaml": "worker_id: w\n", "c.toml": "worker_id = 'w'\n"}[name]
		if c, err := load(t, name, "\ufeff"+text); err != nil || c.WorkerID != "w" {
			t.Errorf("%s: %q, %v", name, c.WorkerID, err)
		}
	}
}
