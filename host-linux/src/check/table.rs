//! The table for people: a metric a row, in the order of names, with its first values.

use std::io::{self, Write};

use pmbridge_core::pcp::{InDom, Type};
use pmbridge_core::store::{Metric, Series, View};

/// Prints the table, or nothing where there is no metric.
pub(super) fn print(out: &mut impl Write, view: View<'_>) -> io::Result<()> {
    let metrics = (0..view.names()).filter_map(|at| view.in_order(at));
    let rows: Vec<_> = metrics.map(|metric| row(view, metric)).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let mut widths = HEADER.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in core::iter::once(&HEADER.map(String::from)).chain(&rows) {
        let [name, kind, semantics, units, instances, values] = row;
        let [a, b, c, d, e, _] = widths;
        writeln!(out, "{name:a$}  {kind:b$}  {semantics:c$}  {units:d$}  {instances:>e$}  {values}")?;
    }
    Ok(())
}

/// Name, type, semantics, units, instances, values.
type Row = [String; 6];

const HEADER: [&str; 6] = ["NAME", "TYPE", "SEMANTICS", "UNITS", "INSTANCES", "FIRST VALUES"];

fn row(view: View<'_>, metric: &Metric) -> Row {
    let desc = metric.desc();
    let singular = desc.indom == InDom::NULL;
    [
        shown(view.name(metric)),
        desc.kind.to_string(),
        desc.semantics.to_string(),
        desc.units.to_string(),
        if singular { "-".into() } else { metric.live().to_string() },
        values(view, metric, singular),
    ]
}

/// The first values, each behind its instance, and how many more there are.
fn values(view: View<'_>, metric: &Metric, singular: bool) -> String {
    let mut live = view.series_from(view.first(metric)).map(|(_, series)| series).filter(|s| s.is_live());
    let mut cells = Vec::new();
    for series in live.by_ref().take(SHOWN) {
        let mut name = Vec::new();
        view.instance_name(metric, series, &mut |piece| name.extend_from_slice(piece));
        let value = value(view, metric.desc().kind, series);
        cells.push(if singular { value } else { format!("[{}] {value}", shown(&name)) });
    }
    match live.count() {
        0 => {}
        more => cells.push(format!("and {more} more")),
    }
    cells.join(", ")
}

fn value(view: View<'_>, kind: Type, series: &Series) -> String {
    let bits = series.value();
    match kind {
        Type::DOUBLE | Type::FLOAT => {
            let text = format!("{:?}", f64::from_bits(bits));
            text.strip_suffix(".0").map_or_else(|| text.replace("inf", "Inf"), String::from)
        }
        Type::I32 | Type::I64 => bits.cast_signed().to_string(),
        Type::U32 | Type::U64 => bits.to_string(),
        _ => format!("\"{}\"", shown(view.string(series))),
    }
}

/// A text of the document on one line, cut where it is long; nothing in it can steer a terminal.
fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut out = String::new();
    for (at, c) in text.chars().enumerate() {
        match c {
            _ if at == LONGEST => {
                out.push_str("...");
                break;
            }
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

/// How many values of a metric are shown.
const SHOWN: usize = 3;

/// How much of a text is shown.
const LONGEST: usize = 120;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;
    use pmbridge_core::mapping::Plain;
    use pmbridge_core::role::document::Document;
    use pmbridge_core::store::Store;
    use pmbridge_core::time::Instant;

    fn table(text: &str) -> String {
        let mut store = Store::new(Memory::new(100, 100), 144, 0);
        store.set_root("openmetrics").unwrap();
        let source = store.add_source("page", "", Some(1)).unwrap();
        store.begin(source);
        let mut document = Document::new(source, vec![0; 1000], Plain);
        document.feed(&mut store, text.as_bytes(), &mut |refused| panic!("{refused}"));
        store.commit(source, true, Instant::START);
        let mut out = Vec::new();
        print(&mut out, store.view()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_aligned_and_long_lists_cut_with_a_count() {
        let text = "# TYPE n_bytes gauge\nn_bytes -1.5\n# TYPE a_total counter\n\
                    a_total{x=\"1\"} 1\na_total{x=\"2\"} 2\na_total{x=\"3\"} 3\na_total{x=\"4\"} 4\na_total{x=\"5\"} 5\n";
        let want = "\
NAME                      TYPE    SEMANTICS  UNITS  INSTANCES  FIRST VALUES
openmetrics.page.a_total  double  counter    none           5  [0 x:1] 1, [1 x:2] 2, [2 x:3] 3, and 2 more
openmetrics.page.n_bytes  double  instant    byte           -  -1.5
";
        assert_eq!(table(text), want);
        assert_eq!(table(""), "");
    }

    #[test]
    fn no_text_leaves_its_row() {
        assert!(table("a{x=\"\\n\u{1b}[2J\"} +Inf\n").contains("[0 x:\\n\\u{1b}[2J] Inf\n"));
        assert!(shown(&[b'a'; 1000]).ends_with("a..."));
    }
}
