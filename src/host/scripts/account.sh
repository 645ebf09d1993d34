# How root works where somebody else may write: as that account, never as root by path name. What lies in a directory of
# etcd's can be a link to anywhere by the time it is opened; for etcd's own uid that leads nowhere new.

# keeper DIR: sets $keeper to `UID:GID` of the account that DIR belongs to; empty where this script runs as it, or cannot
# become anybody, or there is no DIR. A directory in which everybody may write belongs to nobody.
me=$(id -u)
keeper() {
    keeper= kept=
    [ "$me" = 0 ] && [ -d "$1" ] || return 0
    kept=$(stat -L -c '%u %g %a' "$1") || fail "cannot look at $1"
    keeper=${kept% *}
    case $keeper in
    '0 '*)
        # Root's, and open to everybody, like a disk that was just mounted: everybody is nobody in particular.
        if others_write "${kept##* }"; then keeper=65534:65534; else keeper=; fi
        ;;
    *) keeper=${keeper% *}:${keeper#* } ;;
    esac
    return 0
}

# others_write MODE: whether the bits let a group or everybody write.
others_write() {
    case $1 in
    *[2367]? | *[2367]) ;;
    *) return 1 ;;
    esac
}

# find_dropper: sets $dropper to what gives root up. util-linux has setpriv everywhere but in busybox.
dropper=
find_dropper() {
    [ -z "$dropper" ] || return 0
    dropper=chroot
    if setpriv --reuid=0 --regid=0 --clear-groups --no-new-privs true 2>/dev/null; then dropper=setpriv; fi
}

# apart UID:GID COMMAND...: runs it with that uid and gid, no other group, no capability, and no way to gain one. An
# empty UID:GID is whoever this runs as.
apart() {
    who=$1
    shift
    if [ -z "$who" ]; then
        "$@"
        return
    fi
    find_dropper
    case $dropper in
    setpriv) (cd / && exec setpriv --reuid="${who%:*}" --regid="${who#*:}" --clear-groups --no-new-privs "$@") ;;
    *) (cd / && exec chroot --userspec="+${who%:*}:+${who#*:}" --groups= / "$@") ;;
    esac
}

# with_groups UID:GID COMMAND...: as `apart`, with the groups that a unit of that account has, where there is such an account.
with_groups() {
    find_dropper
    if [ "$dropper" = setpriv ] && groups=$(id -G "${1%:*}" 2>/dev/null); then
        who=$1
        shift
        (
            cd / && exec setpriv --reuid="${who%:*}" --regid="${who#*:}" --groups="$(echo "$groups" | tr ' ' ,)" \
                --no-new-privs "$@"
        )
        return
    fi
    apart "$@"
}

# way PATH: sets $way to every directory that a look-up of PATH passes through, those that links lead through included,
# and $end to where it ends.
way() {
    way= rest=${1#/} end= links=0
    while [ -n "$rest" ]; do
        part=${rest%%/*}
        case $rest in */*) rest=${rest#*/} ;; *) rest= ;; esac
        case $part in
        '' | .) continue ;;
        ..)
            end=${end%/*}
            continue
            ;;
        esac
        way="$way ${end:-/}"
        if [ ! -L "$end/$part" ]; then
            end=$end/$part
            continue
        fi
        links=$((links + 1))
        [ "$links" -le 40 ] || fail "too many links on the way to $1"
        target=$(readlink "$end/$part") || fail "cannot read the link $end/$part"
        case $target in *[![:graph:]]*) fail "the link $end/$part leads to a name with a blank in it" ;; esac
        case $target in /*) end= ;; esac
        rest=${target#/}/$rest
    done
}

# exposed PATH UID:GID: sets $exposed to a directory above PATH in which that account, or anybody else who is not root, could
# exchange what leads there; empty when there is none. Whom PATH belongs to proves nothing: a link in its place may lead to
# something of root's, or of a third account's.
exposed() {
    exposed=
    [ "$me" = 0 ] || return 0
    way "$1"
    there=
    for above in $way; do
        if [ -d "$above" ]; then there="$there $above"; fi
    done
    looked=$(stat -L -c '%u %a %n' $there) || fail "cannot look at$there"
    while read -r owner mode above; do
        if [ "$owner" = 0 ]; then
            if ! others_write "$mode"; then continue; fi
            case $2 in '' | 0:*) continue ;; esac
            # The kernel knows about groups and access lists.
            with_groups "$2" test -w "$above" || continue
            # Sticky: nobody's entries but its own.
            case $mode in
            1???) if [ "$above" != "${end%/*}" ]; then continue; fi ;;
            esac
        fi
        exposed=$above
        return 0
    done <<END
$looked
END
}

# reader PATH: sets $keeper to the account that could exchange what lies there for something else; empty when only root can.
reader() {
    keeper=
    [ "$me" = 0 ] || return 0
    way "$1"
    owners=$(stat -L -c '%u:%g' $way) || fail "cannot look at $1"
    for owner in $owners; do
        case $owner in 0:*) ;; *) keeper=$owner ;; esac
    done
}

# held PATH UID:GID: fails where the account could put something else in PATH's place.
held() {
    exposed "$1" "$2"
    [ -z "$exposed" ] ||
        fail "$exposed must be root's: who may write there could exchange $1 for something else"
}

# belongs DIR...: sets $keeper to the account that the directories belong to, the first that is there; they must be held.
belongs() {
    holder=
    for dir; do
        if [ "$dir" = - ] || [ ! -e "$dir" ]; then continue; fi
        keeper "$dir"
        held "$dir" "$keeper"
        if [ -z "$holder" ]; then holder=$keeper; fi
    done
    keeper=$holder
}
