# prune.sh: deletes the directories of old runs. Arguments: an id of the question, and how many minutes they are kept.
# The newest run stays, and so do all markers: they say for as long as the sandbox lives that a run may have been paid.
id=$1 keep=$2
cd "$base/runs" 2>/dev/null || { printf 'sandpiper-prune 0\n.\n'; exit 0; }
newest= n=0
read -r newest 2>/dev/null < "$base/latest"
while IFS= read -r -d '' folder; do
  [[ $folder == "./$newest" ]] && continue
  rm -rf -- "$folder" && ((n += 1))
done < <(exec find . -mindepth 1 -maxdepth 1 -type d -mmin "+$keep" -print0)
printf 'sandpiper-prune %d\n.\n' "$n"
