package e2e

import (
	"flag"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"sandpiper/client"
	"sandpiper/internal/offline/scripted"
)

// Where the composition is, of the composed estate. Its tests run one at a time (-parallel 1): there is one address of a model.
var (
	composedURL   = flag.String("composed", "", "where the API of the composition answers")
	composedModel = flag.String("model", "", "host:port where its workers and sandboxes look for the model; the tests listen there")
)

// composedKeysVar has keys of the composition, each of a tenant of its own, separated by blanks; its model's key is the tests'.
const composedKeysVar = "E2E_COMPOSED_KEYS"

const (
	itsWorkers  = "its workers have habits that only the test's own programs have"
	itsCommand  = "its claude is a stand-in, which is not in the image of the sandboxes"
	itsSettings = "it sets what the composition has for all of its tests"
	itsServers  = "it stops, reads or fills servers of its own"
)

// notComposed are those tests that a fleet is tried with and a composition is not, each with its reason. What breaks a composition
// is tried in test/compose.
var notComposed = map[string]string{
	"TestAFailedTurnIsNotInTheConversation":             itsWorkers,
	"TestALostConversationIsNeverBegunAnew":             itsWorkers,
	"TestAPromptThatIsAlwaysRefusedClosesNoLaneForEver": itsWorkers,
	"TestOutcomes":                                  itsWorkers,
	"TestAnAPIThatIsNotThere":                       itsWorkers,
	"TestARetryAnswersInTheEnd":                     itsWorkers,
	"TestAPaidTryIsPaidAgainOnlyWhereTheJobSaysSo":  itsWorkers,
	"TestASpoiltSandboxIsReplaced":                  itsWorkers,
	"TestARunThatIsHarmed":                          itsWorkers,
	"TestTheRealCommandIsStoppedInTheMiddleOfATool": itsWorkers,
	"TestNoClaudeInTheSandbox":                      itsCommand,
	"TestADeadlineEndsWhatToolsStarted":             itsCommand,
	"TestASecretCutBetweenTwoPollsIsMasked":         itsCommand,
	"TestEveryWayOutIsMasked":                       itsCommand,
	"TestRedisMayGo":                                itsCommand,
	"TestALimitedAPIHoldsItsOwnJobsAndNoOthers":     itsSettings,
	"TestARefusedKeyParksItsLane":                   itsSettings,
	"TestTheCLIsOwnRetriesAreShown":                 itsSettings,
	"TestTheNoopExecutorWritesWhatAnyJobWrites":     itsSettings,
	"TestTheQueuesAreSeenInABrowser":                itsSettings,
	"TestATroubledRedisCostsDelayAndNothingElse":    itsServers,
	"TestTheKeyAppearsNowhere":                      itsServers,
	"TestAPoisonedJobIsStopped":                     itsServers,
}

// keysLeft are those that no house has had.
var keysLeft = sync.OnceValue(func() chan string {
	keys := strings.Fields(os.Getenv(composedKeysVar))
	left := make(chan string, len(keys))
	for _, k := range keys {
		left <- k
	}
	return left
})

// enter makes a house of a part of the composition: a tenant whose key nobody else has, and the model's address, until the test's end.
func enter(t testing.TB, vars []string, habits []habit) *house {
	t.Helper()
	// How many jobs a worker runs at once is for the machine's sake, and the composition's is as low.
	others := slices.DeleteFunc(slices.Clone(vars), func(v string) bool { return strings.HasPrefix(v, "SANDPIPER_CONCURRENCY=") })
	if len(others)+len(habits) > 0 {
		t.Fatalf("a composition has no %v %v of one test: say in notComposed why this one is not tried with it", others, habits)
	}
	model, err := scripted.Open(scripted.Options{Addr: *composedModel})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := model.Close(); err != nil {
			t.Error(err)
		}
	})
	select {
	case key := <-keysLeft():
		at := behindKey(t, key)
		return &house{api: client.New(at, client.Options{}), url: at, model: model, log: &logBuffer{}, stop: func() error { return nil }, processes: 4}
	default:
		t.Fatalf("%s has too few keys", composedKeysVar)
		return nil
	}
}

// behindKey is where the composition answers to one who has the key, for tests that know of none.
func behindKey(t testing.TB, key string) string {
	t.Helper()
	to, err := url.Parse(*composedURL)
	if err != nil || to.Host == "" {
		t.Fatalf("-composed %q: %v", *composedURL, err)
	}
	transport := &http.Transport{}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		FlushInterval: -1,
		Transport:     transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Header.Set("Authorization", "Bearer "+key)
		},
	})
	t.Cleanup(func() {
		proxy.CloseClientConnections() // a socket would keep Close waiting
		proxy.Close()
		transport.CloseIdleConnections()
	})
	return proxy.URL
}
