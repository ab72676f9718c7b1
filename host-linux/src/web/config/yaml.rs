//! YAML as a tree whose scalars are text, and whose errors say where but never what: it may be a secret.

use saphyr_parser::{Event, Parser, ScalarStyle};

/// A value, and the line that it is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// Nothing is said.
    Null,
    /// Text, number or anything else in one word.
    Scalar(String),
    /// A list.
    List(Vec<Node>),
    /// Names, no two of which are alike, and what they have.
    Map(Vec<(String, Node)>),
}

/// Where a file is wrong, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Error {
    pub(super) line: usize,
    pub(super) why: String,
}

/// Reads a file of one document.
pub(super) fn read(text: &str) -> Result<Node, Error> {
    let mut tree = Tree::default();
    for event in Parser::new_from_str(text) {
        let (event, span) =
            event.map_err(|error| Error { line: error.marker().line(), why: error.info().to_owned() })?;
        tree.grow(event, span.start.line());
        if let Some(error) = tree.error {
            return Err(error);
        }
    }
    Ok(tree.root.unwrap_or(Node { line: 1, value: Value::Null }))
}

impl Node {
    /// An error on this line.
    pub(super) fn error(&self, why: impl Into<String>) -> Error {
        Error { line: self.line, why: why.into() }
    }

    /// The names in a map; nothing has none.
    pub(super) fn map(&self, name: &str) -> Result<&[(String, Self)], Error> {
        match &self.value {
            Value::Map(pairs) => Ok(pairs),
            Value::Null => Ok(&[]),
            _ => Err(self.error(format!("{name} has names and values below it"))),
        }
    }

    /// The text of a scalar; nothing is empty.
    pub(super) fn text(&self, name: &str) -> Result<&str, Error> {
        match &self.value {
            Value::Scalar(text) => Ok(text),
            Value::Null => Ok(""),
            _ => Err(self.error(format!("{name} is one word or text"))),
        }
    }

    /// The texts of a list; nothing has none.
    pub(super) fn list(&self, name: &str) -> Result<Vec<&str>, Error> {
        match &self.value {
            Value::List(nodes) => nodes.iter().map(|node| node.text(name)).collect(),
            Value::Null => Ok(Vec::new()),
            _ => Err(self.error(format!("{name} is a list"))),
        }
    }

    /// True or false.
    pub(super) fn truth(&self, name: &str) -> Result<bool, Error> {
        match self.text(name)? {
            "true" | "True" | "TRUE" => Ok(true),
            "false" | "False" | "FALSE" => Ok(false),
            _ => Err(self.error(format!("{name} is true or false"))),
        }
    }
}

/// A tree as it grows.
#[derive(Default)]
struct Tree {
    open: Vec<Open>,
    root: Option<Node>,
    error: Option<Error>,
    documents: usize,
}

/// A list or a map that has not ended.
struct Open {
    node: Node,
    /// The name that waits for its value.
    name: Option<(String, usize)>,
}

impl Tree {
    fn refuse(&mut self, line: usize, why: &str) {
        self.error.get_or_insert_with(|| Error { line, why: why.to_owned() });
    }

    /// Grows by what comes next.
    fn grow(&mut self, event: Event<'_>, line: usize) {
        match event {
            Event::DocumentStart(_) => {
                self.documents = self.documents.saturating_add(1);
                if self.documents > 1 {
                    self.refuse(line, "there is a second document");
                }
            }
            Event::Scalar(text, style, _, _) => {
                let plain = style == ScalarStyle::Plain;
                let is_null = plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let names = |open: &Open| matches!(open.node.value, Value::Map(_)) && open.name.is_none();
                let is_name = self.open.last().is_some_and(names);
                let value = if is_null && !is_name { Value::Null } else { Value::Scalar(text.into_owned()) };
                self.put(Node { line, value });
            }
            Event::SequenceStart(..) => self.open(Node { line, value: Value::List(Vec::new()) }),
            Event::MappingStart(..) => self.open(Node { line, value: Value::Map(Vec::new()) }),
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    self.put(open.node);
                }
            }
            // What is small as it is written may be large as it is meant.
            Event::Alias(_) => self.refuse(line, "aliases are not understood"),
            _ => {}
        }
    }

    fn open(&mut self, node: Node) {
        if self.open.len() >= DEEPEST {
            self.refuse(node.line, "this is nested too deeply");
        }
        self.open.push(Open { node, name: None });
    }

    /// Puts a value where it belongs.
    fn put(&mut self, node: Node) {
        let line = node.line;
        let Some(Open { node: parent, name }) = self.open.last_mut() else {
            self.root = Some(node);
            return;
        };
        match &mut parent.value {
            Value::List(nodes) => nodes.push(node),
            Value::Map(pairs) => match (name.take(), node.value) {
                // What is empty lies on the line where the next begins.
                (Some((name, line)), value) => pairs.push((name, Node { line, value })),
                (None, Value::Scalar(key)) if pairs.iter().all(|(known, _)| *known != key) => {
                    *name = Some((key, line));
                }
                (None, Value::Scalar(_)) => self.refuse(line, "a name is there twice"),
                (None, _) => self.refuse(line, "a name is one word or text"),
            },
            _ => {}
        }
    }
}

/// The file has three levels.
const DEEPEST: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_becomes_a_tree_of_text() {
        let tree = read("a: 'b'\n# c\nd:\n  - 1\n  - true\ne: {007: \"x\\n\"}\nf:\n").unwrap();
        let map = tree.map("").unwrap();
        assert_eq!(map.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["a", "d", "e", "f"]);
        assert_eq!(map[0].1.text(""), Ok("b"));
        assert_eq!(map[1].1.list(""), Ok(vec!["1", "true"]));
        assert_eq!(map[2].1.map("").unwrap()[0].0, "007");
        assert_eq!(map[2].1.map("").unwrap()[0].1.text(""), Ok("x\n"));
        assert_eq!((map[3].1.text(""), map[3].1.line), (Ok(""), 7));
        assert_eq!(read("").unwrap().map(""), Ok(&[][..]));
        assert_eq!(read("# c\n---\n").unwrap().map(""), Ok(&[][..]));
    }

    #[test]
    fn what_is_wrong_has_a_line_and_never_a_value() {
        for (text, line) in [
            ("a: b\nsecret\n", 2),
            ("a:\n  secret: 1\n  secret: 2\n", 3),
            ("a: &secret b\nc: *secret\n", 2),
            ("a: secret: c\n", 1),
            ("a: [secret\n", 2),
            ("a: b\n---\nc: secret\n", 2),
            ("? {a: secret}\n: b\n", 1),
        ] {
            let error = read(text).unwrap_err();
            assert!(!error.why.contains("secret"), "{text:?}: {error:?}");
            assert!(error.line.abs_diff(line) <= 1, "{text:?}: {error:?}");
        }
        assert!(read(&"[".repeat(100_000)).is_err());
    }
}
