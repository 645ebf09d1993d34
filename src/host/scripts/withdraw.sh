# Removes what was installed for a member that is stopped for good. Arguments: manager unit timer run pki note(-: it stays)
# files...
manager=$1 unit=$2 timer=$3 run=$4 pki=$5 note=$6
shift 6

# remove DIR PATTERN...: what is in it by these names, which quorate alone gives.
remove() {
    dir=$1
    shift
    set +f
    for pattern; do
        for entry in "$dir"/$pattern; do
            if [ -e "$entry" ] || [ -L "$entry" ]; then gone "$entry"; fi
        done
    done
    set -f
}

# Whoever was stopped for good may have been started again by hand.
idle
if [ "$manager" = systemd ]; then timer_off "$timer"; fi
for file; do
    gone "$file"
    gone "${file%/*}/.${file##*/}.previous"
done
remove "$pki" '.gen-*' '.gone*'
if [ "$manager" = systemd ]; then
    systemctl daemon-reload
    systemctl reset-failed "$unit" 2>/dev/null || :
else
    remove "$run" started exit restarts supervise.sh
fi
rmdir "$pki" 2>/dev/null || :
sync "${pki%/*}" 2>/dev/null || :
# Until here nobody may take the host for one that was never used.
if [ "$note" != - ]; then
    rm -f "$note" || fail "cannot remove $note"
    sync "${note%/*}" || fail "cannot write to disk"
    rmdir "${note%/*}" 2>/dev/null || :
fi
echo "done"
