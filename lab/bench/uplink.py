"""Times `up` and `upgrade` where the operator's own line is slow. Started by `run uplink`; see README.md.

Usage: uplink.py DIRECTORY-OF-ONE-ETCD-RELEASE, with QUORATE (the executable) and LAB in the environment.
"""

import os
import statistics
import sys

from bench import LAB, QUORATE, RELEASE, Round, check, operator, timed

RUNS = int(os.environ.get("RUNS", "1"))
SIZES = [3, 5]
RATES = ["off", "100mbit", "20mbit"]


def sent():
    """Bytes that have left the operator's machine."""
    return int(operator("cat", "/sys/class/net/eth0/statistics/tx_bytes"))


def older():
    """The newest release of the series before."""
    series = RELEASE.name.split(".")
    before = RELEASE.parent.glob(f"{series[0]}.{int(series[1]) - 1}.*")
    return max(before, key=lambda release: [int(part) for part in release.name.split(".")])


def round_of(size, rate):
    """Seconds and MiB of `up` with the older release, and of the upgrade."""
    with Round(size) as hosts:
        directory = hosts.dir / "work"
        directory.mkdir()
        members = "".join(f"  - name: n{i}\n    address: {a}\n" for i, a in enumerate(hosts.addresses, 1))
        (directory / "inventory.yml").write_text(
            f'cluster: bench\netcd:\n  version: "{older().name}"\nssh:\n  identity: [{hosts.key}]\nhosts:\n{members}'
        )
        check(QUORATE, "bundle", "create", "--out", directory / "etcd.qbundle", older(), RELEASE)
        operator(QUORATE, "trust", "--yes", cwd=directory)
        check(LAB, "slow", "operator", rate)
        for command in [["up"], ["upgrade", "--to", RELEASE.name]]:
            before = sent()
            seconds = timed(lambda: operator(QUORATE, *command, "--yes", cwd=directory))
            yield command[0], seconds, (sent() - before) / 2**20


def main():
    print(f"| etcd {older().name}, then {RELEASE.name} | line | s | MiB that crossed it |\n|---|---|---|---|")
    for size in SIZES:
        for rate in RATES:
            rounds = [list(round_of(size, rate)) for _ in range(RUNS)]
            for command in zip(*rounds):
                seconds, mib = (statistics.median(one[field] for one in command) for field in (1, 2))
                print(f"| {command[0][0]}, {size} hosts | {rate} | {seconds:.1f} | {mib:.0f} |")
                sys.stdout.flush()


main()
