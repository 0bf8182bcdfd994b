package config

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/config.md")

func TestDefaults(t *testing.T) {
	c, err := Load(nil, RoleUp)
	if err != nil {
		t.Fatalf("an empty environment: %v", err)
	}
	if c.Addr != "127.0.0.1:8787" || !c.LocalDaytona() || !c.OfflineModel() || !c.EmbeddedRedis() {
		t.Errorf("defaults = %+v, want everything embedded on 127.0.0.1:8787", c)
	}
	if c.Concurrency < 2 || c.Concurrency > 32 {
		t.Errorf("Concurrency = %d, want 2 to 32", c.Concurrency)
	}
	if !filepath.IsAbs(c.Data) {
		t.Errorf("Data = %q, want an absolute path", c.Data)
	}
}

func TestEveryFaultIsNamedAtOnce(t *testing.T) {
	_, err := Load([]string{
		"SANDPIPER_ADDR=0.0.0.0:80", "SANDPIPER_CONCURRENCY=many", "LOG_LEVEL=loud", "DATABASE_URL=mysql://u:hush@h/d",
		"REDIS_URL=http://x:hush@y", "DAYTONA_API_URL=https://example.org/api", "SANDPIPER_CLAUDE=/no/such/file",
		"SANDPIPER_CONCURENCY=3", "ANTHROPIC_BASE_URL=nonsense",
	}, RoleUp)
	if err == nil {
		t.Fatal("nine faults were taken")
	}
	for _, name := range []string{
		"SANDPIPER_ADDR", "SANDPIPER_CONCURRENCY", "LOG_LEVEL", "DATABASE_URL", "REDIS_URL", "DAYTONA_API_KEY",
		"SANDPIPER_CLAUDE", "SANDPIPER_CONCURENCY", "ANTHROPIC_BASE_URL",
	} {
		if !strings.Contains(err.Error(), name+" ") {
			t.Errorf("the error does not name %s:\n%v", name, err)
		}
	}
	if strings.Contains(err.Error(), "hush") {
		t.Errorf("the error repeats a password:\n%v", err)
	}
}

func TestSeparateProcessesTakeNoEmbeddedDefault(t *testing.T) {
	_, err := Load(nil, RoleWorker)
	for _, name := range []string{"DATABASE_URL", "REDIS_URL", "DAYTONA_API_KEY", "ANTHROPIC_API_KEY"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("a worker without %s: %v", name, err)
		}
	}
}

func TestEveryFormOfRedisIsTakenAndAFaultNamesThem(t *testing.T) {
	for _, url := range []string{
		"redis://:hush@host", "rediss://me:hush@host:6380/1?skip_verify=true", "unix:///run/redis.sock",
		"redis://:hush@a:26379?addr=b:26379&master_name=house", "redis://:hush@a?addr=b:6379",
	} {
		if _, err := Load([]string{"REDIS_URL=" + url}, RoleUp); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, url := range []string{"hush", "redis://:hush@a:b", "redis://:hush@a/1?addr=b:1", "rediss://:hush@a?ca_file=/hush"} {
		_, err := Load([]string{"REDIS_URL=" + url}, RoleUp)
		if err == nil || !strings.HasPrefix(err.Error(), "REDIS_URL ") || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v, want the variable and not its value", url, err)
		}
	}
}

func TestSeparateProcessesTakeNoFile(t *testing.T) {
	for _, role := range []Role{RoleAPI, RoleWorker, RoleMigrate} {
		_, err := Load([]string{"DATABASE_URL=sqlite:/tmp/db"}, role)
		if err == nil || !strings.Contains(err.Error(), "DATABASE_URL must be postgres://") {
			t.Errorf("%s with a SQLite file: %v", role, err)
		}
	}
	for _, url := range []string{"sqlite:/tmp/db", "postgres://u:hush@h/d", "postgresql://u@h/d?host=/run"} {
		c, err := Load([]string{"DATABASE_URL=" + url}, RoleUp)
		if err != nil || c.Postgres() != strings.HasPrefix(url, "postgres") || c.Database() != url {
			t.Errorf("up on %s: Postgres() = %v, Database() = %q, %v", url, c.Postgres(), c.Database(), err)
		}
	}
}

// whole is what a separate process must be given.
var whole = []string{
	"DATABASE_URL=postgres://u@h/d", "REDIS_URL=redis://h", "DAYTONA_API_KEY=dtn_x", "ANTHROPIC_API_KEY=sk-hush",
}

func TestAnAPIForgetsTheKeysOfWorkers(t *testing.T) {
	api, err := Load(whole, RoleAPI)
	if err != nil || api.AnthropicKey.Set() || api.DaytonaKey.Set() {
		t.Errorf("the api holds the key of the model %v, of Daytona %v, %v", api.AnthropicKey.Set(), api.DaytonaKey.Set(), err)
	}
	worker, err := Load(whole, RoleWorker)
	if err != nil || !worker.AnthropicKey.Set() || !worker.DaytonaKey.Set() {
		t.Errorf("the worker holds the key of the model %v, of Daytona %v, %v", worker.AnthropicKey.Set(), worker.DaytonaKey.Set(), err)
	}
}

func TestAnAPINeedsNeitherDaytonaNorTheModel(t *testing.T) {
	for _, vars := range [][]string{whole[:2], append(whole[:2:2], "DAYTONA_API_URL=https://d.example/api")} {
		if _, err := Load(vars, RoleAPI); err != nil {
			t.Errorf("%q: %v", vars, err)
		}
	}
	_, err := Load(append(whole[:2:2], "DAYTONA_API_URL=nonsense"), RoleWorker)
	if err == nil || !strings.Contains(err.Error(), "DAYTONA_API_URL ") {
		t.Errorf("a worker: %v", err)
	}
}

func TestOnlyAWorkerListensEverywhere(t *testing.T) {
	for role, want := range map[Role]bool{RoleAPI: false, RoleWorker: true} {
		_, err := Load(append([]string{"SANDPIPER_ADDR=0.0.0.0:8788"}, whole...), role)
		if (err == nil) != want {
			t.Errorf("%s on every address: %v", role, err)
		}
	}
}

func TestAKeyAloneMeansTheHostedPlatform(t *testing.T) {
	c, err := Load([]string{"DAYTONA_API_KEY=dtn_x"}, RoleUp)
	if err != nil || c.DaytonaURL != "https://app.daytona.io/api" {
		t.Errorf("DaytonaURL = %q, %v", c.DaytonaURL, err)
	}
}

func TestAPartLooksAtItsOwnVariablesOnly(t *testing.T) {
	others := []string{
		"SANDPIPER_ADDR=0.0.0.0:80", "DATABASE_URL=mysql://h/d", "REDIS_URL=http://x", "ANTHROPIC_BASE_URL=nonsense",
		"DAYTONA_API_URL=http://127.0.0.1:3986/api", "DAYTONA_API_KEY=dtn_x",
	}
	c, err := Load(others, RoleDaytona)
	if err != nil || !c.LocalDaytona() || c.DaytonaAddr != "127.0.0.1:3986" || c.DaytonaKey.Reveal() != "dtn_x" {
		t.Errorf("daytona: local %v at %q, %v", c.LocalDaytona(), c.DaytonaAddr, err)
	}
	if c, err = Load(others, RoleModel); err != nil || c.ModelAddr != "127.0.0.1:3987" {
		t.Errorf("model at %q, %v", c.ModelAddr, err)
	}
	for role, vars := range map[Role][]string{
		RoleDaytona: {"SANDPIPER_DAYTONA_ADDR=0.0.0.0:1", "SANDPIPER_CLAUDE=/no/such/file", "SANDPIPER_ISOLATION=strong", "LOG_LEVEL=loud", "LOG_FORMAT=xml"},
		RoleModel:   {"SANDPIPER_MODEL_ADDR=here"},
		RoleMigrate: {"DATABASE_URL="},
	} {
		_, err := Load(vars, role)
		for _, v := range vars {
			if name, _, _ := strings.Cut(v, "="); err == nil || !strings.Contains(err.Error(), name+" ") {
				t.Errorf("%s takes %s: %v", role, v, err)
			}
		}
	}
}

func TestASecretIsNeverShown(t *testing.T) {
	c := Config{AnthropicKey: NewSecret("sk-hush")}
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{fmt.Sprint(c), fmt.Sprintf("%+v %#v %s %q", c, c, c.AnthropicKey, c.AnthropicKey), string(asJSON)} {
		if strings.Contains(shown, "hush") {
			t.Errorf("shown: %s", shown)
		}
	}
}

func TestConfigPageIsFresh(t *testing.T) {
	page := filepath.Join("..", "..", "docs", "config.md")
	if *update {
		if err := os.WriteFile(page, []byte(Markdown()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(page)
	if err != nil || string(have) != Markdown() {
		t.Errorf("docs/config.md is stale (%v): go test ./internal/config -update", err)
	}
}
