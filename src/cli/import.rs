//! `init --from`: the hosts for a new inventory, from a file that people have already.

use std::io::Read;
use std::path::Path;

use super::error::{Detail, Exit, Failure};
use crate::host::ssh::listed;
use crate::inventory::Problem;
use crate::inventory::import::{self, Format, ImportedHost, LARGEST};
use crate::report::print::tell;
use crate::report::printable;

/// The hosts of the file; says what was changed or left out.
///
/// # Errors
/// When it cannot be read or recognised, or with every host that cannot be taken over.
pub fn hosts(file: &Path, format: Option<Format>, group: Option<&str>) -> Result<Vec<ImportedHost>, Failure> {
    let text = text(file)?;
    let format = match format {
        Some(format) => format,
        None => import::recognise(&text).map_err(|problem| wrong(file, vec![problem]))?,
    };
    let found = import::gather(format, &text, group, listed)
        .hosts()
        .map_err(|problems| wrong(file, problems))?;
    for note in &found.notes {
        tell!("note: {}", printable(note));
    }
    Ok(found.hosts)
}

fn text(file: &Path) -> Result<String, Failure> {
    let refuse = |why: String| {
        Failure::new(Exit::Usage, format!("cannot read {}: {why}", file.display()))
            .hint("pass a file of hosts, or `-` for standard input")
    };
    let mut bytes = Vec::new();
    let read = match file.to_str() {
        Some("-") => std::io::stdin().take(LARGEST + 1).read_to_end(&mut bytes),
        _ => std::fs::File::open(file).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)),
    };
    read.map_err(|error| refuse(error.to_string()))?;
    if bytes.len() as u64 > LARGEST {
        return Err(refuse(format!("it has more than {LARGEST} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| refuse("it is not UTF-8 text".to_owned()))
}

/// Every problem in its place. The lines themselves are not shown: passwords may stand in them.
fn wrong(file: &Path, problems: Vec<Problem>) -> Failure {
    let details: Vec<Detail> = problems
        .into_iter()
        .map(|problem| Detail {
            node: Some(format!("line {}", problem.line)),
            message: problem.message,
            hint: problem.help,
        })
        .collect();
    let many = match details.len() {
        1 => "1 problem".to_owned(),
        many => format!("{many} problems"),
    };
    Failure {
        details,
        ..Failure::new(
            Exit::Usage,
            format!(
                "no hosts were taken from {}: {many}; nothing was written",
                file.display()
            ),
        )
    }
}

#[cfg(test)]
#[path = "import_tests.rs"]
mod tests;
