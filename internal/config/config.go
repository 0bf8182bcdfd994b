// Package config reads the configuration from the environment, once, and lists every fault of it at once. It is a
// leaf, but for the forms of REDIS_URL: every default stands in a struct tag here and nowhere else, and docs/config.md is
// made from those tags.
package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/caarlos0/env/v11"

	"sandpiper/internal/queue/redisurl"
)

// Role is which program reads the configuration: they differ in what they must be given.
type Role string

// The roles.
const (
	RoleUp     Role = "up"     // everything in one process; whatever is not given is embedded
	RoleAPI    Role = "api"    // takes no embedded default
	RoleWorker Role = "worker" // takes no embedded default

	RoleDaytona Role = "daytona" // the local Daytona alone, for workers to share
	RoleModel   Role = "model"   // the offline model alone
	RoleMigrate Role = "migrate" // the schema of a Postgres, which is no process's business but of up

	RoleSnapshot Role = "snapshot" // what an operator does with snapshots: the Daytona and the database of up or of workers
)

// Config is everything that can be set. The zero value is not useful: use Load.
type Config struct {
	Role Role // who reads it; no variable

	Addr  string `env:"SANDPIPER_ADDR" doc:"listen address of the HTTP API, and of a worker's /healthz, /readyz and /metrics; loopback only, unless keys are configured; port 0 picks a free one and prints it" default:"127.0.0.1:8787; worker 127.0.0.1:8788"`
	Data  string `env:"SANDPIPER_DATA" envDefault:".sandpiper" doc:"directory of every embedded default; made when absent; only one up uses it at a time"`
	Hosts string `env:"SANDPIPER_HOSTS" doc:"comma list of host names, besides loopback, under which the API may be called and from whose pages a browser may call it; with keys, an IP address needs no entry"`

	APIKeys   Secret `env:"SANDPIPER_API_KEYS" doc:"who may call the API: entries as sandpiper key new prints them, separated by commas or white space (docs/keys.md). With this or AUTH_JWT_SECRET every request needs a credential, and the API may listen on any address"`
	JWTSecret Secret `env:"AUTH_JWT_SECRET" doc:"secret of JSON web tokens (HS256) that may call the API, at least 32 bytes (docs/keys.md)"`
	Issuer    string `env:"AUTH_ISSUER" doc:"what iss of a token must be; any when unset"`
	Audience  string `env:"AUTH_AUDIENCE" doc:"what aud of a token must hold; tokens with an aud are refused when unset"`

	DatabaseURL Secret `env:"DATABASE_URL" doc:"postgres://user:password@host/database, or in up sqlite:PATH" default:"in up a SQLite file under the data directory"`
	RedisURL    Secret `env:"REDIS_URL" doc:"in up embedded when unset. One server: redis://[user:password@]host[:port][/db]. Behind Sentinels: redis://host:port[/db]?master_name=NAME&addr=host2:port2, a user and a password before the host being the Sentinels', those of the servers the parameters username and password. A Cluster: redis://[user:password@]host:port?addr=host2:port2&addr=host3:port3, a single endpoint being named twice. rediss:// is each of these with TLS; ca_file=PATH names the authorities to believe, skip_verify=true believes anybody. Its maxmemory-policy must be noeviction"`

	DaytonaKey    Secret `env:"DAYTONA_API_KEY" doc:"key of the Daytona API; alone it means the hosted platform; unset, with no URL, sandboxes are local; sandpiper daytona asks its callers for it; an api needs none, and forgets it" default:"none; sandpiper daytona makes one and keeps it in the data directory"`
	DaytonaURL    string `env:"DAYTONA_API_URL" doc:"base URL of the Daytona API, with its /api" default:"https://app.daytona.io/api with a key, else the local Daytona"`
	DaytonaTarget string `env:"DAYTONA_TARGET" doc:"region for new sandboxes; the platform's default when unset"`
	DaytonaAddr   string `env:"SANDPIPER_DAYTONA_ADDR" doc:"where sandpiper daytona, or up, serves the local Daytona; loopback only, but for a sandpiper daytona that is given DAYTONA_API_KEY" default:"127.0.0.1:3986; in up a free loopback port, kept in the data directory"`
	ModelAddr     string `env:"SANDPIPER_MODEL_ADDR" doc:"where sandpiper model, or up, serves the offline model; in up loopback only" default:"127.0.0.1:3987; in up a free loopback port, kept in the data directory"`

	Snapshot string `env:"SANDPIPER_SNAPSHOT" doc:"snapshot for new sandboxes" default:"the local Daytona's own; on a platform its default"`
	Prefix   string `env:"SANDPIPER_SNAPSHOT_PREFIX" envDefault:"sandpiper" doc:"what the names of snapshots begin with that sandpiper snapshot builds and prunes; deployments that share a platform want one each"`
	Claude   string `env:"SANDPIPER_CLAUDE" doc:"path of a claude binary for local sandboxes, any name and version" default:"the pinned one, from npm, in the data directory"`

	AnthropicKey Secret `env:"ANTHROPIC_API_KEY" doc:"key for the model API; alone it means the real API; unset, with no base URL, the offline model answers; an api forgets it"`
	AnthropicURL string `env:"ANTHROPIC_BASE_URL" doc:"base URL of the model API" default:"the real API with a key, else the offline model"`

	Concurrency     int    `env:"SANDPIPER_CONCURRENCY" doc:"running jobs per worker. An eighth of them, one at least, is never given to bulk jobs; a worker with one slot gives it to whatever comes" default:"32; in up at most a third of the memory at 256 MB each, at least 2"`
	UserConcurrency int    `env:"SANDPIPER_USER_CONCURRENCY" envDefault:"0" doc:"how many jobs of one user may run at once, all workers together, 0 to 10000; others of that user wait, and waitingFor says so. The same for all workers. 0: as many as there are slots"`
	Retries         int    `env:"SANDPIPER_CLAUDE_RETRIES" envDefault:"2" doc:"how often the command asks the model API again by itself, 0 to 15, before the job goes back to the queue"`
	KeyHours        int    `env:"SANDPIPER_IDEMPOTENCY_HOURS" envDefault:"24" doc:"hours for which an Idempotency-Key is kept, 1 to 8760; what comes with it later is a new request"`
	Isolation       string `env:"SANDPIPER_ISOLATION" envDefault:"auto" doc:"auto: local sandboxes use bubblewrap where it works; none: they never do"`

	GatherMillis int `env:"SANDPIPER_GATHER_MS" envDefault:"250" doc:"how many milliseconds a run's output is gathered before it is shown, 1 to 10000: more makes fewer requests to the platform and fewer commits, and shows progress later. It never holds up the end of a job"`

	KeepEvents int `env:"SANDPIPER_KEEP_EVENTS_DAYS" envDefault:"30" doc:"how many days the events of an ended job are kept; the job, its result and its last event stay. 0: for ever"`
	KeepRuns   int `env:"SANDPIPER_KEEP_RUNS_DAYS" envDefault:"7" doc:"how many days the files of a run (its prompt and its output) stay in a sandbox that lives so long. 0: as long as the sandbox"`

	IdleMinutes int `env:"SANDPIPER_IDLE_MINUTES" envDefault:"60" doc:"how many minutes a sandbox may be idle before it is deleted, with its files and the conversations in it, 0 to 5256000; one that a queued job names is kept. 0: until the platform deletes it, a day after it stopped it"`

	MaxSandboxes     int `env:"SANDPIPER_MAX_SANDBOXES" envDefault:"0" doc:"how many sandboxes may exist at once, of all users together, 0 to 100000. Beyond it the one that has been idle for longest is deleted; where none is, jobs wait, and waitingFor says so. An eighth of them, one at least, is not made for bulk jobs. The same for all processes. 0: any number"`
	MaxUserSandboxes int `env:"SANDPIPER_MAX_USER_SANDBOXES" envDefault:"0" doc:"how many sandboxes of one user may exist at once, 0 to 10000; more jobs of that user wait. The same for all processes. 0: any number"`

	WarmSandboxes int `env:"SANDPIPER_WARM_SANDBOXES" envDefault:"0" doc:"how many sandboxes are kept ready at most for users who have none idle, 0 to 1000, so that no person's job waits for one to be made. As many as users took at once lately, one at least; they belong to nobody until a job takes one, count as sandboxes, and are the first to be given up. Each costs what an idle sandbox costs. The same for all workers. 0: none"`

	Executor string `env:"SANDPIPER_EXECUTOR" envDefault:"sandbox" doc:"sandbox; or noop, for load tests: no sandbox and no command, the answer is the input padded to 1,024 bytes"`

	LogFormat string `env:"LOG_FORMAT" doc:"text or json" default:"text on a terminal, else json"`
	LogLevel  string `env:"LOG_LEVEL" envDefault:"info" doc:"debug, info, warn or error"`
}

// Load reads the variables in environ (as os.Environ gives them) for a role. Its error names every fault, one a
// line, each with the variable.
func Load(environ []string, role Role) (Config, error) {
	c := Config{Role: role}
	vars := env.ToMap(environ)
	parsed := env.ParseWithOptions(&c, env.Options{Environment: vars})
	faults := append(unpack(parsed), unknown(vars)...)
	c.fill(role)
	faults = append(faults, c.validate(role)...)
	return c, errors.Join(faults...)
}

// fill sets the defaults that depend on other values.
func (c *Config) fill(role Role) {
	if c.Addr == "" {
		c.Addr = "127.0.0.1:8787"
		if role == RoleWorker {
			c.Addr = "127.0.0.1:8788"
		}
	}
	if c.Concurrency == 0 {
		c.Concurrency = defaultConcurrency(role)
	}
	if c.DaytonaURL == "" && c.DaytonaKey.Set() {
		c.DaytonaURL = "https://app.daytona.io/api"
	}
	if abs, err := filepath.Abs(c.Data); err == nil {
		c.Data = abs
	}
	if role == RoleAPI {
		// Whoever takes requests from everybody does not hold what only workers use.
		c.AnthropicKey, c.AnthropicURL = Secret{}, ""
		c.DaytonaKey, c.DaytonaURL = Secret{}, ""
	}
	c.fillPart(role)
}

// LocalDaytona reports whether sandboxes are processes on this machine.
func (c Config) LocalDaytona() bool { return c.DaytonaURL == "" }

// OfflineModel reports whether the stand-in model answers.
func (c Config) OfflineModel() bool { return !c.AnthropicKey.Set() && c.AnthropicURL == "" }

// Postgres reports whether the database is a server that others may use too, and that may be away.
func (c Config) Postgres() bool {
	return c.DatabaseURL.Set() && !strings.HasPrefix(c.DatabaseURL.Reveal(), "sqlite:")
}

// Database is the URL of the database, with the embedded default.
func (c Config) Database() string {
	if c.DatabaseURL.Set() {
		return c.DatabaseURL.Reveal()
	}
	return "sqlite:" + filepath.Join(c.Data, "sandpiper.db")
}

// EmbeddedRedis reports whether Redis lives in this process.
func (c Config) EmbeddedRedis() bool { return !c.RedisURL.Set() }

// Noop reports whether jobs are answered without a sandbox, for load tests.
func (c Config) Noop() bool { return c.Executor == "noop" }

// HostList is Hosts, split.
func (c Config) HostList() []string {
	return strings.FieldsFunc(c.Hosts, func(r rune) bool { return r == ',' || r == ' ' })
}

func (c Config) validate(role Role) []error {
	var faults []error
	check := func(name string, err error) {
		if err != nil {
			faults = append(faults, fmt.Errorf("%s %w", name, err))
		}
	}
	if role.part() {
		return c.validatePart(role)
	}
	check("SANDPIPER_ADDR", validAddr(c.Addr, role != RoleWorker && !c.Keyed())) // a worker tells nothing that is anybody's own
	check("SANDPIPER_DAYTONA_ADDR", validAddr(c.DaytonaAddr, true))
	check("SANDPIPER_MODEL_ADDR", validAddr(c.ModelAddr, true))
	check("DAYTONA_API_URL", validURL(c.DaytonaURL, "http", "https"))
	check("ANTHROPIC_BASE_URL", validURL(c.AnthropicURL, "http", "https"))
	check("REDIS_URL", validRedis(c.RedisURL))
	check("DATABASE_URL", validDatabase(c.DatabaseURL.Reveal(), role))
	check("SANDPIPER_CLAUDE", validFile(c.Claude))
	check("SANDPIPER_CONCURRENCY", within(c.Concurrency, 1, 10_000))
	check("SANDPIPER_USER_CONCURRENCY", within(c.UserConcurrency, 0, 10_000))
	check("SANDPIPER_CLAUDE_RETRIES", within(c.Retries, 0, 15))
	check("SANDPIPER_IDEMPOTENCY_HOURS", within(c.KeyHours, 1, 8760))
	check("SANDPIPER_KEEP_EVENTS_DAYS", within(c.KeepEvents, 0, 36_500))
	check("SANDPIPER_GATHER_MS", within(c.GatherMillis, 1, 10_000))
	check("SANDPIPER_KEEP_RUNS_DAYS", within(c.KeepRuns, 0, 36_500))
	check("SANDPIPER_IDLE_MINUTES", within(c.IdleMinutes, 0, 5_256_000))
	check("SANDPIPER_MAX_SANDBOXES", within(c.MaxSandboxes, 0, 100_000))
	check("SANDPIPER_MAX_USER_SANDBOXES", within(c.MaxUserSandboxes, 0, 10_000))
	check("SANDPIPER_WARM_SANDBOXES", within(c.WarmSandboxes, 0, 1000))
	check("SANDPIPER_ISOLATION", oneOf(c.Isolation, "auto", "none"))
	check("SANDPIPER_EXECUTOR", oneOf(c.Executor, "sandbox", "noop"))
	c.validKeys(check)
	check("LOG_FORMAT", oneOf(c.LogFormat, "", "text", "json"))
	check("LOG_LEVEL", oneOf(c.LogLevel, "debug", "info", "warn", "error"))
	if !c.DaytonaKey.Set() && c.DaytonaURL != "" {
		check("DAYTONA_API_KEY", errors.New("must be set when DAYTONA_API_URL is"))
	}
	return append(faults, c.missing(role)...)
}

// missing names what a process that takes no embedded default must be given.
func (c Config) missing(role Role) []error {
	if role == RoleUp {
		return nil
	}
	var faults []error
	need := func(name string, set bool) {
		if !set {
			faults = append(faults, fmt.Errorf("%s must be set: only `sandpiper up` embeds a default", name))
		}
	}
	need("DATABASE_URL", c.DatabaseURL.Set())
	need("REDIS_URL", c.RedisURL.Set())
	if role == RoleWorker {
		need("DAYTONA_API_KEY", c.DaytonaKey.Set())
		need("ANTHROPIC_API_KEY", c.AnthropicKey.Set())
	}
	return faults
}

// validAddr checks a listen address. Without keys the API trusts whoever can reach it, so only loopback will do.
func validAddr(addr string, loopback bool) error {
	if addr == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return errors.New(`must be HOST:PORT, such as "127.0.0.1:8787"`)
	}
	if ip := net.ParseIP(host); loopback && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return errors.New("must be a loopback address: whoever can reach it may use it. With keys (SANDPIPER_API_KEYS, AUTH_JWT_SECRET) the API may listen on any")
	}
	return nil
}

func validURL(raw string, schemes ...string) error {
	if raw == "" {
		return nil
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || oneOf(u.Scheme, schemes...) != nil {
		// The value is not repeated: it may hold a password.
		return fmt.Errorf("must be a URL that starts with %s://", strings.Join(schemes, ":// or "))
	}
	return nil
}

// validRedis does not repeat the value, which may hold a password.
func validRedis(url Secret) error {
	if !url.Set() {
		return nil
	}
	_, err := redisurl.Parse(url.Reveal())
	return err
}

// validDatabase does not repeat the value, which may hold a password.
func validDatabase(raw string, role Role) error {
	postgres := strings.HasPrefix(raw, "postgres://") || strings.HasPrefix(raw, "postgresql://")
	switch {
	case raw == "", postgres:
		return validURL(raw, "postgres", "postgresql")
	case strings.HasPrefix(raw, "sqlite:") && role != RoleUp:
		return errors.New("must be postgres://…: a SQLite file is for one process, `sandpiper up`, which keeps its schema too")
	case raw == "sqlite:" || !strings.HasPrefix(raw, "sqlite:"):
		return errors.New("must be postgres://… or sqlite:PATH")
	}
	return nil
}

func validFile(path string) error {
	if path == "" {
		return nil
	}
	info, err := os.Stat(path)
	if err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
		return errors.New("must be the path of an executable file")
	}
	return nil
}

func within(n, lo, hi int) error {
	if n < lo || n > hi {
		return fmt.Errorf("must be %d to %d", lo, hi)
	}
	return nil
}

func oneOf(v string, allowed ...string) error {
	for _, a := range allowed {
		if v == a {
			return nil
		}
	}
	return fmt.Errorf("must be one of %s", strings.Join(nonEmpty(allowed), ", "))
}

func nonEmpty(words []string) []string {
	var out []string
	for _, w := range words {
		if w != "" {
			out = append(out, w)
		}
	}
	return out
}
