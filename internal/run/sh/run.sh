# run.sh launch ID FOLDER BYTES WITHIN LIMIT ATTEMPT
#
# launch is what a session runs, in a session of its own (setsid). It returns at once and says one line: "started", "already"
# (another launch came first), "late" (WITHIN milliseconds after the upload were over), "lost" (a newer attempt than
# ATTEMPT has taken the run over) or "broken" and why; only "started" started anything. keep is the process that stays,
# a fork of it: it starts the command, guards it for LIMIT seconds, and keeps its exit code. Both carry SANDPIPER_RUN=ID
# in their environment from their first moment, so a reader can tell "dead" from "not yet".
#
# Each program that starts before the command holds up every job by a millisecond and more.
id=$2 by=$3 bytes=$4 within=$5 limit=$6 attempt=$7

say() { printf 'sandpiper %s\n' "$*"; }

launch() {
  cd "$base/runs/$id" || { say broken no run folder; return; }
  theirs "$attempt" && { say lost; return; }
  [[ -d $base/launched ]] || { mkdir -p "$base/launched" && chmod 700 "$base"; }
  [[ -d $HOME/workspace ]] || { say broken there is no workspace folder; return; }
  local prompt have= born= now
  exec {prompt}< <(exec stat -c '%s %.3Y' "$by/prompt") # beside mkdir
  if ! mkdir lock; then
    [[ -d lock ]] || { say broken the lock cannot be made; return; }
    already
    return
  fi
  read -r have born <&"$prompt"
  if [[ $have != "$bytes" ]]; then
    rmdir lock
    say broken "the prompt has ${have:-no} bytes instead of $bytes"
    return
  fi
  # A prompt can remove the lock of its own run. The marker is a second witness.
  [[ -e $base/launched/$id ]] && { already; return; }
  # The upload's own time, on this machine's clock, is what the deadline counts from: no clock has to be compared.
  now=$((${EPOCHREALTIME/[.,]/} / 1000)) born=${born/[.,]/}
  if ((now < born - 10 || now - born > within)); then
    rmdir lock
    say late
    return
  fi
  if ! prepare; then
    rmdir lock
    say broken the disk is full
    return
  fi
  ( others_closed; keep ) </dev/null >/dev/null 2>&1 &
  say started
}

already() {
  rm -rf -- "${by:?}" # this launcher's own copy; a shell reads on from a removed script
  say already
}

# prepare takes the room for what must not fail later, and sets the marker last: from then on it may have been asked.
prepare() {
  printf '%31s\n' '' > exit.tmp && : > out && : > err && printf '%s\n' "$id" > "$base/latest" && : > "$base/launched/$id"
} 2>/dev/null

# others_closed closes what was inherited: an open pipe of the session would keep the session's command running.
others_closed() {
  local fd
  for fd in /proc/self/fd/*; do
    fd=${fd##*/}
    ((fd > 2 && fd != 255)) && eval "exec $fd>&-"
  done
}

keep() {
  # Whoever ends the sandbox gently should find the command's own end here: only a kill ends the keeper. Ignored, not
  # handled: a handled signal would interrupt wait, whose status is then not the command's.
  trap '' HUP INT QUIT TERM
  local code boot guard
  exec {HELD}> held
  fields "$BASHPID"
  read -r boot < /proc/sys/kernel/random/boot_id
  printf 'keeper %s %s\nboot %s\n' "$BASHPID" "$START" "$boot" > pid || exit 1 # nothing was asked yet
  environment
  mapfile -d '' -t argv < "$by/argv"
  command_line < "$by/prompt" >> out 2>> err &
  COMMAND=$!
  fields "$COMMAND" || START=0
  COMMAND_START=$START
  printf 'command %s %s\n' "$COMMAND" "$COMMAND_START" >> pid
  guard &
  guard=$!
  flock -x "$HELD" # readers wait for this lock: it goes with the keeper, however that ends
  wait "$COMMAND"
  code=$?
  kill -KILL "$guard" 2>/dev/null
  record "$code"
  [[ -e expired ]] && sweep 10
}

# environment finds what the command must not inherit, in DROP: all but a short list and the launch's own. A name that
# no shell variable can have (A-B, BASH_FUNC_x%%) can only be dropped by env. Values are in no command line.
environment() {
  local name kept=" PATH HOME LANG TMPDIR USER_ID ANTHROPIC_API_KEY SANDPIPER_RUN "
  mapfile -d '' -t EXTRA < "$by/env"
  for name in "${EXTRA[@]}"; do kept+="${name%%=*} "; done
  DROP=(-u PWD -u OLDPWD -u SHLVL -u _)
  while IFS= read -r -d '' name; do
    name=${name%%=*}
    [[ -n $name && $kept != *" $name "* ]] && DROP+=(-u "$name")
  done < /proc/self/environ
  [[ -n ${LANG-} ]] || export LANG=C.UTF-8
}

# command_line becomes the command, in a session of its own, with default signals: a shell's background child
# ignores SIGINT otherwise.
command_line() {
  local pair
  trap - HUP INT QUIT TERM
  exec {HELD}>&-
  cd "$HOME/workspace" || exit 1
  for pair in "${EXTRA[@]}"; do export -- "$pair"; done
  exec env "${DROP[@]}" setsid "${argv[@]}"
}

# guard ends a command that nobody ended in time: all workers may be dead. It goes when the command goes.
guard() {
  trap - HUP INT QUIT TERM
  exec {HELD}>&-
  local until=$((SECONDS + limit))
  while ((SECONDS < until)); do
    nap 2
    alive "$COMMAND" "$COMMAND_START" || return
  done
  : > expired
  kill -TERM "$COMMAND"
  for until in {1..50}; do
    nap 0.2
    alive "$COMMAND" "$COMMAND_START" || return
  done
  kill -KILL "$COMMAND"
}

# record keeps the exit code. Its room was taken before, so a full disk does not lose it; a full process table
# delays it.
record() {
  printf '%-31s\n' "$1 $((${EPOCHREALTIME/[.,]/} / 1000))" 1<> exit.tmp
  until mv -T exit.tmp exit || [[ ! -e exit.tmp ]]; do nap 0.5; done 2>/dev/null
}

"$1" 2>/dev/null
exit 0
