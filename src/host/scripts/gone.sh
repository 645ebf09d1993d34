# gone PATH: removes it, a directory with all that is in it; as the account that could put something else in its place, where there
# is one: reports of scheduled backups are in a directory of etcd's, and so were credentials and certificates of earlier versions.
gone() {
    [ -d "${1%/*}" ] || return 0
    reader "$1"
    if [ -n "$keeper" ]; then apart "$keeper" timeout 60 rm -rf -- "$1"; else clear_away "$1"; fi || fail "cannot remove $1"
}

# timer_off UNIT: its timer runs no more, where there is one.
timer_off() {
    if [ "$(systemctl show -p LoadState "$1.timer")" = LoadState=loaded ]; then
        systemctl disable --now --quiet "$1.timer" || fail "cannot disable $1.timer"
    fi
}
