package claude

import (
	_ "embed"
	"encoding/json"

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
	Models  map[string]tokenPrice `json:"models"`  // by full model id, as the CLI names it
}

// tokenPrice is in USD per million tokens. CacheWrite is the price of a cache entry that lives five minutes, which
// is what the CLI asks for.
type tokenPrice struct {
	Input      float64 `json:"input"`
	Output     float64 `json:"output"`
	CacheRead  float64 `json:"cacheRead"`
	CacheWrite float64 `json:"cacheWrite"`
}

var prices = readPrices(pricesJSON)

// readPrices stops the program when the embedded table is broken, which fails every test.
func readPrices(data []byte) priceTable {
	var t priceTable
	if err := json.Unmarshal(data, &t); err != nil {
		panic("claude: prices.json: " + err.Error())
	}
	return t
}

// Price is what usage costs in USD, and the version of the table that says so. It is nil, with an empty version,
// when nothing is known to have been used or when a model of usage has no price: a guess would look like a price.
//
// The CLI's own total_cost_usd is not used: it counts the whole conversation, and it prices a model that it does
// not know like one that it knows. The offline model costs nothing, whatever it is called; its caller knows.
func Price(usage []job.ModelUsage) (usd *float64, version string) {
	if len(usage) == 0 {
		return nil, ""
	}
	var sum float64
	for _, u := range usage {
		p, ok := prices.Models[u.Model]
		if !ok {
			return nil, ""
		}
		sum += p.of(u)
	}
	return &sum, prices.Version
}

// of is what one model's tokens cost in USD.
func (p tokenPrice) of(u job.ModelUsage) float64 {
	return (float64(u.InputTokens)*p.Input + float64(u.OutputTokens)*p.Output +
		float64(u.CacheReadTokens)*p.CacheRead + float64(u.CacheWriteTokens)*p.CacheWrite) / 1e6
}
