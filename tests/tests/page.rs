//! A second reader of pages, plain and slow, to hold pmbridge's against.

use std::collections::BTreeMap;

/// One sample line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    /// The name as written.
    pub(crate) name: String,
    /// The labels, unescaped.
    pub(crate) labels: BTreeMap<String, String>,
    /// The value.
    pub(crate) value: f64,
}

/// The samples of a well-formed page, in its order.
pub(crate) fn samples(page: &str) -> Vec<Sample> {
    page.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()).map(sample).collect()
}

fn sample(line: &str) -> Sample {
    let end = line.find(['{', ' ']).expect("a name");
    let (name, rest) = line.split_at(end);
    let (labels, rest) = if rest.starts_with('{') { labels(rest) } else { (BTreeMap::new(), rest) };
    let value = rest.split_whitespace().next().expect("a value").parse().expect("a number");
    Sample { name: name.to_owned(), labels, value }
}

fn labels(text: &str) -> (BTreeMap<String, String>, &str) {
    let mut all = BTreeMap::new();
    let (mut name, mut value, mut quoted) = (String::new(), String::new(), false);
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match (quoted, c) {
            (true, '\\') => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, c)) => value.push(c),
                None => break,
            },
            (true, '"') => {
                all.insert(std::mem::take(&mut name), std::mem::take(&mut value));
                quoted = false;
            }
            (true, c) => value.push(c),
            (false, '"') => quoted = true,
            (false, '}') => return (all, text.get(at + 1..).unwrap_or("")),
            (false, '=' | ',' | ' ') => {}
            (false, c) => name.push(c),
        }
    }
    panic!("no closing brace in {text}")
}

#[test]
fn a_page_is_read() {
    let all = samples("# HELP a b\na{x=\"1,}\",y=\"q\\\"\"} 1.5 17\nb NaN\n");
    assert_eq!(all.len(), 2);
    assert_eq!((all[0].labels["x"].as_str(), all[0].labels["y"].as_str(), all[0].value), ("1,}", "q\"", 1.5));
    assert!(all[1].value.is_nan());
}
