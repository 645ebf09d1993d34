//! `adopt`: a cluster that something else made, taken over while it runs. Nothing is restarted and nothing of what runs is
//! changed: the first roll is the operator's next `up`.

mod authority;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use self::authority::{Kept, Way, certificates, keep, take_in, the_ca};
use super::args::{Adopt, Global};
use super::error::{Detail, Exit, Failure};
use super::interrupt::unless;
use super::offline::companions;
use super::session::Session;
use super::{confirm, draft, lock, trust};
use crate::bundle::USUAL;
use crate::host::FactsQuery;
use crate::host::running::Running;
use crate::inventory::{Address, HostPath, NodeName, Version};
use crate::ops::adopt::hands::files_read;
use crate::ops::adopt::inventory::{all_of, provisional, text, to_ask_with, together};
use crate::ops::adopt::member::{Member, member, restarted_since};
use crate::ops::adopt::{Hurdle, names};
use crate::ops::exec::StepError;
use crate::ops::model::{Fact, Membership, why_and_help};
use crate::ops::safety::adopt::may_note;
use crate::ops::safety::bootstrap::Marker;
use crate::report::print::tell_all;
use crate::report::quiet;
use futures::future::join_all;

/// Looks at the members, takes the CA in, writes the inventory that describes them and notes on each host whose data it has.
///
/// # Errors
/// Everything that cannot be taken over, at once; see the exit codes.
pub async fn adopt(global: &Global, args: &Adopt) -> Result<Exit, Failure> {
    not_there_yet(&global.inventory)?;
    let way = Way::typed(args)?;
    let given = [args.hosts.as_slice(), &args.from].concat();
    let first = provisional(&args.cluster, USUAL, &given);
    let mut session = Session::of(global, draft::read(&global.inventory, &first)?)?;
    for host in session.desired().hosts.values() {
        trust::trust_host(&session, host).await?;
    }
    let hosts = match args.from.is_empty() {
        true => given,
        false => session.phase("find the names", named(&session, given)).await?,
    };
    session.read_as(&provisional(&args.cluster, USUAL, &hosts))?;
    let members = session.phase("look", members(&session, &hosts)).await?;
    let ca = session.phase("read the CA", the_ca(&session, &members)).await?;
    let kept = match way.is_keyless() {
        true => certificates(&session, &members, &ca).await?,
        false => Vec::new(),
    };
    take_in(&session, &way, &ca).await?;

    session.read_as(&to_ask_with(&args.cluster, USUAL, &members))?;
    let (membership, version) = session.phase("ask etcd", asked(&session, &members)).await?;
    let inventory = text(&args.cluster, version, &members);
    session.read_as(&inventory)?;
    agree(&session, &members, &membership, &inventory)?;

    let held = session
        .phase(
            "lock",
            unless(
                session.stop(),
                lock::take(&session, &session.fleet(), &[], session.stop()),
            ),
        )
        .await?;
    let noted = session
        .phase("note", prepare_hosts(&session, &members, &membership, kept))
        .await;
    held.release().await;
    noted?;
    write(&global.inventory, &inventory)?;
    companions(&global.inventory)?;
    next(&session, &members, &way);
    let summary = format!("{} is taken over; nothing was restarted", args.cluster);
    session.finish(true, members.len(), summary);
    Ok(Exit::Done)
}

fn not_there_yet(path: &Path) -> Result<(), Failure> {
    match path.exists() {
        false => Ok(()),
        true => Err(Failure::new(Exit::Usage, format!("{} already exists", path.display()))
            .hint("an inventory is never overwritten: pass another file with -i, or move this one away")),
    }
}

/// What was seen of a host: its processes, and the files that they have options from.
type Seen = (Running, BTreeMap<String, String>);

async fn look_at_all(session: &Session, hosts: &[(NodeName, Address)]) -> Result<Vec<Seen>, Failure> {
    let looking = hosts.iter().map(|(name, _)| look(session, name));
    join_all(looking).await.into_iter().collect()
}

/// The hosts by the names that their members have.
async fn named(session: &Session, given: Vec<(NodeName, Address)>) -> Result<Vec<(NodeName, Address)>, Failure> {
    let seen = look_at_all(session, &given).await?;
    let each = given
        .iter()
        .zip(&seen)
        .map(|((at, _), (running, texts))| (at, running, texts));
    match names::of_all(&each.collect::<Vec<_>>()) {
        Ok(names) => Ok(names
            .into_iter()
            .zip(given.into_iter().map(|(_, address)| address))
            .collect()),
        Err(hurdles) => Err(refusal(hurdles)),
    }
}

/// What runs on each host, as members of one inventory.
async fn members(session: &Session, hosts: &[(NodeName, Address)]) -> Result<Vec<Member>, Failure> {
    let seen = look_at_all(session, hosts).await?;
    let (mut members, mut hurdles) = (Vec::new(), Vec::new());
    for ((name, address), (running, texts)) in hosts.iter().zip(seen) {
        match member(name, address, &running, &texts) {
            Ok(member) => members.push(member),
            Err(found) => hurdles.extend(found),
        }
    }
    hurdles.extend(together(&members));
    clear(hurdles)?;
    Ok(members)
}

async fn look(session: &Session, name: &NodeName) -> Result<Seen, Failure> {
    let host = session.fleet().host(session.spec(name)?).await?;
    let running = host.running_etcd().await?;
    let read: Vec<HostPath> = running
        .etcd
        .iter()
        .flat_map(files_read)
        .filter_map(|path| path.parse().ok())
        .collect();
    let texts = contents(session, name, read).await?;
    Ok((running, texts))
}

async fn contents(
    session: &Session,
    name: &NodeName,
    paths: Vec<HostPath>,
) -> Result<BTreeMap<String, String>, Failure> {
    let query = FactsQuery {
        contents: paths,
        ..FactsQuery::default()
    };
    let facts = session.fleet().host(session.spec(name)?).await?.facts(&query).await?;
    let files = facts.files.into_iter();
    Ok(files
        .filter_map(|(path, file)| Some((path.to_string(), file.content?)))
        .collect())
}

/// What etcd itself says: all of its members are here and healthy, and nobody needs a password.
async fn asked(session: &Session, members: &[Member]) -> Result<(Membership, Version), Failure> {
    let (fleet, vault) = (session.fleet(), session.vault());
    let seen = session.look(&fleet, &vault).await?;
    let membership = match seen.cluster {
        Fact::Known(membership) => membership,
        Fact::Absent => return Err(Failure::new(Exit::Blocked, "no member answers").hint("start the cluster first")),
        Fact::Unknown(why) => {
            let (why, help) = why_and_help(&why);
            return Err(
                Failure::new(Exit::Blocked, format!("the cluster could not be read: {why}")).hint(help.unwrap_or(
                    "the hosts must have the members of one healthy cluster, and the key or certificate that was passed must be from their CA",
                )),
            );
        }
    };
    let mut hurdles = all_of(members, &membership.members);
    let sick = membership.members.iter().filter(|m| !membership.healthy(m.id));
    hurdles.extend(sick.map(|m| {
        Hurdle::of_all(
            format!("the member {} is not healthy", m.name),
            "bring it back first, with what made the cluster",
        )
    }));
    let releases: Vec<Version> = membership.releases().collect();
    let version = releases.iter().max().copied().unwrap_or(USUAL);
    if releases.iter().any(|release| *release != version) {
        hurdles.push(Hurdle::of_all(
            "the members run different releases of etcd",
            "finish that upgrade first, with what began it",
        ));
    }
    clear(hurdles)?;
    may_note(session.desired(), &seen.hosts, membership.cluster_id)?;
    if let Some(spec) = session.desired().hosts.values().next() {
        let tls = vault.operator().await?;
        let client = fleet.client(spec, &tls).await.map_err(StepError::from)?;
        if client.auth_is_on().await.map_err(StepError::from)? {
            return Err(Failure::new(Exit::Blocked, "etcd's authentication is on").hint(
                "this version takes over clusters without users: turn it off (`etcdctl auth disable`), and on again afterwards with \
                 `etcd.auth` in the inventory",
            ));
        }
    }
    Ok((membership, version))
}

/// Shows the inventory, and asks.
fn agree(session: &Session, members: &[Member], membership: &Membership, inventory: &str) -> Result<(), Failure> {
    let _quiet = quiet(session.reporter.as_ref());
    if !session.json() {
        tell_all!("{inventory}\n");
    }
    for note in members.iter().flat_map(|member| &member.notes) {
        session.note(note);
    }
    session.note(&format!(
        "cluster {} has {} members, all healthy; a note is written beside the data of each, and nothing is restarted",
        membership.cluster_id,
        members.len()
    ));
    match session.global.yes {
        true => Ok(()),
        false => confirm::ask("Take this cluster over?"),
    }
}

/// What is written on the hosts, none of which the processes there read.
async fn prepare_hosts(
    session: &Session,
    members: &[Member],
    membership: &Membership,
    kept: Kept,
) -> Result<(), Failure> {
    still_the_same(session, members).await?;
    let keeping = kept.into_iter().map(|(name, files)| async move {
        let spec = session.spec(&name)?;
        let what = "keep its certificates";
        let step = format!("{what} {name}");
        session
            .step(&step, Some(&name), what, async { keep(session, spec, files).await })
            .await
    });
    join_all(keeping)
        .await
        .into_iter()
        .collect::<Result<Vec<()>, Failure>>()?;
    note(session, membership).await
}

/// Nothing was restarted since it was described.
async fn still_the_same(session: &Session, members: &[Member]) -> Result<(), Failure> {
    let looking = members.iter().map(|member| look(session, &member.name));
    let seen: Result<Vec<Seen>, Failure> = join_all(looking).await.into_iter().collect();
    let each = members.iter().zip(seen?);
    clear(
        each.filter_map(|(member, (running, _))| restarted_since(member, &running))
            .collect(),
    )
}

/// Whose data it is, beside the data of each member: from then on quorate takes it for its own.
async fn note(session: &Session, membership: &Membership) -> Result<(), Failure> {
    let noting = session.desired().hosts.values().map(|spec| {
        let marker = Marker {
            cluster: session.desired().cluster.clone(),
            cluster_id: membership.cluster_id,
            member: spec.name.clone(),
            complete: true,
        };
        async move {
            let what = "note whose data it is";
            let writing = async {
                let host = session.fleet().host(spec).await?;
                host.write_marker(&marker.to_text()).await?;
                Ok(format!("{} belongs to {}", spec.paths.data, spec.name))
            };
            let step = format!("{what} {}", spec.name);
            session.step(&step, Some(&spec.name), what, writing).await
        }
    });
    join_all(noting).await.into_iter().collect()
}

/// Last: an inventory that is there has been taken over.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .map_err(|error| Failure::unexpected(&format!("cannot write {}", path.display()), error))
}

/// What is left to the operator.
fn next(session: &Session, members: &[Member], way: &Way<'_>) {
    session.note("`quorate plan -v` shows what changes; `quorate up` restarts the members one by one, followers first, each with its new files");
    session.note("until then every member runs as before, and starts as before when its host reboots");
    let cas: std::collections::BTreeSet<&str> = members
        .iter()
        .flat_map(|m| m.trusted.iter().map(String::as_str))
        .collect();
    let cas = cas.into_iter().collect::<Vec<_>>().join(", ");
    let turn_off = "turn off what installed the cluster (Ansible, puppet, packages): it would put its own files back";
    if way.is_keyless() {
        session.note(
            "members keep the certificates that they have, and none can be issued: replace the CA with `quorate pki rotate-ca` once \
             `quorate up` is done; it stops before clients are affected, and says what they need",
        );
        session.note(turn_off);
        return;
    }
    session.note(&format!(
        "the CA's key was in the clear until now: delete its copies (beside {cas} on the hosts, and the file passed with --ca-key), and replace the CA \
         with `quorate pki rotate-ca` once `quorate up` is done"
    ));
    session.note(turn_off);
}

/// Every hurdle at once.
fn clear(hurdles: Vec<Hurdle>) -> Result<(), Failure> {
    match hurdles.is_empty() {
        true => Ok(()),
        false => Err(refusal(hurdles)),
    }
}

fn refusal(hurdles: Vec<Hurdle>) -> Failure {
    let details = hurdles.into_iter().map(|hurdle| Detail {
        node: hurdle.node.map(|node| node.to_string()),
        message: hurdle.what,
        hint: hurdle.help,
    });
    Failure {
        details: details.collect(),
        ..Failure::new(
            Exit::Blocked,
            "this cluster cannot be taken over as it is; nothing was changed",
        )
    }
}
