//! HTML and SVG: whatever a name or a host says is text there, never markup. Elements and their classes are words of this
//! program, all other attributes are numbers.

use std::fmt::Write;

use crate::report::one_line;

/// A piece of a page. Text becomes one by [`text`] alone, which leaves no markup in it.
#[derive(Debug, Clone)]
pub struct Html(pub(super) String);

/// What somebody else may have said.
pub fn text(text: &str) -> Html {
    let mut out = String::with_capacity(text.len());
    for c in one_line(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    Html(out)
}

/// An element with what is inside of it.
pub fn tag(name: &'static str, class: &'static str, inside: impl IntoIterator<Item = Html>) -> Html {
    shape(name, class, [], inside)
}

/// One of a picture, with its measures.
pub fn shape(
    name: &'static str,
    class: &'static str,
    measures: impl IntoIterator<Item = (&'static str, f64)>,
    inside: impl IntoIterator<Item = Html>,
) -> Html {
    let mut out = format!("<{name}");
    if !class.is_empty() {
        let _ = write!(out, " class=\"{class}\"");
    }
    for (measure, value) in measures {
        let _ = write!(out, " {measure}=\"{}\"", short(value));
    }
    out.push('>');
    inside.into_iter().for_each(|html| out.push_str(&html.0));
    let _ = write!(out, "</{name}>");
    Html(out)
}

/// A line through these points.
pub fn line(class: &'static str, points: impl IntoIterator<Item = (f64, f64)>) -> Html {
    let points: Vec<String> = points
        .into_iter()
        .map(|(x, y)| format!("{},{}", short(x), short(y)))
        .collect();
    Html(format!(
        "<polyline class=\"{class}\" points=\"{}\"></polyline>",
        points.join(" ")
    ))
}

/// A picture of this size; `says` is for those who do not see it.
pub fn picture(class: &'static str, width: f64, height: f64, says: &str, inside: Vec<Html>) -> Html {
    let (width, height) = (short(width), short(height));
    let Html(says) = text(says);
    let inside: String = inside.into_iter().map(|html| html.0).collect();
    Html(format!(
        "<svg class=\"{class}\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{says}\">{inside}</svg>"
    ))
}

fn short(value: f64) -> String {
    let rounded = (value * 10.0).round() / 10.0;
    rounded.to_string()
}
