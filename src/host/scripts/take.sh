# take BYTES: exactly so many of standard input.
take() {
    dd bs=65536 iflag=fullblock,count_bytes count="$1" status=none
}
# take_packed BYTES TOOL
take_packed() {
    take "$1" | "$2" -q -d -c
}

