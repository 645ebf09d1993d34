"""Times ten clusters on thirty hosts: created, found up to date, and looked at. Started by `run fleet`; see README.md.

Usage: fleet.py DIRECTORY-OF-ONE-ETCD-RELEASE, with QUORATE (the executable) and LAB in the environment.
"""

import json
import os
import shutil
import sys

from bench import HERE, LAB, QUORATE, RELEASE, Round, check, operator, peak_and_time, playbook, ratio, show, timed

RUNS = int(os.environ.get("RUNS", "2"))
CLUSTERS, MEMBERS = 10, 3
# How many inventories are looked at in one command, each of a real cluster.
LOOKS = [10, 50, 100]


def groups(hosts):
    """The addresses of each cluster."""
    return [hosts.addresses[at : at + MEMBERS] for at in range(0, CLUSTERS * MEMBERS, MEMBERS)]


def founded(hosts):
    """The operator's directory: clusters/, the bundle, host keys that are trusted."""
    directory = hosts.dir / "work"
    for number, addresses in enumerate(groups(hosts)):
        at = directory / f"clusters/c{number}"
        at.mkdir(parents=True)
        members = "".join(f"  - name: n{i}\n    address: {a}\n" for i, a in enumerate(addresses, 1))
        (at / "inventory.yml").write_text(f"cluster: c{number}\nhosts:\n{members}")
    shared = f'etcd:\n  version: "{RELEASE.name}"\nssh:\n  identity: [{hosts.key}]\n'
    (directory / "clusters/defaults.yml").write_text(shared)
    check(QUORATE, "bundle", "create", "--out", directory / "etcd.qbundle", RELEASE)
    for number in range(CLUSTERS):
        operator(QUORATE, "-i", inventory(number), "trust", "--yes", cwd=directory)
    return directory


def inventory(number):
    return f"clusters/c{number}/inventory.yml"


def quorate(*arguments):
    return (LAB, "run", QUORATE, "--bundle", "etcd.qbundle", *arguments)


def one_command():
    """All clusters in one command, the canary first; and what looking at many takes."""
    with Round(CLUSTERS * MEMBERS) as hosts:
        directory = founded(hosts)
        every = quorate("--fleet", "clusters", "--parallel", str(CLUSTERS), "up", "--yes")
        first, peak = peak_and_time(*every, cwd=directory)
        again, _ = peak_and_time(*every, cwd=directory)
        return {
            "one command": first,
            "one command, MiB at its peak": peak,
            "one command, nothing to do": again,
            **looks(directory),
        }


def looks(directory):
    """`status` of many inventories: copies of those of the ten clusters, so each of them is logged in to and asked."""
    figures = {}
    for many in LOOKS:
        fleet = directory / f"fleet{many}"
        for number in range(many):
            shutil.copytree(directory / "clusters" / f"c{number % CLUSTERS}", fleet / f"c{number}")
        shutil.copy(directory / "clusters/defaults.yml", fleet)
        # Copies claim the same hosts: it says so (3), and looks at each all the same. On a machine that is too busy for thirty
        # members, some have no leader when they are asked (11, 5).
        status = quorate("--fleet", fleet.name, "status", "--output", "json")
        seconds, peak = peak_and_time(*status, cwd=directory, codes=[0, 3, 5, 11])
        rows = [json.loads(line) for line in (directory / "output").read_text().splitlines() if line.startswith("{")]
        if len(rows) != many:
            sys.exit(f"{len(rows)} rows for {many} clusters")
        healthy = sum(row["exit_code"] == 0 for row in rows)
        figures |= {
            f"status of {many}": seconds,
            f"status of {many}, healthy": healthy,
            f"status of {many}, MiB at its peak": peak,
        }
    return figures


def ten_commands():
    """The same, one cluster after the other."""
    with Round(CLUSTERS * MEMBERS) as hosts:
        directory = founded(hosts)

        def each():
            for number in range(CLUSTERS):
                check(*quorate("-i", inventory(number), "up", "--yes"), cwd=directory)

        return {"ten commands": timed(each), "ten commands, nothing to do": timed(each)}


def ansible():
    """One playbook, all hosts at once."""
    with Round(CLUSTERS * MEMBERS) as hosts:
        hosts.files()
        return playbook(hosts, "ansible", HERE / "ansible/playbook.yml", groups=groups(hosts))


def main():
    figures = show(f"{CLUSTERS} clusters of {MEMBERS}", [one_command, ten_commands, ansible], RUNS)
    for other in ["ten commands", "ansible"]:
        ratio(figures, other, "one command", "wanted: more than 1")
    ratio(figures, "ten commands, nothing to do", "one command, nothing to do", "wanted: more than 1")
    ratio(figures, "ansible again", "one command, nothing to do", "wanted: 20 or more")
    ratio(figures, f"status of {LOOKS[-1]}, MiB at its peak", f"status of {LOOKS[0]}, MiB at its peak", "wanted: 1.5 or less")


main()
