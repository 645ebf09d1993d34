//! How an entry of a list is laid out in the text, and text edits that keep that layout. A `None` means: not sure.

use std::net::Ipv4Addr;

use super::super::names::Version;
use super::super::problem::Place;
use super::super::tree::{Kind, Node};

/// One entry of the list of hosts and how it is written.
pub struct Item {
    /// The entry.
    pub node: Node,
    style: Option<Style>,
}

#[derive(Clone, Copy)]
enum Style {
    /// `- name: a` and further keys on lines of their own. Bytes `start..end` are whole lines.
    Block {
        start: usize,
        end: usize,
        dash: usize,
        key: usize,
    },
    /// `- {name: a, ...}` on lines of its own.
    BlockOfFlow {
        start: usize,
        end: usize,
        dash: usize,
        open: usize,
        close: usize,
    },
    /// `{name: a, ...}` inside `[...]`. `open..close` are the braces.
    Flow { open: usize, close: usize },
}

impl Item {
    /// Finds out how `node`, an entry of the list of hosts, is written.
    pub fn locate(text: &str, node: &Node) -> Item {
        Item {
            node: node.clone(),
            style: style(text, node),
        }
    }
}

fn style(text: &str, node: &Node) -> Option<Style> {
    let Kind::Map(entries) = &node.kind else { return None };
    let first_key = entries.first()?.key_at;
    let before = text.get(..first_key.offset)?;
    let open = before.trim_end();
    // An alias' keys stand elsewhere, an anchor or tag before the mapping would be lost: neither is edited.
    if let Some(lead) = open.strip_suffix('{') {
        let close = closing_brace(text, open.len() - 1)?;
        let line = line_start(text, lead.len());
        return match text[line..lead.len()].trim() {
            "-" => {
                let dash = lead.rfind('-')? - line;
                let (start, end) = (line, item_end(text, line, dash)?);
                Some(Style::BlockOfFlow {
                    start,
                    end,
                    dash,
                    open: lead.len(),
                    close,
                })
            }
            // Behind the one before, or behind that one's comment.
            _ if matches!(lead.trim_end().chars().last(), Some('[' | ','))
                || lead[line_start(lead, lead.len())..].trim().is_empty() =>
            {
                Some(Style::Flow {
                    open: lead.len(),
                    close,
                })
            }
            _ => None,
        };
    }
    let key_line = line_start(text, first_key.offset);
    let lead = &text[key_line..first_key.offset];
    let (start, dash) = if lead.trim() == "-" {
        (key_line, lead.find('-')?)
    } else if lead.trim().is_empty() && key_line > 0 {
        let above = line_start(text, key_line - 1);
        let line = text[above..key_line].trim_end();
        (above, line.strip_suffix('-').filter(|l| l.trim().is_empty())?.len())
    } else {
        return None;
    };
    let key = lead.len();
    Some(Style::Block {
        start,
        end: item_end(text, start, dash)?,
        dash,
        key,
    })
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

/// The end of the last line of the item whose dash stands in column `dash` of the line at `start`: all lines that are
/// indented deeper, without trailing blank lines and comments (those belong to what follows).
fn item_end(text: &str, start: usize, dash: usize) -> Option<usize> {
    let mut at = start;
    let mut end = start;
    for (number, line) in text.get(start..)?.split_inclusive('\n').enumerate() {
        at += line.len();
        let content = line.trim();
        let indent = line.len() - line.trim_start().len();
        if number > 0 && !content.is_empty() && indent <= dash {
            break;
        }
        let is_comment_of_item = content.starts_with('#') && indent > dash;
        if number == 0 || is_comment_of_item || !(content.is_empty() || content.starts_with('#')) {
            end = at;
        }
    }
    Some(end)
}

/// The position of the brace that closes the one at `open`, with regard to quotes and comments.
fn closing_brace(text: &str, open: usize) -> Option<usize> {
    let (mut depth, mut quote, mut previous) = (0_usize, None, ' ');
    let mut chars = text.get(open..)?.char_indices();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (Some('"'), '\\') => {
                chars.next();
            }
            (Some(q), c) if q == c => quote = None,
            (Some(_), _) => {}
            // A quote opens a text only where a value starts: `it's` is plain.
            (None, '"' | '\'') if matches!(previous, ' ' | '{' | '[' | ',' | ':' | '\n') => quote = Some(c),
            (None, '#') if previous.is_whitespace() => {
                chars.by_ref().find(|(_, c)| *c == '\n')?;
            }
            (None, '{' | '[') => depth += 1,
            (None, '}' | ']') => {
                depth -= 1;
                if depth == 0 {
                    return (c == '}').then_some(open + at);
                }
            }
            _ => {}
        }
        previous = c;
    }
    None
}

fn newline_of(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

fn flow(fields: &[(&str, String)], spaced: bool) -> String {
    let pairs: Vec<String> = fields.iter().map(|(key, value)| format!("{key}: {value}")).collect();
    let space = if spaced { " " } else { "" };
    format!("{{{space}{}{space}}}", pairs.join(", "))
}

/// `text` with an entry of `fields` after `item`, in its style.
pub fn insert_after(text: &str, item: &Item, fields: &[(&str, String)]) -> Option<String> {
    let newline = newline_of(text);
    let spaced = |open: usize| text[open + 1..].starts_with(' ');
    let (at, entry) = match item.style? {
        Style::Block { end, dash, key, .. } => {
            let mut lines = String::new();
            for (index, (name, value)) in fields.iter().enumerate() {
                let lead = if index == 0 {
                    format!("{}-{}", " ".repeat(dash), " ".repeat(key.checked_sub(dash + 1)?.max(1)))
                } else {
                    " ".repeat(key.max(dash + 2))
                };
                lines.push_str(&format!("{lead}{name}: {value}{newline}"));
            }
            (end, lines)
        }
        Style::BlockOfFlow { end, dash, open, .. } => (
            end,
            format!("{}- {}{newline}", " ".repeat(dash), flow(fields, spaced(open))),
        ),
        Style::Flow { open, close } => {
            let line = line_start(text, open);
            let alone = text[line..open].trim().is_empty();
            // A comment behind the last entry is about that one, and stays on its line.
            if let Some(eol) = own_line_ends(text, open, close) {
                let (behind, indent) = (&text[close + 1..eol], &text[line..open]);
                let (own, next) = if behind.trim_start().starts_with(',') {
                    ("", ",")
                } else {
                    (",", "")
                };
                let entry = format!("{own}{behind}{newline}{indent}{}{next}", flow(fields, spaced(open)));
                return Some(format!("{}{entry}{}", &text[..=close], &text[eol..]));
            }
            let lead = if alone {
                format!("{newline}{}", &text[line..open])
            } else {
                " ".to_owned()
            };
            (close + 1, format!(",{lead}{}", flow(fields, spaced(open))))
        }
    };
    let (head, tail) = text.split_at_checked(at)?;
    // The last line of a file may lack its end.
    let own_line = !matches!(item.style?, Style::Flow { .. });
    let gap = if own_line && !head.ends_with('\n') { newline } else { "" };
    let entry = if gap.is_empty() || !tail.is_empty() {
        entry.as_str()
    } else {
        entry.trim_end()
    };
    Some(format!("{head}{gap}{entry}{tail}"))
}

/// Where the line of a flow entry ends that has it for itself: a comma and a comment at most stand behind it.
fn own_line_ends(text: &str, open: usize, close: usize) -> Option<usize> {
    let eol = close + 1 + text[close + 1..].find(newline_of(text))?;
    let behind = text[close + 1..eol].trim_start();
    let behind = behind.strip_prefix(',').unwrap_or(behind).trim_start();
    let before = text[line_start(text, open)..open].trim();
    (before.is_empty() && (behind.is_empty() || behind.starts_with('#'))).then_some(eol)
}

/// `text` without `item`, the `index`th of the list.
pub fn remove(text: &str, item: &Item, index: usize) -> Option<String> {
    let (start, end) = match item.style? {
        Style::Block { start, end, dash, .. } | Style::BlockOfFlow { start, end, dash, .. } => {
            // A comment right above describes the entry; above the first one it describes the list.
            (
                if index == 0 {
                    start
                } else {
                    comments_above(text, start, dash)
                },
                end,
            )
        }
        Style::Flow { open, close } => {
            if let Some(eol) = own_line_ends(text, open, close) {
                // The comma of the one before may stay: YAML takes one behind the last entry.
                (line_start(text, open), eol + newline_of(text).len())
            } else if index == 0 {
                let rest = text[close + 1..].trim_start().strip_prefix(',')?;
                (open, text.len() - rest.trim_start().len())
            } else {
                (text[..open].trim_end().strip_suffix(',')?.len(), close + 1)
            }
        }
    };
    Some(format!("{}{}", text.get(..start)?, text.get(end..)?))
}

fn comments_above(text: &str, start: usize, dash: usize) -> usize {
    let mut from = start;
    while from > 0 {
        let above = line_start(text, from - 1);
        let line = &text[above..from];
        let indent = line.len() - line.trim_start().len();
        if !line.trim().starts_with('#') || indent != dash {
            break;
        }
        from = above;
    }
    from
}

/// `text` with `value` in the place of the scalar at `at`; its quotes stay.
pub fn replace_scalar(text: &str, at: Place, value: &str) -> Option<String> {
    let old = text.get(at.offset..at.offset + at.length)?;
    let new = match old.chars().next()? {
        // What is replaced with are names, addresses and versions: nothing in them needs an escape.
        quote @ ('"' | '\'') => format!("{quote}{value}{quote}"),
        '*' | '&' | '!' | '|' | '>' => return None,
        _ => scalar(value),
    };
    Some(format!("{}{new}{}", &text[..at.offset], &text[at.offset + at.length..]))
}

/// `text` with `ssh: {host: HOST}` in the entry `item`, which has no `ssh.host`.
pub fn insert_ssh_host(text: &str, item: &Item, host: &str) -> Option<String> {
    let host = scalar(host);
    if let Some(ssh) = item.node.get("ssh") {
        let Kind::Map(entries) = &ssh.value.kind else {
            return None;
        };
        let first = entries.first()?.key_at;
        let lead = &text[line_start(text, first.offset)..first.offset];
        let insert = if lead.trim().is_empty() {
            format!("host: {host}{}{lead}", newline_of(text))
        } else {
            format!("host: {host}, ")
        };
        return Some(format!("{}{insert}{}", &text[..first.offset], &text[first.offset..]));
    }
    let (at, insert) = match item.style? {
        Style::Block { key, .. } => {
            let address = item.node.get("address")?.value.at;
            let line_end = text[address.offset..]
                .find('\n')
                .map_or(text.len(), |n| address.offset + n + 1);
            let lead = if text[..line_end].ends_with('\n') {
                ""
            } else {
                newline_of(text)
            };
            (
                line_end,
                format!("{lead}{}ssh: {{host: {host}}}{}", " ".repeat(key), newline_of(text)),
            )
        }
        Style::BlockOfFlow { close, .. } | Style::Flow { close, .. } => {
            let at = text[..close].trim_end().len();
            (at, format!(", ssh: {{host: {host}}}"))
        }
    };
    Some(format!("{}{insert}{}", text.get(..at)?, text.get(at..)?))
}

/// `text` with `etcd.version`, which it does not have: first in the section, or in a new one behind the cluster's name.
pub fn insert_version(text: &str, tree: &Node, version: &str) -> Option<String> {
    let (newline, version) = (newline_of(text), scalar(version));
    let (at, insert) = match tree.get("etcd") {
        Some(etcd) => {
            let Kind::Map(entries) = &etcd.value.kind else {
                return None;
            };
            let first = entries.first()?.key_at.offset;
            let lead = &text[line_start(text, first)..first];
            let behind = match lead.trim().is_empty() {
                true => format!("{newline}{lead}"),
                false => ", ".to_owned(),
            };
            (first, format!("version: {version}{behind}"))
        }
        None => {
            let name = tree.get("cluster")?.value.at.offset;
            let end = text[name..].find('\n').map(|end| name + end + 1);
            let gap = if end.is_some() { "" } else { newline };
            (
                end.unwrap_or(text.len()),
                format!("{gap}etcd:{newline}  version: {version}{newline}"),
            )
        }
    };
    Some(format!("{}{insert}{}", text.get(..at)?, text.get(at..)?))
}

/// A name or address as a YAML scalar: plain where every YAML reader takes it for text, else quoted.
pub fn scalar(value: &str) -> String {
    const WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let has_more_dots_than_a_number = value.parse::<Ipv4Addr>().is_ok() || value.parse::<Version>().is_ok();
    let starts_as_text = value.starts_with(|c: char| c.is_ascii_alphabetic());
    let plain_chars = value.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
    if has_more_dots_than_a_number
        || (starts_as_text && plain_chars && !WORDS.contains(&value.to_ascii_lowercase().as_str()))
    {
        value.to_owned()
    } else {
        format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
    }
}
