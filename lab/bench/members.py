"""Times changes of members: rolling restarts under writes, and a bare host that becomes a voter. Started by
`run members`; see README.md.

Usage: members.py DIRECTORY-OF-ONE-ETCD-RELEASE, with QUORATE (the executable) and LAB in the environment.
"""

import json
import os
import shutil
import subprocess
import sys
import time

from bench import HERE, LAB, QUORATE, RELEASE, Round, check, operator, ratio, show, timed

RUNS = int(os.environ.get("RUNS", "5"))
# etcd takes a new member only when all others have been connected for 5 s (`HealthInterval`).
CONNECTED = 6


def founded(hosts, members):
    """A cluster of the first `members` hosts, made by quorate; returns the operator's directory."""
    directory = hosts.dir / "work"
    directory.mkdir()
    listed = "".join(f"  - name: n{i}\n    address: {a}\n" for i, a in enumerate(hosts.addresses[:members], 1))
    (directory / "inventory.yml").write_text(
        f'cluster: bench\netcd:\n  version: "{RELEASE.name}"\nssh:\n  identity: [{hosts.key}]\nhosts:\n{listed}'
    )
    check(QUORATE, "bundle", "create", "--out", directory / "etcd.qbundle", RELEASE)
    for arguments in [("trust", "--yes"), ("up", "--yes")]:
        operator(QUORATE, *arguments, cwd=directory)
    return directory


class Writes:
    """100 writes a second for as long as it lasts; `seen` is what became of them."""

    def __init__(self, hosts, directory):
        command = [LAB, "run", sys.executable, HERE / "writer.py", directory / "client", *hosts.addresses]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        if self.process.stdout.readline() != "writing\n":
            sys.exit("the writer does not write")
        return self

    def __exit__(self, *_):
        time.sleep(1)  # what comes right after the change belongs to it
        self.seen = json.loads(self.process.communicate()[0])


def restarts():
    """The same cluster, restarted by each contender in turn."""
    with Round(3) as hosts:
        directory = founded(hosts, 3)
        operator(QUORATE, "pki", "issue", "bench", "--out", directory / "client", cwd=directory)
        inventory = hosts.dir / "inventory.ini"
        inventory.write_text(
            "[etcd]\n" + "\n".join(hosts.addresses) + "\n[etcd:vars]\nansible_user=root\n"
            f"ansible_ssh_common_args=-F {hosts.dir}/ssh_config\nclient={directory}/client\n"
            f"ansible_playbook_python={sys.executable}\n"
        )
        environment = {**os.environ, "ANSIBLE_CONFIG": str(HERE / "ansible/ansible.cfg"), "HOME": str(hosts.dir)}

        def plain():
            for address in hosts.addresses:
                operator("ssh", "-F", hosts.dir / "ssh_config", f"root@{address}", "systemctl restart etcd")

        def quorate():
            operator(QUORATE, "restart", "--yes", cwd=directory)

        def ansible():
            operator("ansible-playbook", "-i", inventory, HERE / "ansible/restart.yml", env=environment)

        figures = {}
        for contender in [plain, quorate, ansible]:
            operator(QUORATE, "health", cwd=directory)
            with Writes(hosts, directory) as writes:
                seconds = timed(contender)
            name = f"restart, {contender.__name__}"
            figures[name] = seconds
            figures[f"{name}: longest gap, ms"] = writes.seen["longest_gap_ms"]
            figures[f"{name}: attempts that failed"] = writes.seen["failed_attempts"]
            figures[f"{name}: acknowledged writes lost"] = writes.seen["lost"]
            figures[f"{name}: writes never acknowledged"] = writes.seen["written"] - writes.seen["acks"]
        return figures


def floor():
    """Three members by the floor; the files of a fourth pushed and started the same way, until it says it is healthy.
    Entering it into the member list beforehand is not timed."""
    with Round(4) as hosts:
        everybody, newcomer = hosts.addresses, hosts.addresses[3]
        hosts.addresses = everybody[:3]
        hosts.files()
        operator(HERE / "floor", hosts.dir)
        later = hosts.dir / "later"
        root = later / "hosts" / newcomer
        shutil.copytree(hosts.dir / "hosts" / everybody[0], root)
        check(HERE / "certificates", "--shared", hosts.dir / "pki", newcomer)
        for end in ["crt", "key"]:
            shutil.copy(hosts.dir / "pki" / f"shared.{end}", root / "etc/etcd/pki" / f"etcd.{end}")
        hosts.addresses = everybody
        config = hosts.config(newcomer).replace("initial-cluster-state: new", "initial-cluster-state: existing")
        (root / "etc/etcd/etcd-config.yml").write_text(config)
        shutil.copytree(hosts.dir / "pki", later / "pki")
        shutil.copy(hosts.dir / "ssh_config", later)
        time.sleep(CONNECTED)
        pki = "--cacert /etc/etcd/pki/ca.crt --cert /etc/etcd/pki/etcd.crt --key /etc/etcd/pki/etcd.key"
        add = f"/opt/etcd/etcdctl {pki} member add {newcomer} --learner --peer-urls=https://{newcomer}:2380"
        operator("ssh", "-F", hosts.dir / "ssh_config", f"root@{everybody[0]}", add)
        return {"add a member, floor": timed(lambda: operator(HERE / "floor", later))}


def add_node():
    """From a bare host to a promoted voter."""
    with Round(4) as hosts:
        directory = founded(hosts, 3)
        time.sleep(CONNECTED)

        def add():
            operator(QUORATE, "add-node", "n4", "--address", hosts.addresses[3], "--yes", cwd=directory)

        return {"add a member, quorate": timed(add)}


def main():
    figures = show("members", [restarts, floor, add_node], RUNS)
    ratio(figures, "restart, ansible", "restart, quorate", "wanted: 2 or more")
    gaps = [f"restart, {who}: longest gap, ms" for who in ["quorate", "plain"]]
    ratio(figures, *gaps, "wanted: 1 or less")
    ratio(figures, "add a member, quorate", "add a member, floor", "wanted: 2 or less")
    lost = sum(sum(values) for what, values in figures.items() if what.endswith("lost"))
    print(f"acknowledged writes lost: {lost:.0f} (wanted: 0)")


main()
