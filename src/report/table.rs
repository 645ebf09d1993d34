//! Tables without borders, as `status` and its like print them on stdout.

use comfy_table::{Attribute, CellAlignment, Color, ColumnConstraint, ContentArrangement, presets};

use super::text::{Paint, columns_of, one_line, own_colours, wrapped};

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
    /// No cell is longer, in characters: what hosts and members call themselves has limits of megabytes only, and columns are
    /// counted in sixteen bits below.
    const LONGEST: usize = 2000;

    /// `text` on one line, nothing special; cut where it is longer than any sentence.
    pub fn new(text: impl Into<String>) -> Self {
        let mut text = one_line(&text.into());
        if let Some((at, _)) = text.char_indices().nth(Self::LONGEST) {
            text.truncate(at);
            text.push_str("...");
        }
        Self {
            text,
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

impl Cell {
    fn painted(&self, paint: Paint) -> String {
        match self.tone {
            Tone::Plain => self.text.clone(),
            Tone::Good => paint.good(&self.text),
            Tone::Warn => paint.warn(&self.text),
            Tone::Bad => paint.bad(&self.text),
            Tone::Dim => paint.dim(&self.text),
        }
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
    spare: Vec<&'static str>,
    prose: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
    /// The row that is chosen, where one of them is.
    chosen: Option<usize>,
}

impl Table {
    /// A table with these columns.
    pub fn new(header: impl IntoIterator<Item = &'static str>) -> Self {
        Self {
            header: header.into_iter().collect(),
            right: Vec::new(),
            spare: Vec::new(),
            prose: Vec::new(),
            rows: Vec::new(),
            chosen: None,
        }
    }

    /// These columns hold numbers: they are aligned on the right.
    #[must_use]
    pub fn right(mut self, columns: impl IntoIterator<Item = &'static str>) -> Self {
        self.right.extend(columns);
        self
    }

    /// These columns go, in this order, until the others have room on the terminal.
    #[must_use]
    pub fn spare(mut self, columns: impl IntoIterator<Item = &'static str>) -> Self {
        self.spare.extend(columns);
        self
    }

    /// These columns hold sentences or lists, which may be broken between words. All others are names, addresses and
    /// numbers that are copied, and never broken.
    #[must_use]
    pub fn prose(mut self, columns: impl IntoIterator<Item = &'static str>) -> Self {
        self.prose.extend(columns);
        self
    }

    /// Puts a mark before this row, and room for it before the others.
    #[must_use]
    pub fn choose(mut self, at: usize) -> Self {
        self.chosen = Some(at);
        for (row, cells) in self.rows.iter_mut().enumerate() {
            if let Some(cell) = cells.first_mut() {
                let mark = if row == at { "> " } else { "  " };
                cell.text.insert_str(0, mark);
            }
        }
        self
    }

    /// Adds a row, one cell per column.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table as text, without a line end at its end. `width`: columns of the terminal; where they are too few, columns
    /// that can be spared go, and if that is not enough each row becomes a block. `None` (a pipe) keeps each row on one line.
    pub fn render(&self, width: Option<u16>, colour: bool) -> String {
        let mut shown: Vec<usize> = (0..self.header.len()).collect();
        let Some(width) = width else {
            return self.columns(&shown, None, colour);
        };
        let fits = |shown: &[usize]| self.least(shown) <= usize::from(width);
        let mut gone = Vec::new();
        let mut spare = self.spare.iter();
        while !fits(&shown) {
            let Some(next) = spare.next() else {
                return self.blocks(width, colour);
            };
            gone.extend(shown.extract_if(.., |at| self.header[*at] == *next));
        }
        // A wide column made others go that have room without it.
        for at in gone.into_iter().rev() {
            let place = shown.partition_point(|other| *other < at);
            shown.insert(place, at);
            if !fits(&shown) {
                shown.remove(place);
            }
        }
        self.columns(&shown, Some(width), colour)
    }

    /// The columns that these need at the least.
    fn least(&self, shown: &[usize]) -> usize {
        let of = |at: &usize| {
            let name = self.header[*at];
            let texts = self
                .rows
                .iter()
                .filter_map(|row| row.get(*at))
                .map(|cell| cell.text.as_str());
            let texts = texts.chain([name]);
            match self.prose.contains(&name) {
                true => texts
                    .flat_map(str::split_whitespace)
                    .map(columns_of)
                    .max()
                    .unwrap_or(0)
                    .max(LEAST_PROSE),
                false => texts.map(columns_of).max().unwrap_or(0),
            }
        };
        let mark = if self.chosen.is_some() { 2 } else { 0 };
        shown.iter().map(of).sum::<usize>() + GAP * shown.len().saturating_sub(1) + mark
    }

    fn columns(&self, shown: &[usize], width: Option<u16>, colour: bool) -> String {
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
        let header = shown.iter().enumerate().map(|(place, at)| match (place, self.chosen) {
            (0, Some(_)) => format!("  {}", self.header[*at]),
            _ => self.header[*at].to_owned(),
        });
        table.set_header(header.map(|name| comfy_table::Cell::new(name.to_uppercase()).add_attribute(Attribute::Bold)));
        for row in &self.rows {
            table.add_row(shown.iter().filter_map(|at| row.get(*at)).map(styled));
        }
        for (index, name) in shown.iter().map(|at| self.header[*at]).enumerate() {
            if let Some(column) = table.column_mut(index) {
                // None behind the last one: coloured, it would not be trimmed.
                let gap = if index + 1 < shown.len() { GAP } else { 0 };
                column.set_padding((0, gap as u16));
                if self.right.contains(&name) {
                    column.set_cell_alignment(CellAlignment::Right);
                }
                if width.is_some() && !self.prose.contains(&name) {
                    column.set_constraint(ColumnConstraint::ContentWidth);
                }
            }
        }
        // Cells have no colours: all that are here are ours.
        own_colours(&table.trim_fmt())
    }

    /// Each row as a block: the first cell, and below it what the others have to say.
    fn blocks(&self, width: u16, colour: bool) -> String {
        let paint = Paint { colour, ..Paint::PLAIN };
        let names = self.header.iter().skip(1).map(|name| columns_of(name));
        let lead = names.max().unwrap_or(0) + GAP;
        let mut text = String::new();
        for row in &self.rows {
            let mut cells = self.header.iter().zip(row);
            if let Some((_, first)) = cells.next() {
                text += &format!("{}\n", paint.strong(&first.text));
            }
            for (name, cell) in cells.filter(|(_, cell)| !cell.text.is_empty()) {
                let value = cell.painted(paint);
                let line = format!("  {:<lead$}{value}", name.to_uppercase());
                text += &wrapped(&line, usize::from(width), lead + 2);
            }
        }
        text.truncate(text.trim_end().len());
        text
    }
}

/// Columns between two columns.
const GAP: usize = 2;

/// Columns that a sentence needs.
const LEAST_PROSE: usize = 24;

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
    fn a_narrow_terminal_breaks_sentences_and_nothing_that_is_copied() {
        let members = members().prose(["note"]);
        insta::assert_snapshot!(members.render(Some(60), false), @r"
        NAME    HEALTH   DB SIZE  NOTE
        etcd-1  healthy  1.2 MiB  leader
        etcd-2  unknown        -  cannot be reached: connection
                                  refused by 10.0.0.12 port 22
        ");
        assert!(members.render(Some(60), true).contains('\x1b'));
        // Without room for a sentence.
        let narrow = members.spare(["db size"]).render(Some(40), false);
        insta::assert_snapshot!(narrow, @r"
        etcd-1
          HEALTH   healthy
          DB SIZE  1.2 MiB
          NOTE     leader
        etcd-2
          HEALTH   unknown
          DB SIZE  -
          NOTE     cannot be reached: connection
                   refused by 10.0.0.12 port 22
        ");
    }

    #[test]
    fn a_name_of_megabytes_is_cut() {
        let mut table = members();
        let name = "漢".repeat(1 << 20);
        table.row([
            name.as_str().into(),
            name.as_str().into(),
            "-".into(),
            name.as_str().into(),
        ]);
        for width in [None, Some(80), Some(u16::MAX)] {
            let shown = table.render(width, false);
            assert!(
                shown.contains("etcd-1") && shown.len() < 64_000,
                "{width:?}: {}",
                shown.len()
            );
        }
    }

    #[test]
    fn what_can_be_spared_goes_before_a_table_becomes_blocks() {
        let members = members().spare(["note", "db size"]);
        insta::assert_snapshot!(members.render(Some(30), false), @r"
        NAME    HEALTH   DB SIZE
        etcd-1  healthy  1.2 MiB
        etcd-2  unknown        -
        ");
        insta::assert_snapshot!(members.render(Some(23), false), @r"
        NAME    HEALTH
        etcd-1  healthy
        etcd-2  unknown
        ");
        let blocks = members.render(Some(14), false);
        assert!(blocks.starts_with("etcd-1\n  HEALTH   healthy\n"), "{blocks}");
    }
}
