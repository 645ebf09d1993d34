//! What would change in a file, for the operator's eyes. Only files of this room come here: none holds a secret.

use similar::TextDiff;

use super::RenderedFile;

/// The unified diff from `observed` (`None`: no such file) to `wanted`; empty when they are equal.
pub fn unified_diff(observed: Option<&str>, wanted: &RenderedFile) -> String {
    let (before, old) = match observed {
        Some(text) => (wanted.path.as_str(), text),
        None => ("/dev/null", ""),
    };
    TextDiff::from_lines(old, &wanted.text)
        .unified_diff()
        .context_radius(3)
        .header(before, wanted.path.as_str())
        .to_string()
}
