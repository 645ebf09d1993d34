//! The YAML document as a tree in which every node knows its place.
//!
//! A plain serde pass stops at the first mistake. Reading into this tree first, and the tree into
//! [`raw`](super::raw) afterwards, finds all of them at once.

use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_yaml::{DuplicateKeyPolicy, Location, Spanned};

use super::problem::{Place, Problem};

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The place of the text; of a mapping or list only its start.
    pub at: Place,
    /// What it is.
    pub kind: Kind,
}

/// The kinds of values.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// `null`, `~` or nothing.
    Null,
    /// A single value: the text as typed (without quotes), and what YAML takes it for.
    Scalar {
        /// As typed.
        text: String,
        /// As YAML reads it: string, number or boolean.
        value: Value,
    },
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file, with any repeated keys.
    Map(Vec<Entry>),
}

/// One `key: value`.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub key_at: Place,
    /// The value.
    pub value: Node,
}

impl Node {
    /// Reads a document. `Err` is the one problem that keeps it from being YAML.
    pub fn parse(text: &str) -> Result<Node, Problem> {
        // An inventory of nine hosts has some hundred nodes.
        Self::parse_up_to(text, 50_000)
    }

    /// The same for a document of at most this many nodes: what other programs list is longer than an inventory.
    pub fn parse_up_to(text: &str, nodes: usize) -> Result<Node, Problem> {
        let options = serde_yaml::options! {
            with_snippet: false,
            strict_booleans: true,
            duplicate_keys: DuplicateKeyPolicy::PassThrough,
            // These stop nested aliases long before they hurt.
            budget: serde_yaml::budget! { max_nodes: nodes, max_events: nodes * 4, max_depth: 32 },
            alias_limits: serde_yaml::alias_limits! { max_total_replayed_events: 50_000 },
        };
        let parsed: Option<Parsed> =
            serde_yaml::from_str_with_options(text, options).map_err(|error| not_yaml(text, &error))?;
        Ok(match parsed {
            Some(parsed) => parsed.into_node(text),
            None => Node {
                at: Place::START,
                kind: Kind::Null,
            },
        })
    }

    /// The same, said to stand in the file of this number ([`Place::file`]).
    pub fn in_file(mut self, file: usize) -> Node {
        self.at.file = file;
        self.kind = match self.kind {
            Kind::List(items) => Kind::List(items.into_iter().map(|item| item.in_file(file)).collect()),
            Kind::Map(entries) => Kind::Map(
                entries
                    .into_iter()
                    .map(|entry| Entry {
                        key_at: Place { file, ..entry.key_at },
                        value: entry.value.in_file(file),
                        key: entry.key,
                    })
                    .collect(),
            ),
            single => single,
        };
        self
    }

    /// What it is, in words, for messages.
    pub fn describe(&self) -> &'static str {
        match self.kind {
            Kind::Null => "nothing",
            Kind::Scalar { .. } => "a single value",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }

    /// The entry of `key`, when this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|e| e.key == key),
            _ => None,
        }
    }

    /// The text, when this is a single value.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The value without places. A repeated key keeps its first value.
    pub fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Scalar { value, .. } => value.clone(),
            Kind::List(items) => Value::Array(items.iter().map(Node::to_json).collect()),
            Kind::Map(entries) => {
                let mut map = serde_json::Map::new();
                for entry in entries {
                    map.entry(entry.key.clone()).or_insert_with(|| entry.value.to_json());
                }
                Value::Object(map)
            }
        }
    }
}

fn place(location: Location) -> Place {
    let span = location.span();
    Place {
        file: 0,
        offset: span.byte_offset().map_or(0, |o| usize::try_from(o).unwrap_or(0)),
        length: span.byte_len().map_or(0, |l| usize::try_from(l).unwrap_or(0)),
        line: usize::try_from(location.line()).unwrap_or(1).max(1),
        column: usize::try_from(location.column()).unwrap_or(1).max(1),
    }
}

/// The parser's own message, at its place. Scanner errors carry line and column only.
fn not_yaml(text: &str, error: &serde_yaml::Error) -> Problem {
    let mut at = error.location().map_or(Place::START, place);
    let line_start: usize = text.split_inclusive('\n').take(at.line - 1).map(str::len).sum();
    let line = text[line_start..].lines().next().unwrap_or_default();
    let in_line: usize = line.chars().take(at.column - 1).map(char::len_utf8).sum();
    at.offset = line_start + in_line;
    at.length = line[in_line..].trim_end().len().min(1);
    let help = if line.contains('\t') {
        "YAML does not take tabs for indentation: use spaces"
    } else {
        "check this line and the one above it: the usual causes are indentation, a missing `:` or an unclosed quote"
    };
    // The place is shown by the report itself, so the parser's "at line N, column M" would be said twice.
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or(&message);
    let message = message.strip_prefix("error: ").unwrap_or(message);
    Problem::error(at, format!("not readable as YAML: {message}"), help)
}

/// What the parser hands over; becomes a [`Node`] once the document's text is at hand.
#[derive(Deserialize)]
struct Parsed(Spanned<ParsedKind>);

enum ParsedKind {
    Null,
    Scalar(Value),
    List(Vec<Parsed>),
    Map(Vec<(Spanned<String>, Parsed)>),
}

impl Parsed {
    fn into_node(self, text: &str) -> Node {
        let Spanned {
            value,
            referenced,
            defined,
        } = self.0;
        let kind = match value {
            ParsedKind::Null => Kind::Null,
            ParsedKind::Scalar(Value::String(text)) => Kind::Scalar {
                text: text.clone(),
                value: Value::String(text),
            },
            ParsedKind::Scalar(value) => {
                // `1e3` must stay `1e3` where a name is wanted: the number YAML sees is not what was typed.
                let at = place(defined);
                let typed = text.get(at.offset..at.offset + at.length).map(str::trim);
                let text = typed
                    .filter(|t| !t.is_empty())
                    .map_or_else(|| value.to_string(), str::to_owned);
                Kind::Scalar { text, value }
            }
            ParsedKind::List(items) => Kind::List(items.into_iter().map(|i| i.into_node(text)).collect()),
            ParsedKind::Map(entries) => Kind::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| Entry {
                        key_at: place(key.referenced),
                        key: key.value,
                        value: value.into_node(text),
                    })
                    .collect(),
            ),
        };
        Node {
            at: place(referenced),
            kind,
        }
    }
}

impl<'de> Deserialize<'de> for ParsedKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KindVisitor)
    }
}

struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = ParsedKind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_unit<E>(self) -> Result<ParsedKind, E> {
        Ok(ParsedKind::Null)
    }
    fn visit_none<E>(self) -> Result<ParsedKind, E> {
        Ok(ParsedKind::Null)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<ParsedKind, D::Error> {
        deserializer.deserialize_any(self)
    }
    fn visit_bool<E>(self, value: bool) -> Result<ParsedKind, E> {
        Ok(ParsedKind::Scalar(value.into()))
    }
    fn visit_i64<E>(self, value: i64) -> Result<ParsedKind, E> {
        Ok(ParsedKind::Scalar(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<ParsedKind, E> {
        Ok(ParsedKind::Scalar(value.into()))
    }
    fn visit_f64<E>(self, value: f64) -> Result<ParsedKind, E> {
        Ok(ParsedKind::Scalar(value.into()))
    }
    fn visit_str<E>(self, value: &str) -> Result<ParsedKind, E> {
        Ok(ParsedKind::Scalar(value.into()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<ParsedKind, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(ParsedKind::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ParsedKind, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(ParsedKind::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(text: &str, at: Place) -> &str {
        &text[at.offset..at.offset + at.length]
    }

    #[test]
    fn every_scalar_and_key_knows_its_text() {
        let text = "# héllo\na: 1e3\n'b': \"x\\ty\"\nc: [no, ~, 'q']\nd:\n  - {e: 0x1f}\n";
        let tree = Node::parse(text).unwrap();
        assert_eq!(slice(text, tree.get("a").unwrap().value.at), "1e3");
        assert_eq!(tree.get("a").unwrap().value.text(), Some("1e3"));
        assert_eq!(slice(text, tree.get("b").unwrap().key_at), "'b'");
        assert_eq!(slice(text, tree.get("b").unwrap().value.at), "\"x\\ty\"");
        assert_eq!(tree.get("b").unwrap().value.text(), Some("x\ty"));
        assert_eq!(
            tree.get("c").unwrap().value.to_json(),
            serde_json::json!(["no", null, "q"])
        );
        let Kind::List(items) = &tree.get("d").unwrap().value.kind else {
            panic!()
        };
        assert_eq!(items[0].get("e").unwrap().value.text(), Some("0x1f"));
    }

    #[test]
    fn repeated_keys_are_all_kept_and_aliases_and_merges_are_followed() {
        let tree = Node::parse("a: 1\na: 2\n").unwrap();
        let Kind::Map(entries) = &tree.kind else { panic!() };
        assert_eq!(entries.len(), 2);
        let tree = Node::parse("x: &x {p: 1, q: 7}\ny: {<<: *x, p: 2}\nz: *x\n").unwrap();
        assert_eq!(
            tree.get("y").unwrap().value.to_json(),
            serde_json::json!({"p": 2, "q": 7})
        );
        assert_eq!(tree.get("z").unwrap().value.get("q").unwrap().value.text(), Some("7"));
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for i in 1..9 {
            let alias = format!("*a{}", i - 1);
            text.push_str(&format!("a{i}: &a{i} [{}]\n", [alias.as_str(); 9].join(", ")));
        }
        assert!(Node::parse(&text).is_err());
    }

    #[test]
    fn what_is_no_yaml_is_one_problem_with_a_place() {
        let problem = Node::parse("a: 1\nb:\n\t- c\n").unwrap_err();
        assert_eq!(problem.line, 3, "{problem:?}");
        assert!(problem.help.contains("tabs"), "{problem:?}");
        let problem = Node::parse("a: 'open\n").unwrap_err();
        assert!(problem.message.starts_with("not readable as YAML"), "{problem:?}");
    }
}
