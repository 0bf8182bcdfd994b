package claude

import (
	_ "embed"
	"encoding/json"
	"sync"

	"sandpiper/internal/job"
)

// prices.json is measured and not typed: it holds what the pinned CLI itself adds up for each kind of token. The
// test beside this file measures again and compares; -update writes what it finds.
//
//go:embed prices.json
var pricesJSON []byte

// priceTable is what one version of the CLI charges.
type priceTable struct {
	Version string                `json:"version"` // of the CLI
	Models  map[string]modelPrice `json:"models"`  // by full model id, as the CLI names it
}

// modelPrice is what one model costs. A model may be dearer for a whole request whose prompt is long.
type modelPrice struct {
	tokenPrice
	Long *longPrice `json:"long,omitempty"`
}

// longPrice replaces the price of a request whose prompt has more than Over tokens (input, cache read and cache
// write together): every token of it, the answer's too. Measured on 2.1.330: haiku has one, from 100,001 tokens on.
type longPrice struct {
	Over int64 `json:"over"`
	tokenPrice
}

// tokenPrice is in USD per million tokens. CacheWrite is the price of a cache entry that lives five minutes, which
// is what the CLI asks for.
type tokenPrice struct {
	Input      float64 `json:"input"`
	Output     float64 `json:"output"`
	CacheRead  float64 `json:"cacheRead"`
	CacheWrite float64 `json:"cacheWrite"`
}

// prices are read when the first one is asked for: most processes of ours, one in each sandbox among them, ask for none.
var prices = sync.OnceValue(func() priceTable { return readPrices(pricesJSON) })

// readPrices stops the program when the embedded table is broken, which fails many tests.
func readPrices(data []byte) priceTable {
	var t priceTable
	if err := json.Unmarshal(data, &t); err != nil {
		panic("claude: prices.json: " + err.Error())
	}
	return t
}

// Price is what usage costs in USD, and the version of the table that says so. It is nil, with an empty version,
// when it cannot be known, because a guess would look like a price: nothing is known to have been used, a model of
// usage is not in the table, or its prompts add up to a length at which some request may have been a dearer one
// (usage is the sum of a run and says nothing of its requests).
//
// The CLI's own total_cost_usd is not used: it counts the whole conversation, and it prices a model that it does
// not know like one that it knows. The offline model costs nothing, whatever it is called; its caller knows.
func Price(usage []job.ModelUsage) (usd *float64, version string) {
	if len(usage) == 0 {
		return nil, ""
	}
	var sum float64
	for _, u := range usage {
		p, ok := prices().Models[u.Model]
		if !ok || p.Long != nil && prompt(u) > p.Long.Over {
			return nil, ""
		}
		sum += p.of(u)
	}
	return &sum, prices().Version
}

// prompt is the length of the prompts of u.
func prompt(u job.ModelUsage) int64 { return u.InputTokens + u.CacheReadTokens + u.CacheWriteTokens }

// of is what one model's tokens cost in USD.
func (p tokenPrice) of(u job.ModelUsage) float64 {
	return (float64(u.InputTokens)*p.Input + float64(u.OutputTokens)*p.Output +
		float64(u.CacheReadTokens)*p.CacheRead + float64(u.CacheWriteTokens)*p.CacheWrite) / 1e6
}
