//! Which node of a cluster has a key. <https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/>

use std::rc::Rc;

use crate::redis::Reply;

pub const SLOTS: usize = 16384;

/// The slot of a key: CRC-16/XMODEM of its hash tag, or of all of it.
pub fn slot(key: &[u8]) -> u16 {
    crc16(tag(key)) % SLOTS as u16
}

/// What stands between the first `{` and the next `}`, unless that is nothing.
fn tag(key: &[u8]) -> &[u8] {
    let Some(open) = memchr::memchr(b'{', key) else { return key };
    match memchr::memchr(b'}', &key[open + 1..]) {
        None | Some(0) => key,
        Some(length) => &key[open + 1..][..length],
    }
}

const TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = (index as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 0x8000 == 0 { value << 1 } else { (value << 1) ^ 0x1021 };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
};

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| (crc << 8) ^ TABLE[usize::from((crc >> 8) as u8 ^ byte)])
}

/// Node by slot; built from `CLUSTER SLOTS`, mended by `MOVED`.
pub struct SlotMap(Vec<Option<Rc<str>>>);

impl SlotMap {
    /// `None` for an answer that makes no sense, or names no node at all. `from`: the node that was asked; an empty host in the
    /// answer stands for it.
    pub fn parse(reply: &Reply, from: &str) -> Option<Self> {
        let mut slots: Vec<Option<Rc<str>>> = vec![None; SLOTS];
        for range in reply.items() {
            let [first, last, primary, ..] = range.items() else { return None };
            let (first, last) = (usize::try_from(first.integer()?).ok()?, usize::try_from(last.integer()?).ok()?);
            let [host, port, ..] = primary.items() else { return None };
            let node: Rc<str> = address(host.text().unwrap_or_default(), port.integer()?, from).into();
            slots.get_mut(first..=last)?.fill(Some(node));
        }
        slots.iter().any(Option::is_some).then_some(Self(slots))
    }

    pub fn node(&self, slot: u16) -> Option<&Rc<str>> {
        self.0[usize::from(slot)].as_ref()
    }

    pub fn moved(&mut self, slot: u16, node: &str) {
        self.0[usize::from(slot)] = Some(node.into());
    }

    pub fn has_node(&self, node: &str) -> bool {
        self.0.iter().flatten().any(|known| **known == *node)
    }
}

fn address(host: &str, port: i64, from: &str) -> String {
    let own = || from.rsplit_once(':').map_or(from, |(host, _)| host);
    match host {
        "" | "?" => format!("{}:{port}", own()),
        host if host.contains(':') => format!("[{host}]:{port}"),
        host => format!("{host}:{port}"),
    }
}

/// Where a key is instead, from `MOVED 3999 127.0.0.1:6381` and `ASK 3999 127.0.0.1:6381`.
#[derive(Debug, PartialEq, Eq)]
pub enum Redirect<'a> {
    Moved(u16, &'a str),
    Ask(&'a str),
}

impl<'a> Redirect<'a> {
    pub fn parse(error: &'a str) -> Option<Self> {
        let mut words = error.split(' ');
        let (kind, slot, node) = (words.next()?, words.next()?.parse().ok()?, words.next()?);
        // A server names other servers, never a file of this machine.
        if usize::from(slot) >= SLOTS || !node.contains(':') || node.starts_with("unix:") {
            return None;
        }
        match kind {
            "MOVED" => Some(Self::Moved(slot, node)),
            "ASK" => Some(Self::Ask(node)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_slots_that_the_specification_gives_them() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(slot(b"123456789"), 0x31C3);
        assert_eq!(slot(b"foo"), 12182);
        assert_eq!(slot(b"{user1000}.following"), slot(b"{user1000}.followers"));
        assert_eq!(slot(b"foo{}{bar}"), crc16(b"foo{}{bar}") % 16384);
        assert_eq!(slot(b"foo{{bar}}zap"), slot(b"{bar"));
        assert_eq!(slot(b"foo{bar}{zap}"), slot(b"bar"));
        assert_eq!(slot(b"foo{bar"), crc16(b"foo{bar") % 16384);
    }

    #[test]
    fn a_map_is_read_and_mended() {
        let node = |host: &[u8], port| Reply::Array(vec![Reply::Bulk(host.into()), Reply::Integer(port)]);
        let range = |first, last, node| Reply::Array(vec![Reply::Integer(first), Reply::Integer(last), node]);
        let reply = Reply::Array(vec![range(0, 99, node(b"10.0.0.1", 6379)), range(100, 16383, node(b"", 6380))]);
        let mut map = SlotMap::parse(&reply, "10.0.0.9:6379").unwrap();
        assert_eq!(map.node(99).unwrap().as_ref(), "10.0.0.1:6379");
        assert_eq!(map.node(100).unwrap().as_ref(), "10.0.0.9:6380");
        map.moved(100, "10.0.0.3:6379");
        assert_eq!(map.node(100).unwrap().as_ref(), "10.0.0.3:6379");
        assert!(map.has_node("10.0.0.1:6379") && !map.has_node("10.0.0.4:6379"));
        assert!(SlotMap::parse(&Reply::Array(vec![]), "a:1").is_none());
        assert!(SlotMap::parse(&Reply::Array(vec![range(0, 16384, node(b"a", 1))]), "a:1").is_none());
    }

    #[test]
    fn redirections_are_read() {
        assert_eq!(Redirect::parse("MOVED 3999 127.0.0.1:6381"), Some(Redirect::Moved(3999, "127.0.0.1:6381")));
        assert_eq!(Redirect::parse("ASK 3999 [::1]:6381"), Some(Redirect::Ask("[::1]:6381")));
        for other in ["ERR unknown", "MOVED 16384 a:1", "MOVED x a:1", "MOVED 1", "MOVED 1 a", "", "ASK 1 unix:/a"] {
            assert_eq!(Redirect::parse(other), None, "{other}");
        }
    }
}
