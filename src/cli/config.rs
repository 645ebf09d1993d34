//! `config`: what counts for the cluster, and which file says so.

use serde_json::{Value, json};

use super::args::{Config, Global};
use super::error::{Exit, Failure};
use super::many::part::Answer;
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
    let answer = Settings { files, settings };
    if let Some(part) = &session.global.part {
        part.answer(Answer::Settings(answer));
        return Ok(Exit::Done);
    }
    if session.json() {
        let mut object = answer.object();
        object["cluster"] = json!(session.desired().cluster);
        data(&object.to_string());
        return Ok(Exit::Done);
    }
    if args.explain {
        say!("read: {}", answer.files.join(", "));
        say_all!("\n");
    }
    let mut table = table(&[], args.explain);
    answer
        .settings
        .iter()
        .for_each(|setting| table.row(row(setting, args.explain)));
    say_all!("{}\n", table.render(terminal_width(), true));
    Ok(Exit::Done)
}

/// What counts for one cluster.
#[derive(Debug)]
pub struct Settings {
    /// The inventory, and what it shares with others.
    files: Vec<String>,
    settings: Vec<Setting>,
}

impl Settings {
    /// As JSON.
    pub fn object(&self) -> Value {
        json!({"files": self.files, "settings": self.settings})
    }
}

/// One table of several clusters, by name.
pub fn of_several<'a>(clusters: impl Iterator<Item = (&'a str, &'a Settings)>, origins: bool) -> Table {
    let mut table = table(&["CLUSTER"], origins);
    for (name, settings) in clusters {
        for setting in &settings.settings {
            let mut cells = vec![Cell::new(name)];
            cells.extend(row(setting, origins));
            table.row(cells);
        }
    }
    table
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

fn table(first: &[&'static str], origins: bool) -> Table {
    let columns: &[&'static str] = if origins {
        &["KEY", "VALUE", "FROM"]
    } else {
        &["KEY", "VALUE"]
    };
    Table::new(first.iter().chain(columns).copied()).prose(["VALUE"])
}

fn row(setting: &Setting, origins: bool) -> Vec<Cell> {
    let mut cells = vec![Cell::new(&setting.key), Cell::new(text(&setting.value))];
    if origins {
        cells.push(match &setting.origin {
            Some(origin) => Cell::new(format!("{}:{}", origin.file.display(), origin.line)),
            None => Cell::new("default").tone(Tone::Dim),
        });
    }
    cells
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
