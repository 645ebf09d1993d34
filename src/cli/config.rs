//! `config`: what counts for the cluster, and which file says so.

use serde_json::{Value, json};

use super::args::{Config, Global};
use super::error::{Exit, Failure};
use super::session::Session;
use crate::inventory::explain::{Setting, explain};
use crate::inventory::leaf::nearest;
use crate::report::print::{data, say, say_all};
use crate::report::{Cell, Table, Tone, terminal_width};

/// `config`.
///
/// # Errors
/// When the inventory is not valid, or has no such key.
pub fn config(global: &Global, args: &Config) -> Result<Exit, Failure> {
    let session = Session::open(global)?;
    let mut settings = explain(&session.loaded);
    if let Some(key) = &args.key {
        settings = of(settings, key)?;
    }
    let files: Vec<String> = (0..=session.loaded.shared.len())
        .map(|file| session.loaded.file(file).display().to_string())
        .collect();
    if session.json() {
        data(&json!({"cluster": session.desired().cluster, "files": files, "settings": settings}).to_string());
        return Ok(Exit::Done);
    }
    if args.explain {
        say!("read: {}", files.join(", "));
        say_all!("\n");
    }
    say_all!("{}\n", table(&settings, args.explain).render(terminal_width(), true));
    Ok(Exit::Done)
}

/// A key, or everything below it.
fn of(settings: Vec<Setting>, key: &str) -> Result<Vec<Setting>, Failure> {
    let (found, others): (Vec<Setting>, Vec<Setting>) = settings.into_iter().partition(|setting| {
        let below = setting.key.strip_prefix(key);
        below.is_some_and(|below| below.is_empty() || below.starts_with('.'))
    });
    if !found.is_empty() {
        return Ok(found);
    }
    let failure = Failure::new(Exit::Usage, format!("nothing is set by the key `{key}`"));
    Err(match nearest(key, others.iter().map(|setting| setting.key.as_str())) {
        Some(near) => failure.hint(format!("did you mean `{near}`?")),
        None => failure.hint("`quorate config` lists all keys; docs/inventory.md says what they are"),
    })
}

fn table(settings: &[Setting], origins: bool) -> Table {
    let mut table = match origins {
        true => Table::new(["KEY", "VALUE", "FROM"]).prose(["VALUE"]),
        false => Table::new(["KEY", "VALUE"]).prose(["VALUE"]),
    };
    for setting in settings {
        let mut cells = vec![Cell::new(&setting.key), Cell::new(text(&setting.value))];
        if origins {
            cells.push(match &setting.origin {
                Some(origin) => Cell::new(format!("{}:{}", origin.file.display(), origin.line)),
                None => Cell::new("default").tone(Tone::Dim),
            });
        }
        table.row(cells);
    }
    table
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) if items.iter().all(|item| !item.is_object()) => {
            items.iter().map(text).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}
