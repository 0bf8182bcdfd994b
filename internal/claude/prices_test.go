package claude

import (
	"encoding/json"
	"flag"
	"maps"
	"math"
	"os"
	"reflect"
	"slices"
	"testing"

	"sandpiper/internal/job"
	"sandpiper/internal/offline/realcli"
	"sandpiper/internal/offline/scripted"
	"sandpiper/snapshot"
)

var update = flag.Bool("update", false, "write prices.json from what the CLI says")

// costOf lets the real CLI add up what u costs: the full id that it has for the model, and USD.
func costOf(t *testing.T, alias string, u scripted.Usage) (id string, usd float64) {
	t.Helper()
	model := scripted.New(t)
	model.Queue(scripted.Text("ok").Using(u))
	out := realcli.Run(t, realcli.Options{URL: model.URL(), Prompt: "price", Args: append(realcli.Flags(alias), "--tools", "")})
	usage, _ := out.Result["modelUsage"].(map[string]any)
	if len(usage) != 1 || len(model.Requests()) != 1 {
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

// many is how many tokens of its first kind a run reports, and one of its second. Prices are multiples of 0.001 USD
// per million tokens and below 100 USD, so the cost in 10⁻⁹ USD holds both as digits: five for the second, the rest
// for the first. It also keeps the run below 200,000 tokens, where dearer tiers for long prompts are known to begin.
const many = 100_000

// two separates the prices per million of a run's two kinds.
func two(usd float64) (first, second float64) {
	digits := int64(math.Round(usd * 1e9))
	return float64(digits/many) / 1000, float64(digits%many) / 1000
}

// measure finds the four prices of one alias in two runs, and checks them in a third, with a million of each kind:
// a tier for long prompts, or a price with more digits, would show there.
func measure(t *testing.T, alias string) (id string, p tokenPrice) {
	t.Helper()
	id, usd := costOf(t, alias, scripted.Usage{InputTokens: many, OutputTokens: 1})
	p.Input, p.Output = two(usd)
	_, usd = costOf(t, alias, scripted.Usage{CacheReadInputTokens: many, CacheCreationInputTokens: 1})
	p.CacheRead, p.CacheWrite = two(usd)
	_, usd = costOf(t, alias, scripted.Usage{InputTokens: 1e6, OutputTokens: 1e6, CacheReadInputTokens: 1e6, CacheCreationInputTokens: 1e6})
	if sum := p.Input + p.Output + p.CacheRead + p.CacheWrite; math.Abs(sum-usd) > 1e-6 {
		t.Errorf("%s: a million of each costs %v USD, and the prices %+v add up to %v", id, usd, p, sum)
	}
	return id, p
}

func TestPricesAreWhatTheRealCLISays(t *testing.T) {
	found := priceTable{Version: snapshot.ClaudeVersion, Models: map[string]tokenPrice{}}
	for _, alias := range []string{"sonnet", "opus", "haiku"} {
		id, p := measure(t, alias)
		found.Models[id] = p
	}
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
	if !reflect.DeepEqual(found, prices) {
		t.Errorf("the CLI says %+v\nprices.json says %+v\n(go test -run PricesAre -update writes it)", found, prices)
	}
}

func TestPrice(t *testing.T) {
	known := slices.Sorted(maps.Keys(prices.Models))[0]
	p := prices.Models[known]
	million := job.ModelUsage{Model: known, InputTokens: 1e6, OutputTokens: 1e6, CacheReadTokens: 1e6, CacheWriteTokens: 1e6}
	all := p.Input + p.Output + p.CacheRead + p.CacheWrite
	for name, tc := range map[string]struct {
		usage []job.ModelUsage
		want  float64 // below 0: no price
	}{
		"a million of each":               {[]job.ModelUsage{million}, all},
		"two models add up":               {[]job.ModelUsage{million, million}, 2 * all},
		"no tokens cost nothing":          {[]job.ModelUsage{{Model: known}}, 0},
		"one kind":                        {[]job.ModelUsage{{Model: known, OutputTokens: 10}}, p.Output / 1e5},
		"an unknown model has no price":   {[]job.ModelUsage{{Model: "claude-next"}}, -1},
		"one unknown model makes all so":  {[]job.ModelUsage{million, {Model: "claude-next"}}, -1},
		"nothing used is nothing to say":  {nil, -1},
		"an alias is no model of a price": {[]job.ModelUsage{{Model: "sonnet", InputTokens: 1}}, -1},
	} {
		t.Run(name, func(t *testing.T) {
			usd, version := Price(tc.usage)
			switch {
			case tc.want < 0 && (usd != nil || version != ""):
				t.Errorf("Price(%v) = %v (%q), want none", tc.usage, *usd, version)
			case tc.want >= 0 && (usd == nil || math.Abs(*usd-tc.want) > 1e-9 || version != snapshot.ClaudeVersion):
				t.Errorf("Price(%v) = %v (%q), want %v", tc.usage, usd, version, tc.want)
			}
		})
	}
}
