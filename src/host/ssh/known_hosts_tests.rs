//! Keys are made afresh: nothing here depends on their bytes.

use super::*;
use russh::keys::PrivateKey;
use russh::keys::key::safe_rng;
use russh::keys::ssh_key::certificate::Builder;

const NOW: u64 = 1_800_000_000;

fn key() -> PrivateKey {
    PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap()
}

fn public(key: &PrivateKey) -> String {
    let text = key.public_key().to_openssh().unwrap();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

fn known(text: &str) -> KnownHosts {
    let mut known = KnownHosts::default();
    known.add(Path::new("/kh"), text);
    known
}

fn host(name: &str, port: u16) -> HostId {
    HostId {
        names: vec![name.to_owned()],
        port,
    }
}

fn at(line: usize) -> Place {
    Place {
        file: "/kh".into(),
        line,
    }
}

#[test]
fn a_pinned_key_is_trusted_whatever_its_comment() {
    let key = key();
    let known = known(&format!(
        "# comment\n\n  a,b\t{}   root@somewhere with words\n",
        public(&key)
    ));
    let mut shown = key.public_key().clone();
    shown.set_comment("another comment");
    assert_eq!(known.judge(&host("b", 22), &shown), Verdict::Trusted);
    assert_eq!(
        known.judge(&host("B", 22), &shown),
        Verdict::Trusted,
        "names ignore case"
    );
    assert_eq!(known.judge(&host("c", 22), &shown), Verdict::Unknown);
}

#[test]
fn another_key_names_the_line_of_the_pinned_one() {
    let (pinned, shown) = (key(), key());
    let known = known(&format!("# one\nother {}\na {}\n", public(&shown), public(&pinned)));
    assert_eq!(known.judge(&host("a", 22), shown.public_key()), Verdict::Changed(at(3)));
    assert_eq!(at(3).to_string(), "line 3 of /kh");
}

#[test]
fn a_port_belongs_to_the_name_and_a_name_without_one_is_for_every_port() {
    let key = key();
    let known = known(&format!("[a]:2222 {0}\nb {0}\n[*.lab]:23 {0}\n", public(&key)));
    let judge = |name, port| known.judge(&host(name, port), key.public_key());
    assert_eq!(judge("a", 2222), Verdict::Trusted);
    assert_eq!(judge("a", 22), Verdict::Unknown);
    assert_eq!(judge("b", 2222), Verdict::Trusted);
    assert_eq!(judge("c", 2222), Verdict::Unknown);
    let other = self::key();
    assert_eq!(known.judge(&host("b", 2222), other.public_key()), Verdict::Unknown);
    assert_eq!(judge("x.lab", 23), Verdict::Trusted);
    assert_eq!(judge("x.lab", 24), Verdict::Unknown);
}

#[test]
fn wildcards_and_exclusions_hold() {
    let key = key();
    let known = known(&format!("*.lab,!bad.lab,10.0.0.? {}\n", public(&key)));
    let judge = |name| known.judge(&host(name, 22), key.public_key());
    assert_eq!(judge("a.lab"), Verdict::Trusted);
    assert_eq!(judge("10.0.0.7"), Verdict::Trusted);
    assert_eq!(judge("bad.lab"), Verdict::Unknown);
    assert_eq!(judge("10.0.0.77"), Verdict::Unknown);
}

/// The hash is what `ssh-keygen -H` made of `example.com` and `[example.com]:2222`.
#[test]
fn hashed_names_are_recognised() {
    let dir = tempfile::tempdir().unwrap();
    let (path, key) = (dir.path().join("kh"), key());
    std::fs::write(
        &path,
        format!("example.com {0}\n[example.com]:2222 {0}\n", public(&key)),
    )
    .unwrap();
    let hashed = std::process::Command::new("ssh-keygen")
        .arg("-H")
        .arg("-f")
        .arg(&path)
        .output();
    assert!(hashed.expect("openssh-client is installed").status.success());
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("|1|"), "{text}");
    let known = KnownHosts::read(&[path]).unwrap();
    let judge = |name, port| known.judge(&host(name, port), key.public_key());
    assert_eq!(judge("example.com", 22), Verdict::Trusted);
    assert_eq!(judge("example.com", 2222), Verdict::Trusted);
    assert_eq!(judge("example.org", 2222), Verdict::Unknown);
    assert_eq!(judge("example.org", 22), Verdict::Unknown);
}

#[test]
fn a_revoked_key_is_refused_even_where_it_is_pinned() {
    let key = key();
    let known = known(&format!("a {0}\n@revoked * {0}\n", public(&key)));
    assert_eq!(known.judge(&host("a", 22), key.public_key()), Verdict::Revoked(at(2)));
    assert_eq!(known.judge(&host("a", 2222), key.public_key()), Verdict::Revoked(at(2)));
}

#[test]
fn lines_that_cannot_be_read_trust_nobody_and_hide_nothing() {
    let key = key();
    let good = public(&key);
    let text = format!("a\na ssh-ed25519\na ssh-ed25519 !!!\n@weird a {good}\n|1|x {good}\n|1|!|! {good}\na {good}\n");
    assert_eq!(known(&text).judge(&host("a", 22), key.public_key()), Verdict::Trusted);
    assert_eq!(
        known(&text.replace(&format!("\na {good}"), "")).judge(&host("a", 22), key.public_key()),
        Verdict::Unknown
    );
}

#[test]
fn an_absent_file_is_empty_and_an_unreadable_one_an_error() {
    assert!(
        KnownHosts::read(&["/nonexistent/kh".into()])
            .unwrap()
            .entries
            .is_empty()
    );
    let error = KnownHosts::read(&["/".into()]).unwrap_err();
    assert!(error.contains("cannot read /"), "{error}");
}

struct Certified {
    ca: PrivateKey,
    host: PrivateKey,
}

impl Certified {
    fn new() -> Self {
        Self { ca: key(), host: key() }
    }

    fn certificate(&self, edit: impl FnOnce(&mut Builder)) -> Certificate {
        let subject = self.host.public_key().key_data().clone();
        let mut builder = Builder::new_with_random_nonce(&mut safe_rng(), subject, NOW - 100, NOW + 100).unwrap();
        edit(&mut builder);
        builder.sign(&self.ca).unwrap()
    }

    fn judge(&self, line: &str, edit: impl FnOnce(&mut Builder)) -> Verdict {
        let known = known(
            &line
                .replace("CA", &public(&self.ca))
                .replace("HOST", &public(&self.host)),
        );
        known.judge_certificate(&host("a.lab", 2222), &self.certificate(edit), NOW)
    }
}

fn principal(name: &'static str) -> impl FnOnce(&mut Builder) {
    move |builder| {
        builder.cert_type(CertType::Host).unwrap();
        builder.valid_principal(name).unwrap();
    }
}

#[test]
fn an_authority_vouches_for_the_hosts_of_its_line() {
    let all = Certified::new();
    assert_eq!(
        all.judge("@cert-authority *.lab CA", principal("a.lab")),
        Verdict::Trusted
    );
    assert_eq!(
        all.judge("@cert-authority *.org CA", principal("a.lab")),
        Verdict::Unknown
    );
    assert_eq!(
        all.judge("*.lab CA", principal("a.lab")),
        Verdict::Unknown,
        "a pinned key is no authority"
    );
    let known = known(&format!("@cert-authority *.lab {}", public(&all.ca)));
    assert!(known.has_authority(&host("a.lab", 22)) && !known.has_authority(&host("a.org", 22)));
}

#[test]
fn a_certificate_must_be_for_this_host_and_for_now() {
    let all = Certified::new();
    let why = |edit: fn(&mut Builder)| match all.judge("@cert-authority *.lab CA", edit) {
        Verdict::BadCertificate(why) => why,
        other => panic!("{other:?}"),
    };
    let other_host: fn(&mut Builder) = |builder| principal("b.lab")(builder);
    assert!(why(other_host).contains("b.lab"));
    let user: fn(&mut Builder) = |builder| {
        builder.cert_type(CertType::User).unwrap();
        builder.valid_principal("a.lab").unwrap();
    };
    assert!(why(user).contains("user certificate"));
    let option: fn(&mut Builder) = |builder| {
        principal("a.lab")(builder);
        builder.critical_option("x", "y").unwrap();
    };
    assert!(why(option).contains("critical"));

    let known = known(&format!("@cert-authority *.lab {}", public(&all.ca)));
    let certificate = all.certificate(principal("a.lab"));
    for now in [NOW - 101, NOW + 100] {
        let verdict = known.judge_certificate(&host("a.lab", 22), &certificate, now);
        assert!(
            matches!(&verdict, Verdict::BadCertificate(why) if why.contains("not valid now")),
            "{verdict:?}"
        );
    }
}

#[test]
fn the_key_inside_a_foreign_certificate_may_be_pinned_and_either_may_be_revoked() {
    let all = Certified::new();
    assert_eq!(all.judge("[a.lab]:2222 HOST", principal("a.lab")), Verdict::Trusted);
    let revoked = Verdict::Revoked(at(2));
    assert_eq!(
        all.judge("@cert-authority * CA\n@revoked * HOST", principal("a.lab")),
        revoked
    );
    assert_eq!(
        all.judge("@cert-authority * CA\n@revoked * CA", principal("a.lab")),
        revoked
    );
}

#[test]
fn the_types_that_are_pinned_come_in_the_order_of_the_file() {
    let ecdsa = Algorithm::Ecdsa {
        curve: russh::keys::EcdsaCurve::NistP256,
    };
    let second = PrivateKey::random(&mut safe_rng(), ecdsa.clone()).unwrap();
    let known = known(&format!(
        "a {}\na {}\nb {}\n",
        public(&second),
        public(&key()),
        public(&key())
    ));
    assert_eq!(known.types(&host("a", 22)), [ecdsa, Algorithm::Ed25519]);
}
