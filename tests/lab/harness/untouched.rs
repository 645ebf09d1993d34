//! Proof that a refusal changed nothing: what every host holds, before and after.

use std::collections::BTreeSet;

use super::host::Host;
use super::lab::Lab;
use super::outcome::Outcome;

/// Every file with its kind, mode, owner, size, time and inode; the content of those below quorate's own places; the
/// units and what became of them; the processes called etcd. Left out is what a login alone changes.
const LOOK: &str = r#"
find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /var/tmp -o -path /var/log \
    -o -path /var/cache -o -path /var/lib/systemd -o -path /var/lib/sudo -o -path /var/lib/private \) -prune \
    -o ! -type d -printf 'file %p %y %m %U:%G %s %T@ %i %l\n' -o -printf 'directory %p %m %U:%G\n'
find /run/quorate* -printf 'run %p %m %U:%G %s %T@\n' 2>/dev/null
for place in /etc /opt /var/lib/etcd; do
    find "$place" -xdev -type f -exec sha256sum {} + 2>/dev/null
done
find /etc/systemd/system /run/systemd/system -name '*etcd*' -printf 'unit %p %l\n' 2>/dev/null
systemctl show 'etcd*' --property=Id,ActiveState,MainPID,NRestarts 2>/dev/null
pgrep -x etcd
true
"#;

impl Host {
    /// What is on the host, a line for each thing.
    #[track_caller]
    pub fn look(&self) -> BTreeSet<String> {
        self.sh(LOOK).lines().map(str::to_owned).collect()
    }
}

impl Lab {
    /// Runs quorate, which must end with `code` and leave every host exactly as it was.
    #[track_caller]
    pub fn refuses(&self, arguments: &[&str], code: i32) -> Outcome {
        self.leaves_alone(|lab| lab.quorate(arguments).code(code))
    }

    /// Lets something happen that must leave every host exactly as it was.
    #[track_caller]
    pub fn leaves_alone(&self, act: impl FnOnce(&Lab) -> Outcome) -> Outcome {
        let before: Vec<_> = self.hosts().iter().map(Host::look).collect();
        let outcome = act(self);
        for (host, before) in self.hosts().iter().zip(before) {
            let after = host.look();
            let gone: Vec<_> = before.difference(&after).collect();
            let new: Vec<_> = after.difference(&before).collect();
            assert!(
                gone.is_empty() && new.is_empty(),
                "{} was changed\n- {gone:#?}\n+ {new:#?}\n{outcome}",
                host.name
            );
        }
        outcome
    }

    /// The same where members run and go on writing: no etcd is stopped or started, and no file of theirs but the data
    /// changes.
    #[track_caller]
    pub fn stops_nothing(&self, act: impl FnOnce(&Lab) -> Outcome) -> Outcome {
        let all: Vec<&str> = self.hosts().iter().map(|host| host.name.as_str()).collect();
        self.stops_nothing_of(&all, act)
    }

    /// The same of these hosts, where others are off.
    #[track_caller]
    pub fn stops_nothing_of(&self, names: &[&str], act: impl FnOnce(&Lab) -> Outcome) -> Outcome {
        let look = || -> Vec<_> {
            let hosts = names.iter().map(|name| self.host(name));
            hosts.map(|host| (host.pid(), host.fingerprint())).collect()
        };
        let before = look();
        let outcome = act(self);
        assert_eq!(look(), before, "something was changed\n{outcome}");
        outcome
    }
}
