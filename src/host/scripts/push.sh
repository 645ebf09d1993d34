# Receives files and puts them in place all together or not at all. Arguments: suffix, marker.sh. Standard input holds one
# order per line, in which `-` stands for "as it is"; `file` is followed by its bytes. Everything is staged beside its target
# first; only when all of it has arrived and every hash is right are the targets replaced, each by a rename.
# What is staged ends in suffix, the member's own: members that share a machine also share the directory of releases,
# and may be given the same one at the same time.
suffix=$1 marker=$2
staged= hashes= commits= parents=' ' missing= unsettled= unmade= linked= after= staging= gauge= unpacking= packed= notes= noted=

# Nothing half-done stays behind, whatever ends this script.
clean_up() {
    status=$?
    unset IFS
    # What is being unpacked is here as a whole: it ends soon, and must not write after the files are removed.
    trap '' HUP INT TERM PIPE
    if [ -n "$unpacking" ]; then wait || :; fi
    if [ -n "$staging$staged$packed" ]; then rm -f $staging $staged $packed || :; fi
    if [ -n "$gauge" ]; then apart "$keeper" rm -f "$gauge" || :; fi
    exit "$status"
}
trap clean_up EXIT
trap 'exit 129' HUP INT TERM PIPE

# owned PATH OWNER, moded PATH MODE: notes what settle gives to it. `:NAME` is root, with the group of that account.
owned() {
    if [ "$2" != - ]; then unsettled="${unsettled}owner:$2 $1$newline"; fi
}
moded() {
    unsettled="${unsettled}mode:$2 $1$newline"
}

# settle: makes the missing directories, then gives owners and modes: one fork for all that are to be the same.
# -h: never through a link that somebody else put there.
settle() {
    # Missing directories above get the usual mode; only the last one is ours to restrict.
    if [ -n "$missing" ]; then (umask 022 && mkdir -p $missing) || fail "cannot create$missing"; fi
    missing= unmade= settled=' '
    while read -r key _; do
        case $settled in *" $key "*) continue ;; esac
        settled="$settled$key " alike=
        while read -r other path; do
            if [ "$other" = "$key" ]; then alike="$alike $path"; fi
        done <<EOF
$unsettled
EOF
        case $key in
        owner::*)
            readers "${key#owner::}"
            chown -h "0:$group" $alike || fail "cannot give$alike to root and the group of ${key#owner::}"
            ;;
        owner:*) chown -h "${key#*:}:" $alike || fail "cannot give$alike to ${key#*:}" ;;
        mode:*) chmod "${key#*:}" $alike || fail "cannot set the mode of$alike" ;;
        esac
    done <<EOF
$unsettled
EOF
    unsettled=
}

# account NAME HOME: a system account without a login. useradd may be missing where systemd-sysusers is not.
account() {
    if id -u "$1" >/dev/null 2>&1; then return; fi
    if command -v systemd-sysusers >/dev/null; then
        echo "u $1 - \"etcd server\" $2" | systemd-sysusers - || fail "cannot create the account $1"
    elif command -v useradd >/dev/null; then
        useradd --system --user-group --no-create-home --home-dir "$2" --shell /usr/sbin/nologin "$1" ||
            fail "cannot create the account $1"
    else
        fail "cannot create the account $1: neither systemd-sysusers nor useradd is here"
    fi
    id -u "$1" >/dev/null 2>&1 || fail "the account $1 is still missing after it was created"
}

# readers NAME: sets $group to that account's own group. What it may read nobody else may.
readers() {
    group=$(id -g "$1") || fail "there is no account $1"
    [ "$group" != 0 ] || return 0
    while IFS=: read -r name _ _ number _; do
        if [ "$number" = "$group" ] && [ "$name" != "$1" ]; then
            fail "$name has the same group as $1, and could read its keys: give $1 a group of its own"
        fi
    done </etc/passwd
}

# rooted DIR: fails where root must not put anything there by its name, or make it: somebody else could exchange it meanwhile.
rooted=' '
rooted() {
    case $rooted in *" $1 "*) return 0 ;; esac
    where=$1
    until [ -d "${where:-/}" ]; do where=${where%/*}; done
    reader "$where/new"
    if [ -n "$keeper" ] && [ -n "$unmade" ]; then
        settle
        reader "$where/new"
    fi
    [ -z "$keeper" ] || fail "$loose is not root's: its owner could exchange what is put into $1"
    rooted="$rooted$1 "
}

# directory PATH MODE OWNER: made by settle, before anything else is put into it.
directory() {
    rooted "${1%/*}"
    if [ "$me" = 0 ] && [ "$3" != - ]; then
        account=${3#:}
        held "$1" "$(id -u "$account"):$(id -g "$account")"
    fi
    if [ ! -d "$1" ]; then missing="$missing $1"; fi
    unmade=1
    owned "$1" "$3"
    moded "$1" "$2"
}

# fresh PATH MODE OWNER: a directory of a generation. One that is there already and is not root's is none of ours: the
# account that it belongs to may still write into it.
fresh() {
    settle
    if [ "$me" = 0 ] && [ -d "$1" ]; then
        keeper "$1"
        if [ -L "$1" ] || [ -n "$keeper" ]; then
            [ "$(readlink "${1%/*}/current" || :)" != "${1##*/}" ] || fail "$1 is in use, and is not root's"
            mv -T "$1" "${1%/*}/.gone$suffix.$$" || fail "cannot move $1 out of the way"
            clear_away "${1%/*}/.gone$suffix.$$" || :
        fi
    fi
    directory "$1" "$2" "$3"
}

# adopt DIR OWNER: makes the files in a directory of root's anew that earlier versions gave to the account. Each is read as
# that account, to which a link leads nowhere new; what is no file is left alone.
adopt() {
    settle
    readers "${2#:}"
    owner=$(id -u "${2#:}"):$group
    set +f
    for entry in "$1"/* "$1"/.*; do
        [ -f "$entry" ] || continue
        set -f
        stage "$entry"
        create 0640 give_out "$owner" "$entry" || fail "cannot read $entry"
        chown -h "0:$group" "$staging" || fail "cannot give $entry to root"
        sync "$staging" && mv -fT "$staging" "$entry" || fail "cannot replace $entry"
        staging=
        set +f
    done
    set -f
}

# gauge DIR: how long the disk takes for a small write that must be on it, which etcd does for every batch of entries.
gauge() {
    belongs "$1"
    gauge=$1/.quorate-gauge
    apart "$keeper" rm -rf "$gauge" || fail "cannot write in $1"
    begun=$(date +%s%N) writes=32 measured=0
    apart "$keeper" timeout 3 dd if=/dev/zero of="$gauge" bs=2048 count=$writes oflag=dsync status=none 2>/dev/null ||
        measured=$?
    ended=$(date +%s%N)
    # busybox knows neither nanoseconds nor dsync: no figure is better than no member. (124: slower than that.)
    case $measured:$begun$ended in
    *:*[!0-9]*) ;;
    0:* | 124:*) echo "synced_write_us $(((ended - begun) / 1000 / writes))" ;;
    esac
    apart "$keeper" rm -f "$gauge"
    gauge=
}

# note DIR NAME BYTES, then BYTES bytes: the member's marker, which is part of its data. Written when all else is in place.
note() {
    noted=$(take "$3") || fail "cannot take $2"
    notes="$notes$1 $2$newline"
}

# write_notes: each in its directory, as the account that the directory belongs to.
write_notes() {
    while read -r dir name; do
        [ -n "$dir" ] || continue
        belongs "$dir"
        printf '%s\n' "$noted" | apart_with "$keeper" timeout 60 sh -c "$marker" quorate "$dir" "$name" >/dev/null ||
            fail "cannot write $dir/$name"
    done <<EOF
$notes
EOF
}

# stage PATH: sets $staging to a fresh name beside PATH. A file or link that is there already is in nobody's use.
stage() {
    rooted "${1%/*}"
    staging=${1%/*}/.${1##*/}$suffix
    for old in "$staging" "$staging.gz"; do
        if [ -e "$old" ] || [ -L "$old" ]; then clear_away "$old" || fail "cannot write in ${1%/*}"; fi
    done
}

# create MODE COMMAND...: the command's output becomes $staging, which has its mode from the beginning where no bit for
# execution is in it. `set -C`: never write through a planted link.
create() {
    case $1 in
    0600) mask=077 ;;
    0640) mask=027 ;;
    0644) mask=022 ;;
    *) mask=077 && moded "$staging" "$1" ;;
    esac
    shift
    (umask "$mask" && set -C && "$@" >"$staging")
}

# staged_as PATH OWNER SHA256 KEEP
staged_as() {
    owned "$staging" "$2"
    staged="$staged $staging"
    hashes="$hashes$3  $staging$newline"
    commits="$commits$1 $4$newline"
    case $parents in *" ${1%/*} "*) ;; *) parents="$parents${1%/*} " ;; esac
    staging=
}

# file PATH MODE OWNER SHA256 KEEP BYTES ENCODING, then BYTES bytes.
# `gzip` and `zstd` name what unpacks them as they arrive. With `aside` gzip does so while the next file arrives: it is
# slower than a good network.
file() {
    stage "$1"
    case $7 in
    gzip | zstd) create "$2" take_packed "$6" "$7" ;;
    aside)
        packed="$packed $staging.gz"
        create "$2" : && (set -C && take "$6" >"$staging.gz")
        ;;
    *) create "$2" take "$6" ;;
    esac || fail "cannot write $1"
    if [ "$7" = aside ]; then
        gzip -d -c "$staging.gz" >>"$staging" &
        unpacking="$unpacking $!:$1"
    fi
    staged_as "$1" "$3" "$4" "$5"
}

# copy PATH MODE OWNER SHA256 FROM: a file that is on the host already, such as a key that never leaves it.
copy() {
    stage "$1"
    reader "$5"
    create "$2" give_out "$keeper" "$5" || fail "cannot copy $5 to $1"
    staged_as "$1" "$3" "$4" 0
}

# unpacked: waits for what is still being unpacked.
unpacked() {
    for each in $unpacking; do
        wait "${each%%:*}" || fail "cannot write ${each#*:}"
    done
    if [ -n "$packed" ]; then rm -f $packed; fi
    unpacking= packed=
}

# prove PATH: runs the staged binary, so that one that cannot run here never gets its name: as nobody, since what arrived may
# be anybody's. It is opened first, because nobody need not come to where it lies.
prove() {
    unpacked
    settle
    binary=${1%/*}/.${1##*/}$suffix
    nobody=
    if [ "$me" = 0 ]; then nobody=65534:65534; fi
    said=$(apart_with "$nobody" timeout 20 sh -c 'exec /proc/self/fd/0 --version' <"$binary" 2>&1 | head -c 65536) || :
    case $said in
    "etcd Version: "*) echo "proved ${said%%"$newline"*}" ;;
    '') fail "$1 cannot run here (a $(uname -m) machine): it does not tell its version" ;;
    # The shell's words name the descriptor, the dynamic loader's the program.
    *) said=${said%%"$newline"*} && fail "$1 cannot run here (a $(uname -m) machine): ${said##*/proc/self/fd/0: }" ;;
    esac
}

# sums FILE...: what sha256sum prints. openssl, where it is there, uses what the processor has for it: several times faster.
sums() {
    if summed=$(openssl dgst -sha256 -r "$@" 2>/dev/null); then
        while read -r sum path; do echo "$sum  ${path#\*}"; done <<EOF
$summed
EOF
    else
        sha256sum "$@"
    fi
}

verify() {
    unpacked
    settle
    [ -n "$staged" ] || return 0
    found=$(sums $staged) || fail "cannot read back what was written"
    [ "$found$newline" != "$hashes" ] || return 0
    # Which one it was: the first line that was expected and is not there.
    IFS=$newline
    for expected in $hashes; do
        case $newline$found$newline in
        *"$newline$expected$newline"*) ;;
        *)
            path=${expected#*  } name=${expected##*/.}
            fail "what arrived for ${path%/*}/${name%"$suffix"} is not what was sent (its SHA-256 differs)"
            ;;
        esac
    done
    fail "what arrived is not what was sent"
}

commit() {
    [ -n "$staged" ] || return 0
    sync $staged || fail "cannot write to disk"
    while read -r path keep; do
        [ -n "$path" ] || continue
        if [ "$keep" = 1 ] && [ -f "$path" ]; then
            ln -f "$path" "${path%/*}/.${path##*/}.previous" || fail "cannot keep the previous $path"
        fi
        mv -fT "${path%/*}/.${path##*/}$suffix" "$path" || fail "cannot replace $path"
    done <<EOF
$commits
EOF
    staged=
    sync $parents || fail "cannot write to disk"
}

# link PATH TARGET: makes PATH a symbolic link in one step; a plain file that was there is kept beside.
link() {
    rooted "${1%/*}"
    linked="$linked ${1%/*}"
    if [ -L "$1" ] && [ "$(readlink "$1")" = "$2" ]; then return; fi
    if [ ! -e "$1" ] && [ ! -L "$1" ]; then
        ln -s "$2" "$1" || fail "cannot create the link $1"
        return
    fi
    if [ -f "$1" ] && [ ! -L "$1" ]; then ln -f "$1" "${1%/*}/.${1##*/}.previous" || fail "cannot keep $1"; fi
    stage "$1"
    ln -s "$2" "$staging" || fail "cannot create the link $1"
    mv -fT "$staging" "$1" || fail "cannot replace $1"
    staging=
}

# links_last: what the links lead to is in place before anybody is told to read it.
links_last() {
    if [ -n "$linked" ]; then sync $linked || fail "cannot write to disk"; fi
    linked=
}

# remember DIR: notes what was verified there, with what changes whenever a file does (inode, size, change time), so
# that observe.sh need not hash large files again that nobody has touched since.
remember() {
    IFS=$newline
    for line in $hashes; do
        path=${line#*  } name=${line##*/.}
        if [ "${path%/*}" = "$1" ]; then
            echo "${line%% *} $(stat -c '%i %s %z %n' "$1/${name%"$suffix"}")"
        fi
    done >>"$1/.checked" || fail "cannot write $1/.checked"
    unset IFS
}

# absent PATH: removes what an earlier push put where nothing was.
absent() {
    rooted "${1%/*}"
    clear_away "$1" || fail "cannot remove $1"
    linked="$linked ${1%/*}"
}

# prune DIR KEEP: removes all but the newest KEEP generations, and never the current one.
prune() {
    rooted "$1"
    kept=0 current=$(readlink "$1/current" || :)
    for generation in $(ls -1At "$1"); do
        case $generation in
        "$current" | .gen-*[!0-9a-f]*) ;;
        .gen-*)
            kept=$((kept + 1))
            if [ "$kept" -gt "$2" ]; then clear_away "$1/$generation" || :; fi
            ;;
        esac
    done
}

while :; do
    read -r order one two three four five six seven || fail "the transfer was cut off"
    case $order in
    file | copy | gauge) if [ -n "$unmade" ]; then settle; fi ;;
    esac
    case $order in
    account) account "$one" "$two" ;;
    directory) directory "$one" "$two" "$three" ;;
    adopt) adopt "$one" "$two" ;;
    fresh) fresh "$one" "$two" "$three" ;;
    note) note "$one" "$two" "$three" ;;
    file) file "$one" "$two" "$three" "$four" "$five" "$six" "$seven" ;;
    copy) copy "$one" "$two" "$three" "$four" "$five" ;;
    gauge) gauge "$one" ;;
    prove) prove "$one" ;;
    absent | link | prune | remember | systemctl) after="$after$order $one $two$newline" ;;
    end) break ;;
    *) fail "the transfer is damaged" ;;
    esac
done
verify
commit
write_notes
while read -r order one two; do
    if [ "$order" != link ]; then links_last; fi
    case $order in
    absent) absent "$one" ;;
    link) link "$one" "$two" ;;
    prune) prune "$one" "$two" ;;
    remember) remember "$one" ;;
    systemctl) systemctl --quiet "$one" $two || fail "systemctl $one $two did not work" ;;
    esac
done <<EOF
$after
EOF
links_last
echo "done"
