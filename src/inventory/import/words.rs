//! A line as a shell would split it: what Ansible does with lines of hosts, and ssh's arguments in a variable.

use super::Typed;

/// The words of a line, each with its column; `#` at the start of a word begins a comment.
///
/// # Errors
/// The column of a quote that is not closed.
pub(super) fn words(line: &str, number: usize) -> Result<Vec<Typed>, usize> {
    let mut words = Vec::new();
    let mut word: Option<(usize, String)> = None;
    let mut quote: Option<(char, usize)> = None;
    let mut chars = line.chars().enumerate();
    while let Some((index, c)) = chars.next() {
        let column = index + 1;
        match (c, quote) {
            (c, Some((open, _))) if c == open => quote = None,
            ('\\', Some(('"', _)) | None) => {
                let next = chars.next().map(|(_, c)| c);
                word.get_or_insert((column, String::new())).1.extend(next);
            }
            (c, Some(_)) => word.get_or_insert((column, String::new())).1.push(c),
            ('"' | '\'', None) => {
                quote = Some((c, column));
                word.get_or_insert((column, String::new()));
            }
            ('#', None) if word.is_none() => break,
            (c, None) if c.is_whitespace() => {
                words.extend(word.take().map(|(column, text)| Typed::new(text, number, column)));
            }
            (c, None) => word.get_or_insert((column, String::new())).1.push(c),
        }
    }
    words.extend(word.map(|(column, text)| Typed::new(text, number, column)));
    match quote {
        Some((_, column)) => Err(column),
        None => Ok(words),
    }
}
