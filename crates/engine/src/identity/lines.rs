//! Header lines in one block of memory.

use std::fmt;

use tidegate_http1::is_field_value;

/// What stands before name and value: the length of either.
const LENGTHS: usize = 8;

/// Header lines for the service, ready to be written: name in lower case, value without control bytes.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Lines(Vec<u8>);

impl Lines {
    pub fn with_capacity(lines: usize, bytes: usize) -> Self {
        Self(Vec::with_capacity(lines * LENGTHS + bytes))
    }

    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let start = self.open(name);
        self.0.extend_from_slice(value);
        self.close(start, name);
    }

    /// A line whose value is written in its place, without blanks around it; none where it is empty or nothing for a head.
    pub fn write(&mut self, name: &[u8], value: impl FnOnce(&mut Vec<u8>)) {
        let start = self.open(name);
        let middle = self.0.len();
        value(&mut self.0);
        let end = self.0.trim_ascii_end().len().max(middle);
        self.0.truncate(end);
        let text = self.0[middle..].trim_ascii_start();
        if text.is_empty() || !is_field_value(text) {
            return self.0.truncate(start);
        }
        let blanks = self.0.len() - middle - text.len();
        self.0.drain(middle..middle + blanks);
        self.close(start, name);
    }

    /// Begins a line; says where.
    fn open(&mut self, name: &[u8]) -> usize {
        let start = self.0.len();
        self.0.extend_from_slice(&[0; LENGTHS]);
        self.0.extend_from_slice(name);
        start
    }

    fn close(&mut self, start: usize, name: &[u8]) {
        let lengths = [name.len(), self.0.len() - start - LENGTHS - name.len()];
        let [name, value] = lengths.map(|length| u32::try_from(length).expect("no head is that long").to_ne_bytes());
        self.0[start..start + 4].copy_from_slice(&name);
        self.0[start + 4..start + LENGTHS].copy_from_slice(&value);
    }

    pub fn iter(&self) -> Iter<'_> {
        Iter(&self.0)
    }

    pub fn contains(&self, name: &[u8]) -> bool {
        self.iter().any(|(known, _)| known == name)
    }

    /// The lines, to be kept elsewhere.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Lines whose [`Lines::as_bytes`] these are.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

/// Name and value, line by line.
pub struct Iter<'a>(&'a [u8]);

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, rest) = self.0.split_first_chunk()?;
        let (value, rest) = rest.split_first_chunk()?;
        let (name, rest) = rest.split_at(u32::from_ne_bytes(*name) as usize);
        let (value, rest) = rest.split_at(u32::from_ne_bytes(*value) as usize);
        self.0 = rest;
        Some((name, value))
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for Lines {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(all: I) -> Self {
        let mut lines = Self::default();
        all.into_iter().for_each(|(name, value)| lines.push(name.as_ref(), value.as_ref()));
        lines
    }
}

impl fmt::Debug for Lines {
    /// Values are personal data: they do not go into logs by accident.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.iter().map(|(name, _)| String::from_utf8_lossy(name))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        let long = vec![b'x'; 70_000];
        let all: [(&[u8], &[u8]); 4] = [(b"x-a", b"1"), (b"x-long", &long), (b"x-empty", b""), (b"x-a", b"\xff")];
        let lines: Lines = all.into_iter().collect();
        assert_eq!(lines.iter().collect::<Vec<_>>(), all);
        assert!(lines.contains(b"x-empty") && !lines.contains(b"x-") && !lines.contains(b"1"));
        assert_eq!(Lines::default().iter().count(), 0);
    }

    #[test]
    fn a_value_that_is_written_has_no_blanks_around_it() {
        let mut lines = Lines::default();
        for (name, value) in [("a", "1"), ("b", " \t2 3 \n"), ("c", ""), ("d", " \t"), ("e", "x\0y"), ("f", "\t4")] {
            lines.write(name.as_bytes(), |out| out.extend_from_slice(value.as_bytes()));
        }
        assert_eq!(lines, [("a", "1"), ("b", "2 3"), ("f", "4")].into_iter().collect());
    }
}
