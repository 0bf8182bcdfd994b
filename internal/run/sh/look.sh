# look.sh ID ATTEMPT
#
# Takes the run over for ATTEMPT, before it looks: a launch or a stop of an older attempt that comes later does nothing. Says
# "lost" when a newer one has it. Prints what is there, on one line: the folder, the lock, the marker and a process of the run (1 or 0 each), the
# exit code (or -), the size of the output, whether it holds a "requesting" line, and where in it the last line that
# may be a result begins (or -).
exec 2>/dev/null
id=$1 attempt=$2

files() {
  local f dir=0 lock=0 marker=0
  code=-
  [[ -d $base/runs/$id ]] && dir=1
  [[ -d $base/runs/$id/lock ]] && lock=1
  [[ -e $base/launched/$id ]] && marker=1
  [[ -e $base/runs/$id/exit ]] && read -r code _ < "$base/runs/$id/exit"
  found="$dir $lock $marker $code"
}

# One look at the files before the scan and one after it have to agree: a launch may begin or end in between. Two
# scans, because a process may be born in a place that was passed, to a parent that ends in a place to come.
running=0 size=0 asked=0 result=-
seize "$attempt" || { printf 'sandpiper-look lost\n.\n'; exit; }
family
cd "$base/runs/$id" || cd "$base" || cd /
for try in {1..20}; do
  files
  before=$found
  running=0
  { { recorded && { alive "$KEEPER" "$KEEPER_START" || alive "$COMMAND" "$COMMAND_START"; }; } || marked || marked; } && running=1
  files
  [[ $found == "$before" ]] && break
done
read -r dir lock marker code <<< "$found"
if [[ -e $base/runs/$id/out ]]; then
  cd "$base/runs/$id"
  size=$(stat -c %s out)
  grep -qaF '"status":"requesting"' out && asked=1
  result=$(grep -abF '"type":"result"' out | cut -d: -f1 | tail -n 1)
fi
printf 'sandpiper-look %s %s %s %s %s %s %s %s\n%s\n.\n' \
  "$dir" "$lock" "$marker" "$running" "$code" "$size" "$asked" "${result:--}" "$base/runs/$id/out"
