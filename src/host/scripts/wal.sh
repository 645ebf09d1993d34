# Gives out the newest WAL segment: its name, how it is packed, its bytes. Argument: the directory.
dir=$1 last=
set +f
for file in "$dir"/*.wal; do
    # Names sort by sequence number.
    if [ -f "$file" ]; then last=$file; fi
done
set -f
[ -n "$last" ] || fail "there is no WAL in $dir"
echo "${last##*/}"
# Most of a segment is zeros that were put there ahead of time.
if command -v gzip >/dev/null; then
    echo gzip
    exec gzip -1 -c <"$last"
fi
echo plain
exec cat "$last"
