"""Times quorate, plain ssh and Ansible at the same work and prints one table. Started by `run`; see README.md.

Usage: bench.py DIRECTORY-OF-ONE-ETCD-RELEASE, with QUORATE (the executable) and LAB in the environment.
"""

import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
LAB = HERE.parent / "lab"
RELEASE = Path(sys.argv[1])
QUORATE = os.environ["QUORATE"]
ROLE = os.environ.get("ETCD_ROLE")
RUNS = int(os.environ.get("RUNS", "5"))
PROGRAMS = ["etcd", "etcdctl", "etcdutl"]


def check(*command, **options):
    """Runs a command; what it said is shown only when it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}")
    return done.stdout


def operator(*command, **options):
    """Runs a command where the lab's operator sits."""
    return check(LAB, "run", *command, **options)


class Round:
    """Bare hosts, and a directory with what the contenders are given beforehand."""

    def __init__(self, hosts=3):
        check(LAB, "up", str(hosts))
        listed = [line.split() for line in check(LAB, "list").splitlines()]
        ours = [fields for fields in listed if fields[0] == os.environ["LAB"]]
        self.names, self.addresses = [fields[1] for fields in ours], [fields[2] for fields in ours]
        self.dir = Path(tempfile.mkdtemp(prefix="quorate-bench-"))
        self.key = Path(check(LAB, "key").strip())
        (self.dir / "ssh_config").write_text(
            f"Host *\n  IdentityFile {self.key}\n  UserKnownHostsFile {self.key.parent}/known_hosts\n"
            "  StrictHostKeyChecking yes\n  ControlMaster no\n"
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        check(LAB, "down")
        shutil.rmtree(self.dir)

    def files(self):
        """The same files for the floor and for Ansible: hosts/ADDRESS/... and pki/."""
        pki = self.dir / "pki"
        pki.mkdir()
        check(HERE / "certificates", pki, *self.addresses)
        unit = (HERE / "ansible/templates/etcd.service.j2").read_text()
        for address in self.addresses:
            root = self.dir / "hosts" / address
            for part in ["opt/etcd", "etc/etcd/pki", "etc/systemd/system"]:
                (root / part).mkdir(parents=True)
            for program in PROGRAMS:
                shutil.copy(RELEASE / program, root / "opt/etcd" / program)
            shutil.copy(pki / "ca.crt", root / "etc/etcd/pki/ca.crt")
            shutil.copy(pki / f"{address}.crt", root / "etc/etcd/pki/etcd.crt")
            shutil.copy(pki / f"{address}.key", root / "etc/etcd/pki/etcd.key")
            (root / "etc/systemd/system/etcd.service").write_text(unit)
            (root / "etc/etcd/etcd-config.yml").write_text(self.config(address))

    def config(self, name):
        """Ansible's own template, filled in without Ansible."""
        import jinja2  # comes with Ansible

        template = jinja2.Template((HERE / "ansible/templates/etcd-config.yml.j2").read_text())
        return template.render(inventory_hostname=name, group_names=["etcd"], groups={"etcd": self.addresses})


def timed(work):
    start = time.monotonic()
    work()
    return time.monotonic() - start


def floor():
    with Round() as hosts:
        hosts.files()
        return {"floor": timed(lambda: operator(HERE / "floor", hosts.dir))}


def playbook(hosts, name, book, *options, groups=()):
    """First and second run of a playbook; each of `groups` is a cluster, all hosts are one where there are none."""
    inventory = hosts.dir / "inventory.ini"
    named = {f"etcd{number}": group for number, group in enumerate(groups)} or {"etcd": hosts.addresses}
    inventory.write_text(
        "".join(f"[{group}]\n" + "\n".join(addresses) + "\n" for group, addresses in named.items())
        + "[all:vars]\nansible_user=root\n"
        f"ansible_ssh_common_args=-F {hosts.dir}/ssh_config\nfiles_dir={hosts.dir}\n"
    )
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(HERE / "ansible/ansible.cfg"),
        "ANSIBLE_FORKS": str(len(hosts.addresses)),
        "HOME": str(hosts.dir),
    }

    def play():
        operator("ansible-playbook", "-i", inventory, *options, book, env=environment)
        operator(HERE / "healthy", hosts.dir)

    return {name: timed(play), f"{name} again": timed(play)}


def ansible():
    with Round() as hosts:
        hosts.files()
        return playbook(hosts, "ansible", HERE / "ansible/playbook.yml")


def role():
    """The Ansible role `githubixx.etcd`, checked out at ETCD_ROLE; it fetches the release from the operator's machine."""
    with Round() as hosts:
        hosts.files()
        release = f"etcd-v{RELEASE.name}-linux-amd64"
        served, certificates = hosts.dir / "served", hosts.dir / "certificates"
        served.mkdir()
        certificates.mkdir()
        archive = served / f"{release}.tar.gz"
        check("tar", "-C", RELEASE, "--transform", f"s,^,{release}/,", "-czf", archive, *PROGRAMS)
        pki = hosts.dir / "pki"
        # It gives every host the same certificate, and the CA's key.
        check(HERE / "certificates", "--shared", pki, *hosts.addresses)
        for source, target in [("ca", "ca-etcd"), ("shared", "cert-etcd-peer"), ("shared", "cert-etcd-server")]:
            shutil.copy(pki / f"{source}.crt", certificates / f"{target}.pem")
            shutil.copy(pki / f"{source}.key", certificates / f"{target}-key.pem")
        here = hosts.addresses[0].rsplit(".", 1)[0] + ".1"
        variables = {
            "etcd_ansible_group": "etcd",
            "etcd_ca_conf_directory": str(certificates),
            "etcd_interface": "eth0",
            "etcd_version": RELEASE.name,
            "etcd_download_url": f"http://{here}:8000/{archive.name}",
            "etcd_download_url_checksum": "sha256:" + hashlib.sha256(archive.read_bytes()).hexdigest(),
        }
        (hosts.dir / "role.json").write_text(json.dumps(variables))
        book = hosts.dir / "role.yml"
        book.write_text(f"- hosts: etcd\n  roles: [{{role: {Path(ROLE).resolve()}}}]\n")
        serving = [LAB, "run", "python3", "-m", "http.server", "--bind", here, "--directory", served, "8000"]
        with subprocess.Popen(serving, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
            try:
                return playbook(hosts, "role", book, "-e", f"@{hosts.dir}/role.json")
            finally:
                server.terminate()


def quorate():
    with Round() as hosts:
        return up(hosts)


def gzip_only():
    """The same on hosts without zstd."""
    with Round() as hosts:
        for host in hosts.names:
            check(LAB, "exec", host, "rm", "/usr/bin/zstd")
        return {"quorate, gzip only": up(hosts)["quorate"]}


def up(hosts):
    """From bare hosts to healthy, and once more with nothing to do."""
    directory = hosts.dir / "work"
    directory.mkdir()
    version = RELEASE.name
    members = "".join(f"  - name: n{i}\n    address: {a}\n" for i, a in enumerate(hosts.addresses, 1))
    (directory / "inventory.yml").write_text(
        f'cluster: bench\netcd:\n  version: "{version}"\nssh:\n  identity: [{hosts.key}]\nhosts:\n{members}'
    )
    check(QUORATE, "bundle", "create", "--out", directory / "etcd.qbundle", RELEASE)

    def run(*arguments):
        operator(QUORATE, *arguments, cwd=directory)

    run("trust", "--yes")
    first = peak_and_time(LAB, "run", QUORATE, "up", "--yes", cwd=directory)
    again = peak_and_time(LAB, "run", QUORATE, "up", "--yes", "-v", "--output", "json", cwd=directory)
    finished = json.loads((directory / "output").read_text().splitlines()[-1])
    if finished["changed"] != 0:
        sys.exit(f"the second up changed something: {finished}")
    return {
        "quorate": first[0],
        "quorate again": again[0],
        "quorate again, round trips with a host": max(finished["round_trips"].values()),
        "quorate, MiB at its peak": max(first[1], again[1]),
    }


def peak_and_time(*command, cwd, codes=(0,)):
    """Seconds and peak memory (MiB) of a command that ends with one of `codes`; `lab run` execs it, so the child that is
    waited for is itself."""
    start = time.monotonic()
    with open(cwd / "output", "w+") as output:
        child = subprocess.Popen(command, cwd=cwd, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.monotonic() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode not in codes:
            output.seek(0)
            sys.exit(f"{' '.join(map(str, command))}: exit code {child.returncode}\n{output.read()}")
    return seconds, usage.ru_maxrss / 1024


def help_text():
    """`quorate --help`, started many times: a process start is short against its own noise."""
    return {"quorate --help, ms": statistics.median(timed(lambda: check(QUORATE, "--help")) for _ in range(20)) * 1000}


def show(title, contenders, runs):
    """Runs every contender in every round and prints the table; returns what was measured."""
    chosen = os.environ.get("ONLY")
    figures = {}
    for number in range(runs):
        for contender in contenders:
            if chosen and contender.__name__ not in chosen.split(","):
                continue
            print(f"bench: round {number + 1} of {runs}: {contender.__name__}", file=sys.stderr)
            for what, value in contender().items():
                figures.setdefault(what, []).append(value)

    print(f"\n| {title}, etcd {RELEASE.name}, {runs} rounds | median | min | max |\n|---|---|---|---|")
    for what, values in figures.items():
        print(f"| {what} | {statistics.median(values):.2f} | {min(values):.2f} | {max(values):.2f} |")
    print()
    return figures


def ratio(figures, one, other, wanted):
    if one in figures and other in figures:
        times = statistics.median(figures[one]) / statistics.median(figures[other])
        print(f"{one} / {other}: {times:.2f} ({wanted})")


def main():
    figures = show("three hosts", [floor, quorate, gzip_only, ansible, help_text] + ([role] if ROLE else []), RUNS)

    def in_turn(one, other):
        """The ratio within each round: what else this machine does weighs on both."""
        if one in figures and other in figures:
            ratios = [a / b for a, b in zip(figures[one], figures[other])]
            print(f"{one} / {other}, median of the rounds' own ratios: {statistics.median(ratios):.2f}")

    ratio(figures, "quorate", "floor", "wanted: 1.5 or less")
    in_turn("quorate", "floor")
    in_turn("quorate, gzip only", "floor")
    for other in ["ansible", "role"]:
        ratio(figures, other, "quorate", "wanted: 8 or more")
        ratio(figures, f"{other} again", "quorate again", "wanted: 20 or more")


if __name__ == "__main__":
    main()
