//! `backup`: what members do by themselves.

use std::time::Duration;

use super::*;

fn with(backup: &str) -> String {
    format!("cluster: a\netcd: {{version: 3.5.30}}\nhosts:\n  - {{name: n1, address: 10.0.0.1}}\nbackup:\n{backup}")
}

#[test]
fn everything_about_scheduled_backups_is_understood() {
    let text = with(
        "  schedule: '*-*-* 03:00:00'\n  to: [s3://b/etcd, 'ssh://keeper@10.0.0.9:2222/srv', /mnt/nfs]\n  keep: {last: 3, daily: 14}\n  \
         max_age: 2d\n  s3_credentials: aws\n  s3_endpoint: https://s3.example.com\n  s3_region: eu-1\n  identity: ~/.ssh/backup\n",
    );
    let policy = meaning(&text).backup.expect("a policy");
    assert_eq!(policy.schedule, "*-*-* 03:00:00");
    let places: Vec<String> = policy.to.iter().map(ToString::to_string).collect();
    assert_eq!(places, ["s3://b/etcd", "ssh://keeper@10.0.0.9:2222/srv", "/mnt/nfs"]);
    let keep = policy.keep.expect("rules");
    assert_eq!((keep.last, keep.hourly, keep.daily), (3, 0, 14));
    assert_eq!(policy.max_age, Duration::from_secs(2 * 86_400));
    assert_eq!(policy.s3_credentials, Some("/work/infra/aws".into()));
    assert_eq!(policy.identity, Some("/home/me/.ssh/backup".into()));
    assert_eq!(policy.s3_endpoint.as_deref(), Some("https://s3.example.com"));
}

#[test]
fn how_old_a_backup_may_be_follows_from_how_often_one_is_taken() {
    let hours = |schedule: &str| {
        let text = with(&format!("  schedule: {schedule}\n  to: /mnt/nfs\n"));
        meaning(&text).backup.expect("a policy").max_age.as_secs() / 3600
    };
    assert_eq!([hours("hourly"), hours("daily"), hours("weekly")], [3, 26, 192]);
    assert_eq!(
        meaning(&with("  schedule: daily\n  to: /mnt/nfs\n"))
            .backup
            .unwrap()
            .keep,
        None
    );
    let without = "cluster: a\netcd: {version: 3.5.30}\nhosts:\n  - {name: n1, address: 10.0.0.1}\n";
    assert_eq!(meaning(without).backup, None);
}

#[test]
fn mistakes_are_named_where_they_stand() {
    let text = with(
        "  schedule: \"daily; reboot\"\n  to: [nfs, s3://, ftp://x/y, 'ssh://h/srv']\n  keep: {last: -1, yearly: 3}\n  s3_region: a b\n",
    );
    let found = mistakes(&text);
    for wanted in [
        "6:13 `daily; reboot` is not a time",
        "7:8 `nfs` is not an absolute path",
        "7:13 `s3://` is not a place for backups",
        "7:20 `ftp://x/y` is not a place for backups",
        "8:16 `-1` is not a number",
        "8:20 there is no key `yearly`",
        "9:14 `a b` has characters",
    ] {
        assert!(
            found.iter().any(|line| line.starts_with(wanted)),
            "{wanted}\n{found:#?}"
        );
    }
}

#[test]
fn credentials_go_where_they_are_needed_and_nowhere_else() {
    let found = mistakes(&with(
        "  schedule: daily\n  to: /mnt/nfs\n  s3_credentials: a\n  identity: b\n",
    ));
    assert!(found[0].contains("`s3_credentials` has no effect"), "{found:?}");
    assert!(found[1].contains("`identity` has no effect"), "{found:?}");
    let found = mistakes(&with("  schedule: daily\n  to: 'ssh://h/srv'\n"));
    assert!(found[0].contains("the hosts have no key for `ssh://`"), "{found:?}");
    let found = mistakes(&with("  schedule: daily\n  to: /mnt/nfs\n  keep: {}\n"));
    assert!(found[0].contains("`keep` keeps nothing"), "{found:?}");
}
