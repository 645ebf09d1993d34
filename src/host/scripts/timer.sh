# The timer of scheduled backups. Arguments: verb unit [calendar | user directories...].
verb=$1 unit=$2
shift 2

# calendar EXPRESSION: systemd's own word on what it means, before anything is installed.
calendar() {
    systemd-analyze calendar -- "$1" >/dev/null 2>&1 || fail "systemd here does not understand OnCalendar=$1"
}

# prepare USER DIRECTORY...: directories that are there already stay as they are. Where the account could put a link in the
# place of one, it makes it itself: root's `install` would give away what the link leads to.
prepare() {
    user=$1
    shift
    account=$(id -u "$user"):$(id -g "$user") || fail "there is no account $user"
    for directory; do
        [ ! -d "$directory" ] || continue
        above=${directory%/*}
        while [ ! -d "${above:-/}" ]; do above=${above%/*}; done
        exposed "$above/new" "$account"
        if [ -n "$exposed" ]; then
            (umask 077 && apart "$account" mkdir -p -- "$directory") || fail "cannot make $directory"
        else
            install -d -m 0700 -o "$user" -- "$directory" || fail "cannot make $directory"
        fi
    done
}

enable() {
    systemctl daemon-reload && systemctl enable --quiet "$unit.timer" && systemctl restart "$unit.timer" ||
        fail "systemd refuses the timer $unit.timer"
    [ "$(systemctl is-active "$unit.timer")" = active ] || fail "the timer $unit.timer is not active"
}

disable() {
    timer_off "$unit"
    for file; do gone "$file"; done
    systemctl daemon-reload
}

# begin: once, now; waits for nothing.
begin() {
    systemctl start --no-block "$unit.service" || fail "systemd does not start $unit.service"
}

# run: once, now; waits for its end.
run() {
    systemctl start "$unit.service" && return
    journalctl -u "$unit.service" -n 5 -o cat --no-pager >&2 || :
    fail "$unit.service failed"
}

"$verb" "$@"
