//! The fields of one message, whatever protocol brought them.
//!
//! A [`Head`] owns its bytes: the fields of an HTTP/1.1 head are copied once, as one block, out of the worker's read buffer
//! (about 20 ns for 500 bytes), and HTTP/2 fields are written one after another. From then on a change appends bytes and
//! moves an offset; nothing else is copied until the head is written out. Names compare without case.

use tidegate_http1::{Field, Known, KnownSet, Span};

#[derive(Debug, Default, Clone)]
pub struct Head {
    bytes: Vec<u8>,
    fields: Vec<Field>,
    /// Names that are there, or were: answers most questions without a walk.
    seen: KnownSet,
}

/// Marks a removed field; a field name is never empty, so this cannot meet a real one.
const REMOVED: Span = Span { start: 0, len: 0 };

impl Head {
    /// Empties the head and keeps its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.fields.clear();
        self.seen = KnownSet::default();
    }

    /// Takes a parsed HTTP/1.1 head: `block` is all of its bytes, `fields` point into it.
    pub fn fill(&mut self, block: &[u8], fields: &[Field], seen: KnownSet) {
        self.seen = seen;
        self.bytes.clear();
        self.bytes.extend_from_slice(block);
        self.fields.clear();
        self.fields.extend_from_slice(fields);
    }

    /// A copy that takes so many bytes and fields more without growing.
    pub fn clone_with_room(&self, bytes: usize, fields: usize) -> Self {
        let mut copy = Self {
            bytes: Vec::with_capacity(self.bytes.len() + bytes),
            fields: Vec::with_capacity(self.fields.len() + fields),
            seen: self.seen,
        };
        copy.bytes.extend_from_slice(&self.bytes);
        copy.fields.extend_from_slice(&self.fields);
        copy
    }

    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The bytes that spans of this message (method, target) point into.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Keeps text beside the fields, for spans of the start line that HTTP/2 brings apart.
    pub fn keep(&mut self, text: &[u8]) -> Span {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(text);
        Span { start, len: text.len() as u32 }
    }

    pub fn get<'a>(&'a self, name: &[u8]) -> Option<&'a [u8]> {
        self.get_all(name).next()
    }

    pub fn get_all<'a, 'n>(&'a self, name: &'n [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let known = Known::of(name);
        self.fields.iter().filter(move |field| self.is(field, known, name)).map(|field| field.value.of(&self.bytes))
    }

    /// The first value of a name that the codec knows: compares one byte a field.
    pub fn get_known(&self, known: Known) -> Option<&[u8]> {
        if !self.seen.contains(known) {
            return None;
        }
        self.fields
            .iter()
            .find(|field| field.known == known && field.name.len != 0)
            .map(|field| field.value.of(&self.bytes))
    }

    pub fn contains(&self, name: &[u8]) -> bool {
        self.get(name).is_some()
    }

    /// Replaces every field of that name by one.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        self.remove(name);
        self.add(name, value);
    }

    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        self.add_known(Known::of(name), name, value);
    }

    /// As [`Head::add`], when the caller already knows which name it is.
    pub fn add_known(&mut self, known: Known, name: &[u8], value: &[u8]) {
        debug_assert!(!name.is_empty());
        let name = self.keep(name);
        let value = self.keep(value);
        self.push(Field { name, value, known });
    }

    /// Appends a field whose value `write` makes in place.
    pub fn add_with(&mut self, name: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
        let known = Known::of(name);
        let name = self.keep(name);
        let start = self.bytes.len();
        write(&mut self.bytes);
        let value = Span { start: start as u32, len: (self.bytes.len() - start) as u32 };
        self.push(Field { name, value, known });
    }

    fn push(&mut self, field: Field) {
        self.seen.insert(field.known);
        self.fields.push(field);
    }

    pub fn remove(&mut self, name: &[u8]) {
        let known = Known::of(name);
        if known != Known::Other {
            return self.remove_known(known);
        }
        for index in 0..self.fields.len() {
            if self.is(&self.fields[index], known, name) {
                self.fields[index].name = REMOVED;
            }
        }
    }

    pub fn remove_known(&mut self, known: Known) {
        if !self.seen.contains(known) {
            return;
        }
        for field in &mut self.fields {
            if field.known == known {
                field.name = REMOVED;
            }
        }
    }

    /// Removes fields by what the codec knows of their names; does not look at unknown ones.
    pub fn remove_where(&mut self, mut gone: impl FnMut(Known) -> bool) {
        for field in &mut self.fields {
            if field.known != Known::Other && gone(field.known) {
                field.name = REMOVED;
            }
        }
    }

    /// Keeps the fields for which `keep(known, name, value)` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(Known, &[u8], &[u8]) -> bool) {
        for field in &mut self.fields {
            if field.name.len != 0 && !keep(field.known, field.name.of(&self.bytes), field.value.of(&self.bytes)) {
                field.name = REMOVED;
            }
        }
    }

    /// Every field that is left, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Known, &[u8], &[u8])> {
        self.fields
            .iter()
            .filter(|field| field.name.len != 0)
            .map(|field| (field.known, field.name.of(&self.bytes), field.value.of(&self.bytes)))
    }

    /// As [`Head::iter`], with places in [`Head::bytes`].
    pub fn spans(&self) -> impl Iterator<Item = (Known, Span, Span)> {
        let left = self.fields.iter().filter(|field| field.name.len != 0);
        left.map(|field| (field.known, field.name, field.value))
    }

    /// No fewer than the fields that are left.
    pub fn most_fields(&self) -> usize {
        self.fields.len()
    }

    fn is(&self, field: &Field, known: Known, name: &[u8]) -> bool {
        field.name.len != 0
            && field.known == known
            && (known != Known::Other || field.name.of(&self.bytes).eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(lines: &[(&str, &str)]) -> Head {
        let mut head = Head::default();
        for (name, value) in lines {
            head.add(name.as_bytes(), value.as_bytes());
        }
        head
    }

    fn lines(head: &Head) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        head.iter().map(|(_, name, value)| (text(name), text(value))).collect()
    }

    #[test]
    fn names_compare_without_case() {
        let head = head(&[("Host", "a"), ("X-Thing", "1"), ("x-thing", "2")]);
        assert_eq!(head.get(b"hOST"), Some(&b"a"[..]));
        assert_eq!(head.get_all(b"X-THING").collect::<Vec<_>>(), [b"1", b"2"]);
    }

    #[test]
    fn set_replaces_every_field_of_the_name() {
        let mut head = head(&[("a", "1"), ("b", "2"), ("A", "3")]);
        head.set(b"a", b"4");
        assert_eq!(lines(&head), [("b".into(), "2".into()), ("a".into(), "4".into())]);
    }

    #[test]
    fn a_removed_field_is_gone_for_every_reader() {
        let mut head = head(&[("host", "1"), ("b", "2")]);
        head.remove_known(Known::Host);
        head.remove(b"B");
        assert_eq!(head.get_known(Known::Host), None);
        assert_eq!(lines(&head), []);
    }
}
