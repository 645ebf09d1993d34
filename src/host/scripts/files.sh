# managed_files FILE...: mode, owner, hash and, of those in $contents, content.
managed_files() {
    present=
    for path; do
        above=${path%/*}
        if [ -d "$above" ] && [ ! -x "$above" ]; then fail "cannot look into $above"; fi
        if [ -f "$path" ]; then
            present="$present $path"
        elif [ -L "$path" ] && [ "$(readlink "$path")" = /dev/null ]; then
            echo "masked $path"
        elif [ -e "$path" ]; then
            fail "$path is not a file"
        fi
    done
    [ -n "$present" ] || return 0
    seen=$(stat -L -c '%a %U %u %s %n' $present) || fail "cannot look at the managed files"
    while read -r mode owner number size path; do
        echo "file $mode $owner $number $path"
        case $contents in
        *" $path "*)
            if [ "$size" -le 1048576 ]; then
                echo "content $path"
                head -c 1048576 "$path" | base64
                echo .
            fi
            ;;
        esac
    done <<END
$seen
END
    timeout 20 sha256sum $present || :
}
