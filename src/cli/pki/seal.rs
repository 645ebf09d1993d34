//! `pki seal`: who can open the CA key.

use super::super::args::Seal;
use super::super::error::{Exit, Failure};
use super::super::session::{Session, unusable};
use crate::pki::Recipient;

/// Seals the CA key anew, after adding and removing recipients.
///
/// # Errors
/// When a recipient cannot be read or found, or none of the operator's keys opens the CA.
pub async fn seal(session: &Session, args: &Seal) -> Result<Exit, Failure> {
    let vault = session.vault();
    let fixed = session.recipients()?;
    let mut everybody = vault.recipients()?;
    let added = Recipient::parse_all(&args.recipient, session.base())
        .map_err(|errors| unusable(Exit::Usage, "not every recipient can be used", errors))?;
    for added in added {
        if !everybody.iter().any(|known| known.public_key() == added.public_key()) {
            everybody.push(added);
        }
    }
    for wanted in &args.remove {
        remove(&mut everybody, &fixed, wanted)?;
    }
    if everybody.is_empty() {
        return Err(Failure::new(Exit::Usage, "no one would be able to open the CA key")
            .hint("add another recipient in the same command"));
    }
    // The list first: cut off in between, sealing once more makes both agree.
    if !args.recipient.is_empty() || !args.remove.is_empty() {
        let further: Vec<Recipient> = everybody.iter().filter(|r| !is_among(r, &fixed)).cloned().collect();
        vault.dir().write_recipients(&further)?;
    }
    let sealed_for_more = !args.recipient.is_empty();
    let labels: Vec<String> = everybody.iter().map(|r| r.label().to_owned()).collect();
    vault.seal(everybody).await?;
    if sealed_for_more {
        session.note(
            "a new operator also needs a login on each host: put the SSH key into authorized_keys of the account that the \
             inventory names",
        );
    }
    session.finish(
        true,
        1,
        format!(
            "sealed to {}; commit the pki directory. Older copies of the file can still be opened by their recipients: if someone must lose access to the key, run `quorate pki rotate-ca \
             --compromised`",
            labels.join("; ")
        ),
    );
    Ok(Exit::Done)
}

/// Takes out the one recipient that `wanted` means: a key, a file of one, or a part of its label.
fn remove(everybody: &mut Vec<Recipient>, fixed: &[Recipient], wanted: &str) -> Result<(), Failure> {
    let meant: Vec<String> = everybody
        .iter()
        .filter(|r| {
            r.label().contains(wanted) || r.public_line().starts_with(wanted) || wanted.starts_with(&r.public_key())
        })
        .map(Recipient::public_key)
        .collect();
    let labels = || everybody.iter().map(Recipient::label).collect::<Vec<_>>().join("; ");
    let [key] = meant.as_slice() else {
        let what = if meant.is_empty() {
            "is not a recipient"
        } else {
            "matches more than one recipient"
        };
        return Err(Failure::new(Exit::Usage, format!("`{}` {what}", wanted.escape_debug()))
            .hint(format!("name one of: {}", labels())));
    };
    if fixed.iter().any(|r| r.public_key() == *key) {
        return Err(Failure::new(Exit::Usage, format!("`{wanted}` is in the inventory"))
            .hint("remove it from `pki.recipients` there, then run `quorate pki seal`"));
    }
    everybody.retain(|r| r.public_key() != *key);
    Ok(())
}

fn is_among(recipient: &Recipient, list: &[Recipient]) -> bool {
    list.iter().any(|other| other.public_key() == recipient.public_key())
}
