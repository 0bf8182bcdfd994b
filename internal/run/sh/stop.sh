# stop.sh ID GRACE ATTEMPT
#
# Ends the run for ATTEMPT, or says "lost" when a newer one has taken it over, also when that happens meanwhile: SIGTERM to the command, and after GRACE milliseconds SIGKILL; then everything that remains. Says
# "stopped", or "left" and the processes that could not be ended. A run that was not launched yet cannot be launched
# any more: its lock is taken here.
exec 2>/dev/null
id=$1 grace=$2 attempt=$3
lost() { printf 'sandpiper-stop lost\n.\n'; exit; }
seize "$attempt" || lost
mkdir -p "$base/runs/$id" && cd "$base/runs/$id" || exit 1
mkdir lock
recorded
if alive "$COMMAND" "$COMMAND_START"; then
  kill -TERM "$COMMAND"
  until=$((${EPOCHREALTIME/[.,]/} + grace * 1000))
  while alive "$COMMAND" "$COMMAND_START" && ((${EPOCHREALTIME/[.,]/} < until)); do nap 0.02; done
  theirs "$attempt" && lost
  alive "$COMMAND" "$COMMAND_START" && kill -KILL "$COMMAND"
fi
# The keeper writes the exit code a moment after the command's death, which comes a moment after the kill: both are worth
# waiting for, or the sweep would end the keeper first.
for try in {1..200}; do
  [[ ! -e exit ]] && [[ -n $COMMAND ]] && alive "$KEEPER" "$KEEPER_START" || break
  nap 0.01
done
theirs "$attempt" && lost
exec {turn}>> sweep.lock
flock -w 20 "$turn"
if sweep 10; then
  printf 'sandpiper-stop stopped\n.\n'
else
  printf 'sandpiper-stop left %s\n.\n' "${REMAINS[*]}"
fi
