# gone PATH: removes it, a directory with all that is in it; as the account that may write there, where one may: reports of
# scheduled backups are in a directory of etcd's, and so were credentials and certificates of earlier versions.
gone() {
    keeper "${1%/*}"
    above=$keeper keeper=
    if [ -d "$1" ] && [ ! -L "$1" ]; then keeper "$1"; fi
    if [ -n "$keeper" ]; then
        apart "$keeper" timeout 60 sh -c 'rm -rf "$1"/* "$1"/.[!.]* "$1"/..?*' quorate "$1" || :
    fi
    apart "$above" rm -rf -- "$1" || fail "cannot remove $1"
}
