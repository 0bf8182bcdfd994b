package claude

import (
	"encoding/json"
	"flag"
	"math"
	"os"
	"reflect"
	"sync"
	"testing"

	"sandpiper/internal/job"
	"sandpiper/internal/offline/realcli"
	"sandpiper/internal/offline/scripted"
	"sandpiper/snapshot"
)

var update = flag.Bool("update", false, "write prices.json from what the CLI says")

// costOf lets the real CLI add up what a run costs in which each answer reports one of these counts: the full id
// that it has for the model, and USD.
func costOf(t *testing.T, alias string, answers ...scripted.Usage) (id string, usd float64) {
	t.Helper()
	model := scripted.New(t)
	for i, u := range answers {
		answer := scripted.Text("ok")
		if i+1 < len(answers) {
			answer = scripted.Tool("Bash", map[string]any{"command": "echo", "description": "one more request"})
		}
		model.Queue(answer.Using(u))
	}
	out := realcli.Run(t, realcli.Options{URL: model.URL(), Prompt: "price", Args: append(realcli.Flags(alias), "--tools", "Bash")})
	usage, _ := out.Result["modelUsage"].(map[string]any)
	if len(usage) != 1 || len(model.Requests()) != len(answers) {
		t.Fatalf("%s: %d requests, usage %v: %s", alias, len(model.Requests()), usage, out.Text())
	}
	for name, v := range usage {
		id = name
		usd, _ = v.(map[string]any)["costUSD"].(float64)
	}
	if usd == 0 {
		t.Fatalf("%s: no costUSD in %v", alias, usage)
	}
	return id, usd
}

// longOver is where the dearer price of a long prompt begins, where there is one: found by halving, and proven to
// the token by proveEdge.
const longOver = 100_000

// pair finds the prices of all four kinds in two runs, each with n tokens of one kind and one of another. Prices
// are multiples of 0.001 USD per million tokens and below 99 USD, so the cost in 10⁻⁹ USD holds both: the second
// one is what is left when it is divided by n.
func pair(t *testing.T, alias string, n int64) (id string, p tokenPrice) {
	t.Helper()
	two := func(u scripted.Usage) (first, second float64) {
		var usd float64
		id, usd = costOf(t, alias, u)
		digits := int64(math.Round(usd * 1e9))
		return float64(digits/n) / 1000, float64(digits%n) / 1000
	}
	p.Input, p.Output = two(scripted.Usage{InputTokens: n, OutputTokens: 1})
	p.CacheRead, p.CacheWrite = two(scripted.Usage{CacheReadInputTokens: n, CacheCreationInputTokens: 1})
	return id, p
}

// measure finds the prices of one alias in two runs, with prompts just below longOver, and tries a third with a
// million of each kind: more than their sum means that the model has another price for long prompts.
func measure(t *testing.T, alias string) (id string, p modelPrice) {
	t.Helper()
	id, p.tokenPrice = pair(t, alias, longOver-1)
	million := job.ModelUsage{InputTokens: 1e6, OutputTokens: 1e6, CacheReadTokens: 1e6, CacheWriteTokens: 1e6}
	_, usd := costOf(t, alias, reported(million))
	if near(usd, p.of(million)) {
		return id, p
	}
	long := measureLong(t, alias, p.tokenPrice)
	if !near(usd, long.of(million)) {
		t.Errorf("%s: a million of each costs %v USD, and neither %+v nor %+v says so", id, usd, p.tokenPrice, long)
	}
	p.Long = &long
	return id, p
}

// measureLong finds the price of long prompts in two runs, and proves where it begins.
func measureLong(t *testing.T, alias string, short tokenPrice) longPrice {
	t.Helper()
	_, p := pair(t, alias, 1e6)
	proveEdge(t, alias, short, p)
	return longPrice{longOver, p}
}

// proveEdge shows in a run of two requests that the price of long prompts begins behind longOver and counts each
// request by itself.
func proveEdge(t *testing.T, alias string, short, long tokenPrice) {
	t.Helper()
	below := job.ModelUsage{InputTokens: longOver - 20, CacheReadTokens: 10, CacheWriteTokens: 10, OutputTokens: 1000}
	above := below
	above.InputTokens++
	_, usd := costOf(t, alias, reported(below), reported(above))
	if want := short.of(below) + long.of(above); !near(usd, want) {
		t.Errorf("%s: prompts of %d and %d tokens cost %v USD, want %v", alias, prompt(below), prompt(above), usd, want)
	}
}

func reported(u job.ModelUsage) scripted.Usage {
	return scripted.Usage{
		InputTokens: u.InputTokens, OutputTokens: u.OutputTokens,
		CacheReadInputTokens: u.CacheReadTokens, CacheCreationInputTokens: u.CacheWriteTokens,
	}
}

func near(a, b float64) bool { return math.Abs(a-b) < 1e-9 }

// confirm lets the CLI add up a short prompt and a long one, and two at the edge of a price that has one. Of every kind
// there is another number of tokens, with nothing in common, so that one price cannot make up for another.
func confirm(t *testing.T, alias string) (id string) {
	t.Helper()
	short := job.ModelUsage{InputTokens: 50_021, OutputTokens: 11_003, CacheReadTokens: 30_011, CacheWriteTokens: 10_007}
	long := job.ModelUsage{InputTokens: 1_300_021, OutputTokens: 700_001, CacheReadTokens: 2_000_003, CacheWriteTokens: 300_007}
	id, usd := costOf(t, alias, reported(short), reported(long))
	p, known := prices().Models[id]
	if !known {
		t.Fatalf("%s is %s, which prices.json does not have", alias, id)
	}
	dear := p.tokenPrice
	if p.Long != nil {
		dear = p.Long.tokenPrice
	}
	if want := p.of(short) + dear.of(long); !near(usd, want) {
		t.Errorf("%s: a short prompt and a long one cost %v USD, want %v", id, usd, want)
	}
	if p.Long != nil {
		proveEdge(t, alias, p.tokenPrice, p.Long.tokenPrice)
	}
	return id
}

// TestPricesAreWhatTheRealCLISays has the CLI add up what prices.json says; -update measures every price.
func TestPricesAreWhatTheRealCLISays(t *testing.T) {
	t.Parallel()
	found := priceTable{Version: snapshot.ClaudeVersion, Models: map[string]modelPrice{}}
	var mu sync.Mutex
	t.Run("measured", func(t *testing.T) { // ends when all of them have
		for _, alias := range []string{"sonnet", "opus", "haiku"} {
			t.Run(alias, func(t *testing.T) {
				t.Parallel()
				var id string
				var p modelPrice
				if *update {
					id, p = measure(t, alias)
				} else {
					id = confirm(t, alias)
					p = prices().Models[id]
				}
				mu.Lock()
				defer mu.Unlock()
				found.Models[id] = p
			})
		}
	})
	if *update {
		data, err := json.MarshalIndent(found, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("prices.json", append(data, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !reflect.DeepEqual(found, prices()) {
		t.Errorf("the CLI says %+v\nprices.json says %+v\n(go test -run PricesAre -update writes it)", found, prices())
	}
}

func TestPrice(t *testing.T) {
	const plain, tiered = "claude-sonnet-5-5", "claude-haiku-5-5"
	p, cheap := prices().Models[plain], prices().Models[tiered]
	million := job.ModelUsage{Model: plain, InputTokens: 1e6, OutputTokens: 1e6, CacheReadTokens: 1e6, CacheWriteTokens: 1e6}
	all := p.Input + p.Output + p.CacheRead + p.CacheWrite
	for name, tc := range map[string]struct {
		usage []job.ModelUsage
		want  float64 // below 0: no price
	}{
		"a million of each":                {[]job.ModelUsage{million}, all},
		"two models add up":                {[]job.ModelUsage{million, {Model: tiered, OutputTokens: 1e6}}, all + cheap.Output},
		"no tokens cost nothing":           {[]job.ModelUsage{{Model: plain}}, 0},
		"one kind":                         {[]job.ModelUsage{{Model: plain, OutputTokens: 10}}, p.Output / 1e5},
		"prompts that must be short":       {[]job.ModelUsage{{Model: tiered, InputTokens: 99_999, CacheReadTokens: 1, OutputTokens: 1e6}}, (99_999*cheap.Input+cheap.CacheRead)/1e6 + cheap.Output},
		"prompts of which one may be long": {[]job.ModelUsage{{Model: tiered, InputTokens: 99_999, CacheReadTokens: 1, CacheWriteTokens: 1}}, -1},
		"an unknown model has no price":    {[]job.ModelUsage{{Model: "claude-next"}}, -1},
		"one unknown model makes all so":   {[]job.ModelUsage{million, {Model: "claude-next"}}, -1},
		"nothing used is nothing to say":   {nil, -1},
		"an alias is no model of a price":  {[]job.ModelUsage{{Model: "sonnet", InputTokens: 1}}, -1},
	} {
		t.Run(name, func(t *testing.T) {
			usd, version := Price(tc.usage)
			switch {
			case tc.want < 0 && (usd != nil || version != ""):
				t.Errorf("Price(%v) = %v (%q), want none", tc.usage, *usd, version)
			case tc.want >= 0 && (usd == nil || !near(*usd, tc.want) || version != snapshot.ClaudeVersion):
				t.Errorf("Price(%v) = %v (%q), want %v", tc.usage, usd, version, tc.want)
			}
		})
	}
}
