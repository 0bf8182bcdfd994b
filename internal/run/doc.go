// Package run is the run directory: how one prompt is started in a sandbox exactly once, followed, judged and ended, by
// anyone who knows the run's id. Its truth lives in the sandbox, in files and processes; it keeps nothing here.
//
//	$HOME/.sandpiper/launched/<run>           the marker: from here on it may have been paid for
//	$HOME/.sandpiper/owners/<run>.<n>         attempt n has taken the run over: those below n launch and end nothing any more
//	$HOME/.sandpiper/latest                   the id of the newest run in this sandbox
//	$HOME/.sandpiper/runs/<run>/by-<n>.<x>/   one launcher's own copy: prompt, argv, env, run.sh
//	$HOME/.sandpiper/runs/<run>/lock/         whose mkdir succeeds, launches
//	$HOME/.sandpiper/runs/<run>/pid           keeper and command: pid, start time; the boot's id
//	$HOME/.sandpiper/runs/<run>/out, err      what the command writes; files, because a pipe loses the end of long output
//	$HOME/.sandpiper/runs/<run>/exit          the exit code; before that exit.tmp, which holds its room on a full disk
//
// All of it is outside of the workspace, since a prompt that tidies up must not delete it. A prompt runs as the same
// user, though, and one that means to can change these files: what is read here is evidence about honest programs; the
// boundary against others is the sandbox.
//
// # What can go wrong, and what holds
//
// Many launch at once, or one launches again after a lost reply: the lock lets one through. The launch request is held
// up on its way until another worker owns the job: the launcher compares the time of the upload with now, both on the
// sandbox's clock, and starts nothing (see Start). A worker was paused and wakes up in the middle of a launch or a stop,
// while another one has long followed the run: who takes a run over leaves a mark first, and what comes from an older
// attempt is refused here, in the sandbox, where no time goes by between the look and the deed. The mark is outside of the
// run's folder, whose absence is evidence. The launcher, the keeper (the process that stays with the command) or
// the command is killed at any point: every step leaves a trace before the next one begins, and everything that
// belongs to the run carries SANDPIPER_RUN=<run> in its environment from its first instruction, so that Look can
// tell dead from not yet. The sandbox's daemon is killed, or the sandbox is away: no evidence; an error. All workers
// are dead: a guard in the sandbox ends the command. The disk is full: the exit code's room was taken before.
//
// # Why scripts
//
// A sandbox has bash and coreutils, and nothing of ours. run.sh is uploaded with each launch; follow.sh, look.sh and
// stop.sh are sent with each question. What a user wrote is in files only: no shell ever reads it.
//
// # What is ended with a run
//
// Everything that it started, whatever it did to hide: a child that changes its session, forks twice and scrubs its
// environment is found as a process below the sandbox's daemon that is not older than the run. That needs the
// daemon to be recognised beyond doubt, because without walls the machine's other processes are in sight; if it is not,
// or if a later run was launched in the sandbox, only what carries the run's mark, and its descendants, is ended. A
// session that was made after the run began is ended too; the next user makes it again.
package run
