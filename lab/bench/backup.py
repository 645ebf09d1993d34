"""Times backups and restores of 1 GiB against etcd's own tools, on three lab hosts. Started by `backup`; see README.md.

Usage: backup.py DIRECTORY-OF-ONE-ETCD-RELEASE, with QUORATE (the executable) and LAB in the environment; RUNS rounds (3),
MIB of data (1024).
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LAB = Path(__file__).resolve().parent.parent / "lab"
RELEASE = Path(sys.argv[1])
QUORATE = os.environ["QUORATE"]
RUNS = int(os.environ.get("RUNS", "3"))
MIB = int(os.environ.get("MIB", "1024"))


def check(*command, **options):
    """Runs a command; what it said is shown only when it fails."""
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}")
    return done.stdout


def timed(act):
    begun = time.monotonic()
    act()
    return time.monotonic() - begun


class Bench:
    def __init__(self):
        check(LAB, "up", "3")
        listed = [line.split() for line in check(LAB, "list").splitlines()]
        self.hosts = {f[1]: f[2] for f in listed if f[0] == os.environ["LAB"]}
        self.dir = Path(tempfile.mkdtemp(prefix="quorate-bench-"))
        self.key = Path(check(LAB, "key").strip())
        home = self.dir / "home" / ".ssh"
        home.mkdir(parents=True)
        for name in [self.key.name, f"{self.key.name}.pub"]:
            shutil.copy(self.key.parent / name, home / name.replace(self.key.name, "id_ed25519"))
        self.ssh = ["ssh", "-i", self.key, "-o", f"UserKnownHostsFile={self.key.parent}/known_hosts"]
        self.scp = ["scp", "-q", *self.ssh[1:]]
        hosts = "".join(f"  - {{name: {name}, address: {address}}}\n" for name, address in self.hosts.items())
        version = RELEASE.name
        (self.dir / "inventory.yml").write_text(
            f"cluster: bench\netcd:\n  version: \"{version}\"\n  config: {{quota-backend-bytes: 8589934592}}\nhosts:\n{hosts}"
        )
        check(QUORATE, "bundle", "create", "--out", self.dir / "etcd.qbundle", RELEASE)

    def operator(self, *command):
        environment = {**os.environ, "HOME": str(self.dir / "home")}
        return check(LAB, "run", *command, cwd=self.dir, env=environment)

    def quorate(self, *arguments):
        return self.operator(QUORATE, *arguments, "--yes")

    def on(self, host, text):
        return check(LAB, "exec", host, "sh", "-c", text)

    def on_all(self, text):
        """The same on every host over SSH, in parallel."""
        running = [
            subprocess.Popen([LAB, "run", *self.ssh, f"root@{address}", text.replace("NAME", name).replace("ADDRESS", address)])
            for name, address in self.hosts.items()
        ]
        if any([process.wait() for process in running]):
            sys.exit(f"failed: {text}")

    def fill(self):
        """Values of 1 MB that do not compress."""
        self.on(
            "n1",
            "set -a; . /etc/etcd/etcd-config.etcdctl.env; set +a; ctl=$(ls -d /opt/quorate/etcd/*/etcdctl);"
            f"for n in $(seq {MIB}); do head -c 1000000 /dev/urandom >/run/value; $ctl put data/$n </run/value >/dev/null || exit 1; done",
        )

    def tunnel(self, address):
        """etcdctl's way: a port forwarded through the same SSH."""
        process = subprocess.Popen([LAB, "run", *self.ssh, "-N", "-L", f"127.0.0.1:23790:{address}:2379", f"root@{address}"])
        time.sleep(2)
        return process

    def snapshot_round(self, round):
        own = self.dir / f"own-{round}.qbackup"
        sealed = timed(lambda: self.quorate("backup", "create", "--out", own))
        source = json.loads(own.open("rb").readline())["taken_from"]
        tunnel = self.tunnel(self.hosts[source])
        pki = self.dir / "client"
        if not pki.exists():
            self.quorate("pki", "issue", "bench", "--out", pki)
        certificate = next(p for p in pki.iterdir() if p.suffix == ".crt" and p.name != "ca.crt")
        flags = ["--endpoints", "https://127.0.0.1:23790", "--cacert", self.dir / "pki/ca.crt",
                 "--cert", certificate, "--key", certificate.with_suffix(".key")]
        plain = self.dir / f"plain-{round}.db"
        try:
            theirs = timed(lambda: self.operator(RELEASE / "etcdctl", *flags, "snapshot", "save", plain))
        finally:
            tunnel.terminate()
            tunnel.wait()
        return sealed, theirs, own, plain

    def restore_round(self, own, plain):
        ours = timed(lambda: self.quorate("restore", own, "--accept-data-loss", "--no-snapshot", "--from-another-cluster"))
        initial = ",".join(f"{name}=https://{address}:2380" for name, address in self.hosts.items())

        def by_hand():
            self.on_all("systemctl stop etcd; mv /var/lib/etcd/member /var/lib/etcd/.old-member")
            copies = [
                subprocess.Popen([LAB, "run", *self.scp, plain, f"root@{address}:/var/lib/hand.db"])
                for address in self.hosts.values()
            ]
            if any([copy.wait() for copy in copies]):
                sys.exit("scp failed")
            self.on_all(
                "rm -rf /var/lib/hand; $(ls -d /opt/quorate/etcd/*/etcdutl) snapshot restore /var/lib/hand.db --data-dir /var/lib/hand"
                f" --name NAME --initial-cluster {initial} --initial-cluster-token hand --initial-advertise-peer-urls https://ADDRESS:2380"
                " --bump-revision 1000000000 --mark-compacted >/dev/null 2>&1 && mv /var/lib/hand/member /var/lib/etcd/member &&"
                " chown -R etcd: /var/lib/etcd/member && systemctl start etcd"
            )

        hand = timed(by_hand)
        self.on_all("rm -rf /var/lib/hand /var/lib/hand.db /var/lib/etcd/.old-member /var/lib/etcd.quorate-aside")
        return ours, hand

    def end(self):
        check(LAB, "down")
        shutil.rmtree(self.dir)


def main():
    bench = Bench()
    try:
        bench.quorate("trust")
        bench.quorate("up")
        bench.fill()
        snapshots, restores = [], []
        for round in range(RUNS):
            sealed, theirs, own, plain = bench.snapshot_round(round)
            snapshots.append(theirs / sealed)
            print(f"snapshot {round}: quorate, sealed {sealed:.1f} s, etcdctl {theirs:.1f} s, throughput x{theirs / sealed:.2f}")
            ours, hand = bench.restore_round(own, plain)
            restores.append(ours / hand)
            print(f"restore {round}: quorate {ours:.1f} s, by hand {hand:.1f} s, x{ours / hand:.2f}")
            own.unlink()
            plain.unlink()
        print(f"snapshot throughput against etcdctl snapshot save: {statistics.median(snapshots):.2f} (at least 0.9)")
        print(f"restore against etcdutl by hand in parallel: {statistics.median(restores):.2f} (at most 1.5)")
    finally:
        bench.end()


main()
