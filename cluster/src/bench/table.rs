//! A table of numbers with notes below: for a terminal, or for `BENCHMARKS.md`.

use std::iter::once;

use hdrhistogram::Histogram;

/// Rows of what was measured and the numbers.
pub(super) struct Table<const COLUMNS: usize> {
    pub(super) heads: [&'static str; COLUMNS],
    pub(super) rows: Vec<[String; COLUMNS]>,
    pub(super) notes: Vec<String>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    pub(super) fn text(&self) -> String {
        let heads = self.heads.map(str::to_owned);
        let mut out = String::new();
        for row in once(&heads).chain(&self.rows).filter(|row| row.iter().any(|cell| !cell.is_empty())) {
            for (column, cell) in row.iter().enumerate() {
                out.push_str(&if column == 0 { format!("{cell:<56}") } else { format!(" {cell:>12}") });
            }
            out.push('\n');
        }
        format!("{out}\n{}", self.notes.join("\n"))
    }

    pub(super) fn markdown(&self) -> String {
        let heads = self.heads.map(str::to_owned);
        let line = format!("|---{}|\n", "|---:".repeat(COLUMNS - 1));
        let rows: String = self.rows.iter().map(markdown_row).collect();
        format!("{}{line}{rows}\n{}", markdown_row(&heads), self.notes.join(" "))
    }
}

fn markdown_row<const COLUMNS: usize>(row: &[String; COLUMNS]) -> String {
    let cell = |cell: &String| if cell.is_empty() { "| ".to_owned() } else { format!("| {cell} ") };
    row.iter().map(cell).collect::<String>() + "|\n"
}

pub(super) fn millis(latency: &Histogram<u64>, quantile: f64) -> String {
    let micros = u32::try_from(latency.value_at_quantile(quantile)).unwrap_or(u32::MAX);
    format!("{:.2}", f64::from(micros) / 1_000.0)
}

/// `12,345`.
pub(super) fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(["0", "999", "1,000", "1,234,567"], [0.0, 999.4, 999.6, 1_234_567.0].map(thousands)[..]);
    }

    #[test]
    fn a_table_is_the_same_on_a_terminal_and_in_markdown() {
        let rows = vec![["joins".to_owned(), "20".to_owned()], ["items".to_owned(), String::new()]];
        let table = Table { heads: ["", "peal"], rows, notes: vec!["A note.".to_owned(), "Another.".to_owned()] };
        let lines = ["| | peal |", "|---|---:|", "| joins | 20 |", "| items | |", "", "A note. Another."];
        assert_eq!(table.markdown(), lines.join("\n"));
        let text = table.text();
        let words: Vec<Vec<_>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(
            words[..],
            [vec!["peal"], vec!["joins", "20"], vec!["items"], vec![], vec!["A", "note."], vec!["Another."]]
        );
    }
}
