# roomy DIR KIB: true where so much is free.
roomy() {
    free=
    {
        read -r _ || :
        read -r _ _ _ free _ || :
    } <<END
$(df -Pk "$1" 2>/dev/null)
END
    case $free in
    '' | *[!0-9]*) return 1 ;;
    *) [ "$free" -ge "$2" ] ;;
    esac
}
