//! Writes a block, from the first value to the last.

use serde_json::{Map, Value};

use super::block::{Claims, FALSE, HEAD, LENGTH, LIST, NULL, NUMBER, OBJECT, TEXT, TRUE, spread};
use super::claim::Claim;

#[derive(Debug, Default)]
pub(crate) struct Writer {
    block: Vec<u8>,
}

/// A list or an object whose end is not written yet.
#[must_use]
pub(crate) struct Open(usize);

/// Where a name stands.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Name {
    start: u32,
    end: u32,
}

impl Writer {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { block: Vec::with_capacity(bytes) }
    }

    pub(crate) fn null(&mut self) {
        self.put(NULL, b"");
    }

    pub(crate) fn truth(&mut self, truth: bool) {
        self.put(if truth { TRUE } else { FALSE }, b"");
    }

    pub(crate) fn unsigned(&mut self, number: u64) {
        self.put(NUMBER, itoa::Buffer::new().format(number).as_bytes());
    }

    pub(crate) fn signed(&mut self, number: i64) {
        self.put(NUMBER, itoa::Buffer::new().format(number).as_bytes());
    }

    /// False for what is no number.
    pub(crate) fn float(&mut self, number: f64) -> bool {
        let number = serde_json::Number::from_f64(number);
        if let Some(number) = &number {
            self.put(NUMBER, number.to_string().as_bytes());
        }
        number.is_some()
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.put(TEXT, text.as_bytes());
    }

    /// The name of a member, whose value is to follow.
    pub(crate) fn name(&mut self, name: &str) -> Name {
        self.block.extend_from_slice(&spread(name.len()));
        let start = self.block.len();
        self.block.extend_from_slice(name.as_bytes());
        Name { start: start as u32, end: self.block.len() as u32 }
    }

    pub(crate) fn name_at(&self, name: Name) -> &[u8] {
        &self.block[name.start as usize..name.end as usize]
    }

    pub(crate) fn open_list(&mut self) -> Open {
        self.open(LIST)
    }

    pub(crate) fn open_object(&mut self) -> Open {
        self.open(OBJECT)
    }

    pub(super) fn open(&mut self, kind: u8) -> Open {
        self.put(kind, b"");
        Open(self.block.len())
    }

    pub(crate) fn close(&mut self, Open(start): Open) {
        let length = spread(self.block.len() - start);
        self.block[start - LENGTH..start].copy_from_slice(&length);
    }

    pub(crate) fn is_object(&self) -> bool {
        self.block.first() == Some(&OBJECT)
    }

    pub(super) fn object(&mut self, map: &Map<String, Value>) {
        let open = self.open(OBJECT);
        for (name, value) in map {
            self.name(name);
            self.value(value);
        }
        self.close(open);
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.null(),
            Value::Bool(truth) => self.truth(*truth),
            Value::Number(number) => self.put(NUMBER, number.to_string().as_bytes()),
            Value::String(text) => self.text(text),
            Value::Array(values) => {
                let open = self.open(LIST);
                values.iter().for_each(|value| self.value(value));
                self.close(open);
            }
            Value::Object(map) => self.object(map),
        }
    }

    /// A claim of another block.
    pub(super) fn claim(&mut self, claim: Claim<'_>) {
        match claim {
            Claim::Null => self.null(),
            Claim::Bool(truth) => self.truth(truth),
            Claim::Number(number) => self.put(NUMBER, number.as_text().as_bytes()),
            Claim::Text(text) => self.text(text),
            Claim::List(list) => self.put(LIST, list.block().as_bytes()),
            Claim::Object(object) => self.put(OBJECT, object.block().as_bytes()),
        }
    }

    pub(crate) fn finish(self) -> Claims {
        let text = String::from_utf8(self.block).expect("texts, and signs of seven bits");
        Claims::new(text.into_boxed_str())
    }

    fn put(&mut self, kind: u8, body: &[u8]) {
        let [first, second, third, fourth] = spread(body.len());
        let head: [u8; HEAD] = [kind, first, second, third, fourth];
        self.block.extend_from_slice(&head);
        self.block.extend_from_slice(body);
    }
}
