//! What `pminfo -dfmtT` says, taken apart by metric.

use std::collections::BTreeMap;

/// One metric as pminfo shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metric {
    /// The PMID as printed.
    pub pmid: String,
    /// The one-line help.
    pub oneline: String,
    /// The lines of data type, instance domain, semantics and units.
    pub desc: Vec<String>,
    /// The long help.
    pub help: String,
    /// Instances with their values, or the one value, or the error, line by line.
    pub values: Vec<String>,
}

impl Metric {
    /// The parts in which two metrics differ, each with both texts.
    pub fn differences(&self, other: &Self) -> Vec<(&'static str, String, String)> {
        let mut all = Vec::new();
        let mut compare = |part, a: &str, b: &str| {
            if a != b {
                all.push((part, a.to_owned(), b.to_owned()));
            }
        };
        compare("pmid", &self.pmid, &other.pmid);
        compare("oneline", &self.oneline, &other.oneline);
        compare("desc", &self.desc.join("|"), &other.desc.join("|"));
        compare("help", &self.help, &other.help);
        if self.values.len() != other.values.len() {
            compare("number of values", &self.values.len().to_string(), &other.values.len().to_string());
        }
        for (a, b) in self.values.iter().zip(&other.values) {
            compare("value", a, b);
        }
        all
    }
}

/// The metrics of one `pminfo -dfmtT` listing, by name.
pub fn metrics(listing: &str, root: &str) -> BTreeMap<String, Metric> {
    let mut all = BTreeMap::new();
    let mut current: Option<(String, Metric)> = None;
    let mut in_help = false;
    for line in listing.lines() {
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        if first.starts_with(root) && (rest.is_empty() || rest.starts_with("PMID: ")) {
            all.extend(current.take());
            current = Some((first.to_owned(), head(rest)));
            in_help = false;
            continue;
        }
        let Some((_, metric)) = &mut current else { continue };
        let text = line.trim();
        if text.starts_with("Data Type: ") || text.starts_with("Semantics: ") {
            metric.desc.push(text.to_owned());
        } else if let Some(rest) = line.strip_prefix("Help: ") {
            rest.clone_into(&mut metric.help); // such as `<empty entry>`
        } else if line == "Help:" || line.starts_with("Full help ") {
            in_help = true;
        } else if line.starts_with("    inst [") || line.starts_with("    value ") {
            in_help = false;
            metric.values.push(text.to_owned());
        } else if in_help && !line.starts_with("Error: ") {
            metric.help += line;
            metric.help += "\n";
        } else if !line.is_empty() {
            metric.values.push(text.to_owned()); // an error, or the rest of an instance name with a line feed
        }
    }
    all.extend(current);
    for metric in all.values_mut() {
        metric.help = metric.help.trim_end().to_owned();
    }
    all
}

fn head(rest: &str) -> Metric {
    let (pmid, oneline) = rest.strip_prefix("PMID: ").unwrap_or(rest).split_once(' ').unwrap_or((rest, ""));
    Metric { pmid: pmid.to_owned(), oneline: oneline.to_owned(), ..Metric::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_taken_apart_by_metric() {
        let listing = "\nopenmetrics.a.b PMID: 144.1.0 [one line]\n    Data Type: double  InDom: 144.5120 0x24001400\n    \
                       Semantics: counter  Units: count\nHelp:\nlong\nhelp\n    inst [0 or \"0 a:b\"] value 1\n    \
                       inst [1 or \"1 a:c\"] value 2\n\nopenmetrics.a.c PMID: 144.1.1 []\n    \
                       Data Type: double  InDom: PM_INDOM_NULL 0xffffffff\n    value 3\n";
        let all = metrics(listing, "openmetrics");
        let b = &all["openmetrics.a.b"];
        assert_eq!(
            (b.pmid.as_str(), b.oneline.as_str(), b.help.as_str()),
            ("144.1.0", "[one line]", "long\nhelp")
        );
        assert_eq!((b.desc.len(), b.values.len()), (2, 2));
        assert_eq!(all["openmetrics.a.c"].values, ["value 3"]);
    }
}
