//! RESP2, the protocol of Redis: commands out, replies in. <https://redis.io/docs/latest/develop/reference/protocol-spec/>

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Nil,
    /// `+OK`
    Status(Box<[u8]>),
    /// `-NOSCRIPT No matching script.`
    Error(Box<str>),
    Integer(i64),
    Bulk(Box<[u8]>),
    Array(Vec<Reply>),
}

/// The peer does not speak RESP2, or says more than we take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

const BULK_BYTES: usize = 4 * 1024 * 1024;
const ARRAY_ITEMS: usize = 64 * 1024;
const DEPTH: usize = 8;
/// An error text may be long (a script's), a number never is.
const LINE_BYTES: usize = 64 * 1024;

impl Reply {
    /// The items of an array; nothing else has any.
    pub fn items(&self) -> &[Reply] {
        match self {
            Self::Array(items) => items,
            _ => &[],
        }
    }

    /// A number, also one that came as text.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(value) => Some(*value),
            Self::Bulk(text) | Self::Status(text) => std::str::from_utf8(text).ok()?.parse().ok(),
            _ => None,
        }
    }

    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Bulk(text) | Self::Status(text) => std::str::from_utf8(text).ok(),
            _ => None,
        }
    }
}

/// Appends a command.
pub fn write_command<'a>(out: &mut Vec<u8>, words: impl ExactSizeIterator<Item = &'a [u8]>) {
    write_length(out, b'*', words.len());
    words.for_each(|word| write_word(out, word));
}

/// Begins a command of that many words; as many [`write_word`] must follow.
pub fn write_length(out: &mut Vec<u8>, sign: u8, length: usize) {
    out.push(sign);
    out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
    out.extend_from_slice(b"\r\n");
}

pub fn write_word(out: &mut Vec<u8>, word: &[u8]) {
    write_length(out, b'$', word.len());
    out.extend_from_slice(word);
    out.extend_from_slice(b"\r\n");
}

/// One reply from the front of `bytes`, and how many bytes it took; `None` while it is not there as a whole.
pub fn parse(bytes: &[u8]) -> Result<Option<(Reply, usize)>, Malformed> {
    let mut reader = Reader { bytes, at: 0 };
    Ok(reader.reply(DEPTH)?.map(|reply| (reply, reader.at)))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn reply(&mut self, depth: usize) -> Result<Option<Reply>, Malformed> {
        let Some(line) = self.line()? else { return Ok(None) };
        let (&sign, rest) = line.split_first().ok_or(Malformed)?;
        Ok(match sign {
            b'+' => Some(Reply::Status(rest.into())),
            b'-' => Some(Reply::Error(String::from_utf8_lossy(rest).into())),
            b':' => Some(Reply::Integer(number(rest)?)),
            b'$' => match length(rest, BULK_BYTES)? {
                None => Some(Reply::Nil),
                Some(length) => self.bulk(length)?.map(|bytes| Reply::Bulk(bytes.into())),
            },
            b'*' => match length(rest, ARRAY_ITEMS)? {
                None => Some(Reply::Nil),
                Some(length) => self.array(length, depth.checked_sub(1).ok_or(Malformed)?)?,
            },
            _ => return Err(Malformed),
        })
    }

    fn line(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        let rest = &self.bytes[self.at..];
        let Some(end) = memchr::memchr(b'\n', rest) else {
            return if rest.len() > LINE_BYTES { Err(Malformed) } else { Ok(None) };
        };
        self.at += end + 1;
        rest[..end].strip_suffix(b"\r").ok_or(Malformed).map(Some)
    }

    fn bulk(&mut self, length: usize) -> Result<Option<&'a [u8]>, Malformed> {
        let Some(bytes) = self.bytes.get(self.at..self.at + length + 2) else { return Ok(None) };
        self.at += length + 2;
        bytes.strip_suffix(b"\r\n").ok_or(Malformed).map(Some)
    }

    fn array(&mut self, length: usize, depth: usize) -> Result<Option<Reply>, Malformed> {
        // A length alone reserves nothing: the items have to come.
        let mut items = Vec::with_capacity(length.min(64));
        for _ in 0..length {
            match self.reply(depth)? {
                Some(item) => items.push(item),
                None => return Ok(None),
            }
        }
        Ok(Some(Reply::Array(items)))
    }
}

fn number(text: &[u8]) -> Result<i64, Malformed> {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(Malformed)
}

/// `-1` stands for nothing at all.
fn length(text: &[u8], most: usize) -> Result<Option<usize>, Malformed> {
    match number(text)? {
        -1 => Ok(None),
        length => usize::try_from(length).ok().filter(|length| *length <= most).ok_or(Malformed).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_arrays_of_bulk_strings() {
        let mut out = Vec::new();
        write_command(&mut out, [&b"GET"[..], b"a\r\nb"].into_iter());
        assert_eq!(out, b"*2\r\n$3\r\nGET\r\n$4\r\na\r\nb\r\n");
    }

    #[test]
    fn a_reply_is_read_however_it_is_cut() {
        let bytes = b"*5\r\n:-7\r\n$3\r\na\r\n\r\n$-1\r\n+OK\r\n*1\r\n-ERR no\r\n";
        let whole = Reply::Array(vec![
            Reply::Integer(-7),
            Reply::Bulk(b"a\r\n".as_slice().into()),
            Reply::Nil,
            Reply::Status(b"OK".as_slice().into()),
            Reply::Array(vec![Reply::Error("ERR no".into())]),
        ]);
        for end in 0..bytes.len() {
            assert_eq!(parse(&bytes[..end]), Ok(None), "{end}");
        }
        assert_eq!(parse(bytes), Ok(Some((whole.clone(), bytes.len()))));
        assert_eq!(parse(&[&bytes[..], b":1\r\n"].concat()), Ok(Some((whole, bytes.len()))));
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        let deep = b"*1\r\n".repeat(DEPTH + 1);
        for bytes in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"\r\n",
            b":1\n",
            b":x\r\n",
            b"$-2\r\n",
            b"$99999999999\r\n",
            b"*99999999\r\n",
            b"$1\r\nabc\r\n",
            &deep,
        ] {
            assert_eq!(parse(bytes), Err(Malformed), "{}", String::from_utf8_lossy(bytes));
        }
        assert_eq!(parse(&vec![b'+'; LINE_BYTES + 2]), Err(Malformed));
    }
}
