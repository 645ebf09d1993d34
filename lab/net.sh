# The lab's network: a switch (namespace with a bridge), the operator and every host in namespaces of their own,
# each with one cable (veth pair) to the switch. No namespace has a way out of the machine. Sourced by lab/lab.
# shellcheck shell=bash

# Namespace of the switch, and of a port (`operator` or a host).
switch_ns() { echo "ql-$LAB.switch"; }
port_ns() { if [ "$1" = operator ]; then echo "ql-$LAB"; else echo "ql-$LAB.$1"; fi; }

# net_up SUBNET: the switch. 10.77.SUBNET.0/24 and fd77:SUBNET::/64.
net_up() {
    ip netns add "$(switch_ns)"
    ip -n "$(switch_ns)" link add br0 type bridge forward_delay 0
    ip -n "$(switch_ns)" link set br0 up
}

# net_attach PORT NUMBER SUBNET: a namespace for PORT with a cable to the switch, address .NUMBER.
net_attach() {
    local ns
    ns=$(port_ns "$1")
    ip netns add "$ns"
    ip -n "$(switch_ns)" link add "$1" type veth peer name eth0 netns "$ns"
    ip -n "$(switch_ns)" link set "$1" master br0 up
    ip -n "$ns" link set lo up
    ip -n "$ns" address add "10.77.$3.$2/24" dev eth0
    ip -n "$ns" address add "fd77:$3::$2/64" dev eth0 nodad
    ip -n "$ns" link set eth0 up
}

net_cut() { ip -n "$(switch_ns)" link set "$1" down; }
net_mend() { ip -n "$(switch_ns)" link set "$1" up; }

# net_slow PORT RATE: a limit in both directions (20mbit, 512kbit, ...), or `off`.
net_slow() {
    local ns dev
    for end in "$(switch_ns) $1" "$(port_ns "$1") eth0"; do
        read -r ns dev <<<"$end"
        tc -n "$ns" qdisc del dev "$dev" root 2>/dev/null || true
        [ "$2" = off ] || tc -n "$ns" qdisc add dev "$dev" root tbf rate "$2" burst 32k latency 400ms
    done
}

# net_delay PORT MS|off: a long cable, between the port's own cable and the switch (lab/delay).
net_delay() {
    local switch pid
    switch=$(switch_ns)
    if [ -e "$STATE/$1/delay.pid" ]; then
        pid=$(cat "$STATE/$1/delay.pid")
        kill "$pid" 2>/dev/null || true
        rm "$STATE/$1/delay.pid"
        ip -n "$switch" link del "d-$1"
        ip -n "$switch" link set "$1" master br0
    fi
    [ "$2" != off ] || return 0
    ip -n "$switch" link add "d-$1" type veth peer name "e-$1"
    ip -n "$switch" link set "$1" nomaster
    ip -n "$switch" link set "e-$1" master br0 up
    ip -n "$switch" link set "d-$1" up
    : >"$STATE/$1/delay.log"
    # shellcheck disable=SC2154 # set by lab/lab
    nice -n -15 ip netns exec "$switch" "$here/delay" "$1" "d-$1" "$2" </dev/null >>"$STATE/$1/delay.log" 2>&1 9>&- &
    pid=$!
    disown
    echo "$pid" >"$STATE/$1/delay.pid"
    until grep -qx ready "$STATE/$1/delay.log"; do
        kill -0 "$pid" 2>/dev/null || die "the long cable to $1 broke: $(tail -n 1 "$STATE/$1/delay.log")"
        sleep 0.05
    done
}

# net_namespaces: every namespace of this lab that exists.
net_namespaces() {
    ip netns list | awk -v own="ql-$LAB" '$1 == own || index($1, own ".") == 1 { print $1 }'
}

# net_down: ends what still runs in the namespaces, then takes them away; the cables go with them.
net_down() {
    local ns pid
    for ns in $(net_namespaces); do
        for pid in $(ip netns pids "$ns" 2>/dev/null); do kill -KILL "$pid" 2>/dev/null || true; done
        ip netns delete "$ns"
        rm -rf "/etc/netns/${ns:?}"
    done
}
