# What the other scripts share: reading /proc, and ending what a run left behind. bash 5.0, coreutils, util-linux.
# Nothing in here comes from a user. Every script has set: run id in $id, and works in the run's folder.
umask 077
base=$HOME/.sandpiper

# theirs ATTEMPT: a newer attempt has taken the run over. An attempt that takes it over leaves an empty file with its
# number: to make one is atomic, needs no room on a full disk, and the highest number counts, in whatever order they came.
theirs() {
  local f
  for f in "$base/owners/$id".*; do
    f=${f##*.}
    [[ $f =~ ^[0-9]{1,18}$ ]] && ((10#$f > $1)) && return 0
  done
  return 1
}

# seize ATTEMPT: takes the run over, and says whether it is ours then. A disk so full that it takes no file at all must
# not hide what became of a run, so the file's failure is none: the fences in SQL are there too.
seize() {
  [[ -d $base/owners ]] || mkdir -p "$base/owners"
  [[ -e $base/owners/$id.$1 ]] || : > "$base/owners/$id.$1"
  ! theirs "$1"
}

# fields PID: what /proc says of a process, in STATE, PARENT and START (in clock ticks since the machine's boot).
# A process may put blanks, brackets and newlines into its own name: the fields begin after the last bracket.
fields() {
  local text= f
  { IFS= read -r -d '' text < "/proc/$1/stat"; } 2>/dev/null
  [[ $text == *') '* ]] || return 1
  f=(${text##*') '})
  STATE=${f[0]} PARENT=${f[1]} START=${f[19]}
}

# dead PID: a zombie, after fields. One whose other threads live is not dead, only its first thread is.
dead() {
  [[ $STATE == [ZX] ]] || return 1
  set -- "/proc/$1/task/"*
  (($# < 2))
}

# alive PID START: that very process lives; a pid that was given to another does not count.
alive() { [[ -n $1 ]] && fields "$1" && [[ $START == "$2" ]] && ! dead "$1"; }

# recorded: what the keeper wrote about itself and the command. Nothing, if that was in another life of the machine.
# A last line that is not whole yet is left out.
recorded() {
  KEEPER= KEEPER_START= COMMAND= COMMAND_START=
  local word a b boot= now
  [[ -e pid ]] || return 1
  while read -r word a b; do
    case $word in
      keeper) KEEPER=$a KEEPER_START=$b ;;
      boot) boot=$a ;;
      command) COMMAND=$a COMMAND_START=$b ;;
    esac
  done 2>/dev/null < pid
  read -r now < /proc/sys/kernel/random/boot_id
  [[ $boot == "$now" ]] && return 0
  KEEPER= KEEPER_START= COMMAND= COMMAND_START=
  return 1
}

# family: this shell (not its script, of which the keeper is a fork) and its parents, in CHAIN, and in HOUSE the sandbox's
# daemon: the process that all others in the sandbox descend from. It has to prove itself, because what is below it and young may be killed, and where a
# sandbox has no process table of its own the machine's other processes are in sight. Proofs, for one of our parents:
# its environment has this sandbox's id; or its command line is "… sandbox <id>" (our local daemon, whose environment
# may not be read); or it is process 1 of a process table that is not the machine's own (whose inode number the kernel
# fixes), on a host that has the sandbox's id for its name.
family() {
  local p=$BASHPID own=" $BASHPID " mine=${DAYTONA_SANDBOX_ID-} known name= table words
  CHAIN=$own HOUSE=
  while fields "$p" && p=$PARENT && ((p > 0)); do CHAIN+="$p "; done
  [[ -n $mine ]] || return 0
  set -- ${CHAIN#"$own"}
  (($#)) || return 0
  set -- "${@/#//proc/}"
  known=$(exec grep -lzxFs -- "DAYTONA_SANDBOX_ID=$mine" "${@/%//environ}")
  for p in ${CHAIN#"$own"}; do
    words=()
    mapfile -d '' -t words < "/proc/$p/cmdline"
    [[ $known/ == *"/proc/$p/environ"* || "${#words[@]} ${words[*]:1}" == "3 sandbox $mine" ]] && HOUSE=$p
  done 2>/dev/null
  read -r name < /proc/sys/kernel/hostname
  table=$(readlink /proc/self/ns/pid)
  [[ $CHAIN == *' 1 ' && $name == "${mine:0:63}" && -n $table && $table != 'pid:[4026531836]' ]] && HOUSE=1
  return 0
}

# marked: the living processes whose environment has the run's id, in MARKED; this script's own are left out.
marked() {
  MARKED=()
  local file p
  while read -r file; do
    p=${file#/proc/} p=${p%/environ}
    [[ ${CHAIN-} != *" $p "* ]] && fields "$p" && ! dead "$p" && MARKED+=("$p")
  done < <(exec grep -lzxFs -- "SANDPIPER_RUN=$id" /proc/[0-9]*/environ)
  wait $! # its output ends a moment before it does, and the sweep would take it for a remain and wait for it
  ((${#MARKED[@]} > 0))
}

# latest: no later run was launched in this sandbox. A late reader of an old run must not end the new one's processes.
latest() {
  local now=
  [[ -e $base/latest ]] || return 0
  read -r now < "$base/latest"
  [[ $now == "$id" ]]
}

# below PID: it descends from one of the processes in TOPS, after remains.
below() {
  local p=$1
  while p=${up[$p]-} && [[ -n $p ]]; do [[ -n ${TOPS[$p]-} ]] && return 0; done
  return 1
}

# remains: in REMAINS every process that must not be there when the run is over. These carry the run's mark, or
# descend from one that does or from the keeper or the command; and, if the daemon is known and no later run was
# launched, everything below the daemon that is not older than the keeper: a child that changed its session, forked
# twice and scrubbed its environment is still younger than the run. Older than it are the shells of idle sessions.
remains() {
  REMAINS=() MARKED=()
  local -A up=() born=() TOPS=()
  local d p ours=() wide=
  [[ -n ${CHAIN-} ]] || family
  recorded
  local first=$KEEPER_START
  [[ -n $HOUSE && -n $first ]] && latest && wide=1
  # What carries the mark is below the daemon and younger than the keeper too: the search, which costs more than all the
  # rest, is for sandboxes whose daemon is not known.
  [[ -n $wide ]] || marked
  for p in "${MARKED[@]}"; do TOPS[$p]=1; done
  alive "$KEEPER" "$KEEPER_START" && TOPS[$KEEPER]=1
  alive "$COMMAND" "$COMMAND_START" && TOPS[$COMMAND]=1
  [[ -n $wide ]] || ((${#TOPS[@]})) || return 1
  for d in /proc/[0-9]*; do
    p=${d#/proc/}
    fields "$p" && ! dead "$p" && up[$p]=$PARENT born[$p]=$START
  done
  ours=("${!TOPS[@]}")
  if ((${#TOPS[@]})); then
    for p in "${!up[@]}"; do below "$p" && ours+=("$p"); done
  fi
  if [[ -n $wide ]] && latest; then # asked again: a new run is not among what was scanned before this
    TOPS=([$HOUSE]=1)
    for p in "${!up[@]}"; do ((born[$p] >= first)) && below "$p" && ours+=("$p"); done
  fi
  for p in "${ours[@]}"; do [[ $CHAIN == *" $p "* ]] || REMAINS+=("$p"); done
  ((${#REMAINS[@]} > 0))
}

# sweep SECONDS: ends everything that remains. Success when two scans in a row find nothing.
sweep() {
  local until=$((${EPOCHREALTIME/[.,]/} + $1 * 1000000)) clean=0
  while ((clean < 2)); do
    if remains; then
      clean=0
      kill -KILL "${REMAINS[@]}" 2>/dev/null
      nap 0.02
      ((${EPOCHREALTIME/[.,]/} < until)) || return 1
    else
      ((++clean))
    fi
  done
}

# nap SECONDS: waits in this process, without starting another: for a line from a pipe that nobody writes to.
nap() {
  [[ -n ${NAP-} ]] || exec {NAP}<> <(:)
  read -r -t "$1" -u "$NAP" || :
}
