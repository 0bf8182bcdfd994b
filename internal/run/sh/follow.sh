# follow.sh ID OFFSET WAIT GATHER MAX ATTEMPT
#
# Waits up to WAIT milliseconds for a whole line behind OFFSET and from then on up to GATHER milliseconds for more, or
# for the end, and prints: its name, the state, the exit code (or -) and the size of the output; where the output is;
# at most MAX bytes of it from OFFSET, in base64; once the run is over the end of its standard error, likewise; a dot.
# When the run is over, it first ends what the run left behind. States: running, rest (over, but
# MAX does not take it all), ended, gone (no exit code and no process), and these two with "+left" when something
# could not be ended; lost, when a newer attempt than ATTEMPT has taken the run over: then it ends nothing. An ATTEMPT of 0
# only reads, and is never lost.
exec 2>/dev/null
id=$1 offset=$2 gather=$4 max=$5 attempt=$6
until=$((${EPOCHREALTIME/[.,]/} + $3 * 1000))
state=running code=- size=0

# left: there is time left, in LEFT, in seconds as read takes them.
left() {
  LEFT=$((until - ${EPOCHREALTIME/[.,]/}))
  ((LEFT > 0)) && printf -v LEFT '%d.%06d' $((LEFT / 1000000)) $((LEFT % 1000000))
}

# over: there is an exit code, or no process of the run. A keeper that ends between two looks has left its exit code.
over() {
  [[ -e exit ]] && { state=ended; return; }
  recorded && { alive "$KEEPER" "$KEEPER_START" || alive "$COMMAND" "$COMMAND_START"; } && return 1
  marked || marked && return 1
  [[ -e exit ]] && { state=ended; return; }
  state=gone
}

# await: until there is a whole line behind the offset and what comes soon after it, or the end, or the time is over.
await() {
  local line pos now
  exec {out}< out
  # dd moves the position of the file that it shares with this shell, and copies nothing.
  ((offset == 0)) || dd skip="$offset" iflag=skip_bytes count=0 <&"$out"
  [[ -e exit ]] || family # the sweep needs it, and now there is time
  until IFS= read -r line <&"$out"; do
    over && return
    left || return
    read -r _ pos < "/proc/self/fdinfo/$out"
    doze out "$pos"
    [[ -e exit ]] && return
    IFS= read -r line <&"$out" && break
    nap 0.02 # part of a line, or the moment between the command's end and its exit code
  done
  now=${EPOCHREALTIME/[.,]/}
  ((until > now + gather * 1000)) && until=$((now + gather * 1000))
  until over || ! left; do
    doze
    over && break
    nap 0.02
  done
}

# doze [FILE POSITION]: until FILE has bytes behind POSITION, or the keeper has ended, or LEFT is over. It waits in the
# kernel: tail for a write, flock for the file that the keeper holds locked as long as it lives (even a zombie has let go
# of it, while its pid is still taken). Whichever is first writes to a pipe; without a FILE, flock's own end closes it. A
# command without its keeper is watched by its pid, every 40 ms.
doze() {
  local bell lock pids=()
  if [[ -e held && -z ${1-} ]] && alive "$KEEPER" "$KEEPER_START"; then
    exec {lock}< held
    exec {bell}< <(exec flock -s "$lock")
    pids+=($!)
    exec {lock}<&-
  elif [[ -e held ]] && alive "$KEEPER" "$KEEPER_START"; then
    exec {bell}<> <(:)
    flock -s held echo >&"$bell" &
    pids+=($!)
    tail -c "+$(($2 + 1))" -s 1 -f --pid=$$ "$1" >&"$bell" &
    pids+=($!)
  elif [[ -n $COMMAND ]]; then
    exec {bell}< <(exec tail -c "+$((${2-0} + 1))" -s 0.04 -f --pid="$COMMAND" "${1-/dev/null}")
    pids+=($!)
  else
    nap 0.02
    return
  fi
  read -r -n 1 -t "$LEFT" -u "$bell"
  kill "${pids[@]}"
  wait "${pids[@]}"
  exec {bell}<&-
}

# clean ends what the run left behind, once. Where two looks in a row find nothing there is nothing to end; otherwise it is
# one reader at a time: readers would end each other.
clean() {
  [[ swept -nt exit && $state == ended ]] && return
  if remains || remains; then
    exec {turn}>> sweep.lock
    flock -w 20 "$turn"
    sweep 10 || { state+=+left; return; }
  fi
  : > swept
}

# Each program that starts here holds up the end of every job: what fits goes into base64 as it is.
tell() {
  printf 'sandpiper-follow %s %s %s\n%s\n' "$state" "$code" "$size" "$PWD/out"
  if ((size > 0 && offset == 0 && size <= max)) && [[ $state == ended || $state == gone ]]; then
    base64 -w0 out
  elif ((size > offset && offset == 0)); then
    head -c "$max" out | base64 -w0
  elif ((size > offset)); then
    tail -c "+$((offset + 1))" out | head -c "$max" | base64 -w0
  fi
  printf '\n'
  [[ $state == ended* || $state == gone* ]] && [[ -s err ]] && tail -c 65536 err | base64 -w0
  printf '\n.\n'
}

# measure: how much there is. What is over and too much for this answer is not reported as over.
measure() {
  [[ -e out ]] && size=$(stat -c %s out)
  ((size - offset > max)) && [[ $state != running ]] && state=rest
}

if cd "$base/runs/$id"; then
  [[ -e out ]] && await
  over
  ((attempt > 0)) && theirs "$attempt" && state=lost
  [[ $state == ended || $state == gone ]] && clean
  measure # what was ended may have written until then
  [[ $state == ended* ]] && read -r code _ < exit
else
  state=gone
fi
tell
