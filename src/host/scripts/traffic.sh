# The established connections to and from two ports, as the kernel's own counters show them. Arguments: the two ports.
if ! command -v ss >/dev/null 2>&1; then
    echo "missing"
    echo "done"
    exit 0
fi
ss -tinpH state established "( sport = :$1 or dport = :$1 or sport = :$2 or dport = :$2 )" || fail "cannot list connections"
echo "done"
