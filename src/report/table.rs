//! Tables without borders, as `status` and its like print them on stdout.

use comfy_table::{Attribute, CellAlignment, Color, ContentArrangement, presets};

/// What a cell's value means; shown as colour where there is colour, so never the only place where it is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    /// Nothing special.
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// Worth a look.
    Warn,
    /// Broken.
    Bad,
    /// Of less importance.
    Dim,
}

/// One value in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// `text`, nothing special.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            tone: Tone::Plain,
        }
    }

    /// The same with a meaning.
    #[must_use]
    pub fn tone(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Cell::new(text)
    }
}

/// A table that is being filled.
#[derive(Debug, Clone)]
pub struct Table {
    header: Vec<&'static str>,
    right: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table with these columns.
    pub fn new(header: impl IntoIterator<Item = &'static str>) -> Self {
        Self {
            header: header.into_iter().collect(),
            right: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// These columns hold numbers: they are aligned on the right.
    #[must_use]
    pub fn right(mut self, columns: impl IntoIterator<Item = &'static str>) -> Self {
        self.right.extend(columns);
        self
    }

    /// Adds a row, one cell per column.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table as text, without a line end at its end. `width`: columns of the terminal, within which long cells are
    /// wrapped; `None` (a pipe) keeps each row on one line.
    pub fn render(&self, width: Option<u16>, colour: bool) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING).force_no_tty();
        if colour {
            table.enforce_styling();
        }
        match width {
            Some(width) => table
                .set_content_arrangement(ContentArrangement::Dynamic)
                .set_width(width),
            None => table.set_content_arrangement(ContentArrangement::Disabled),
        };
        table.set_header(
            self.header
                .iter()
                .map(|name| comfy_table::Cell::new(name.to_uppercase()).add_attribute(Attribute::Bold)),
        );
        for row in &self.rows {
            table.add_row(row.iter().map(styled));
        }
        for (index, name) in self.header.iter().enumerate() {
            if let Some(column) = table.column_mut(index) {
                column.set_padding((0, 2));
                if self.right.contains(name) {
                    column.set_cell_alignment(CellAlignment::Right);
                }
            }
        }
        table.trim_fmt()
    }
}

fn styled(cell: &Cell) -> comfy_table::Cell {
    let plain = comfy_table::Cell::new(&cell.text);
    match cell.tone {
        Tone::Plain => plain,
        Tone::Good => plain.fg(Color::DarkGreen),
        Tone::Warn => plain.fg(Color::DarkYellow),
        Tone::Bad => plain.fg(Color::DarkRed).add_attribute(Attribute::Bold),
        Tone::Dim => plain.add_attribute(Attribute::Dim),
    }
}

/// Columns of the terminal that this program runs on, if any.
pub fn terminal_width() -> Option<u16> {
    comfy_table::Table::new()
        .use_stderr()
        .width()
        .filter(|width| *width > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members() -> Table {
        let mut table = Table::new(["name", "health", "db size", "note"]).right(["db size"]);
        table.row([
            "etcd-1".into(),
            Cell::new("healthy").tone(Tone::Good),
            "1.2 MiB".into(),
            "leader".into(),
        ]);
        let note = "cannot be reached: connection refused by 10.0.0.12 port 22";
        table.row([
            "etcd-2".into(),
            Cell::new("unknown").tone(Tone::Bad),
            "-".into(),
            note.into(),
        ]);
        table
    }

    #[test]
    fn columns_line_up_and_a_pipe_gets_one_line_a_row() {
        insta::assert_snapshot!(members().render(None, false), @r"
        NAME    HEALTH   DB SIZE  NOTE
        etcd-1  healthy  1.2 MiB  leader
        etcd-2  unknown        -  cannot be reached: connection refused by 10.0.0.12 port 22
        ");
    }

    #[test]
    fn a_narrow_terminal_wraps_cells_and_colour_comes_only_when_asked() {
        let narrow = members().render(Some(50), false);
        assert!(narrow.lines().all(|line| line.chars().count() <= 50), "{narrow}");
        assert!(!narrow.contains('\x1b'));
        assert!(members().render(Some(50), true).contains('\x1b'));
    }
}
