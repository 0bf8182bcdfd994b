// Package chaos breaks a whole fleet on purpose and then reads, from outside of it, whether every promise was kept.
//
// A Postgres, a Redis, a local Daytona, two api and three worker run as processes of the real binaries. Between all of them
// stand proxies of this package, which cut connections at any byte, hold answers up, give half of them, and let a call
// take effect and lose its answer. Twenty users submit jobs; ten clients follow them, drop their connections and come back.
// Meanwhile processes are killed, stopped, paused and started again, Redis is wiped, both servers are restarted, two or three
// parts are away at once, sandboxes are stopped and deleted at the platform under their prompts, and workers' clocks jump by an hour.
//
// Afterwards the database is read with this package's own SQL, and compared with a record of launches that is kept outside
// of the product: the stand-in for the claude command (test/chaos/standin) tells it over loopback when it starts, when it
// asks and when it has answered. Nothing of the product's packages takes part in a check.
//
//	make chaos                         # ten minutes, 2,000 jobs, and 100 more with the real command
//	make chaos SEED=7 MINUTES=3 JOBS=600
//
// TestRollingStart uses the same fleet, jobs and checks for a deployment instead: nothing is broken in it, but every program is
// replaced by this tree's. make rolling FROM=<commit> begins with the programs of an older commit.
//
// A run prints its seed. From it come the jobs, what is broken, when and for how long. Not from it come: which of several
// connections is hit, which request it is that meets a fault that lies in wait for one, and how far each process is when
// it is hit, since all of that depends on how the machine shares its time. A seed gives the same plan, not the same run.
//
// make test has a minute of it, by one plan and without the clocks, whose programs take all of the standard library anew. When
// what was submitted does not end, the log says what each job that is left waits for.
//
// What ran in a sandbox that was stopped or deleted may be lost, and its job may end as outcome_unknown. The check knows which
// sandboxes these were and when: for all others it stays an error, and so does a second payment for these.
//
// For each promise there is a mutant: the real sources with one protection taken out, built by the go command's overlay, so
// that the product itself has no switch for it. A directed scenario of seconds shows that the checks catch each one, and
// stay silent without it. Each column of the table has a mutant that fails it. make mutants runs them all.
package chaos
