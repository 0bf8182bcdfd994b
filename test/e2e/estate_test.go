package e2e

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// estate is what the houses of a run of this package consist of. The tests do not know.
var estate = flag.String("estate", embeddedEstate, "embedded: one process with everything in it; fleet: Postgres, Redis, 2 api, 3 worker and a local Daytona; composed: a docker-compose.yml that test/compose has started")

const (
	embeddedEstate = "embedded"
	fleetEstate    = "fleet"
	composedEstate = "composed"
)

// embeddedOnly are the tests that are not run again on a fleet, each with its reason.
var embeddedOnly = map[string]string{
	"TestAnUpThatDiesOfAJobFiveTimes":      "its subject is the lock of a file; a fleet's leases lapse",
	"TestKilledInMidJob":                   "its subject is the next `up` of one data directory; a fleet's is TestAWorkerIsKilledInMidJob",
	"TestStoppedInMidJob":                  "likewise",
	"TestASecondStartWakesTheSandbox":      "only up stops sandboxes when it goes",
	"TestWhatADeadWorkerLeft":              "it writes the database before anybody has it open, and up voids leases",
	"TestNoKeyInTheSandbox":                "a worker does not start without a key",
	"TestAWarmJobCostsThreeCalls":          "it counts what one worker remembers",
	"TestMetricsAndLogTellOneJob":          "it compares the figures of one process with one job",
	"TestASandboxThatIsStoppedUnderItsJob": "a local Daytona in a process of its own has the usual limits",
	"TestReadinessNamesWhatIsAway":         "an up is ready where a worker is not; a fleet's is TestReadinessOfAFleet",
}

// apart are the tests that open a fleet whatever the estate: once is enough.
var apart = []string{
	"TestEventsOfOneAPIAreSeenOnAnother", "TestAWorkerIsKilledInMidJob", "TestAStoppedWorkerHandsOver", "TestTurnsMove",
	"TestASandboxIsCreatedThroughAWorker", "TestReadinessOfAFleet", "TestAnOlderSchemaEndsTheStart", "TestANewerSchema", "TestAnUpBesideAnother",
	"TestEveryTestThatIsLeftOutIsThere",
	"TestPostgresIsGoneWhilePromptsRun", "TestABadPlatformCostsDelayAndNothingElse", // they have a database and a platform of their own
	"TestAHouseDeletesIdleSandboxes", "TestAPlaceForASandbox", "TestANewUserFindsAWarmSandbox", "TestKilledWhileASandboxIsMadeWarm",
	"TestAFreshSandboxHasNothingOfBefore", "TestABatchHoldsUpNobody", // they have houses of their own
	"TestSoak", "TestManyLines", "TestManyRunningPrompts", "TestRunningPromptsAreHandedOver", "TestAStoppedProcessThatGoesOn", "TestEverythingIsGoneAtOnce", "TestADatabaseThatIsFullIsSaid",
}

// chooseEstate leaves out what the estate has no use for.
func chooseEstate() {
	switch *estate {
	case embeddedEstate:
		return
	case fleetEstate:
		leaveOut(slices.Concat(slices.Collect(maps.Keys(embeddedOnly)), apart))
	case composedEstate:
		leaveOut(slices.Concat(slices.Collect(maps.Keys(embeddedOnly)), apart, slices.Collect(maps.Keys(notComposed))))
	default:
		fmt.Fprintln(os.Stderr, "-estate is embedded, fleet or composed")
		os.Exit(2)
	}
}

func leaveOut(names []string) {
	if err := flag.Set("test.skip", "^("+strings.Join(names, "|")+")$"); err != nil {
		panic(err)
	}
}
