//! The block, and how its parts are told apart.
//!
//! It is text from end to end, so that texts in it need no second look: a value is a sign for its kind, the length of what follows in four
//! characters of seven bits, and what follows: the text, the digits, or the values of a list, one after the other. The members of an
//! object are the length of the name, the name, and a value.

use std::fmt;

use serde_json::{Map, Value};

use super::claim::{Claim, Object};
use super::writer::Writer;

pub(super) const LENGTH: usize = 4;
/// Kind and length.
pub(super) const HEAD: usize = 1 + LENGTH;

pub(super) const NULL: u8 = b'n';
pub(super) const FALSE: u8 = b'f';
pub(super) const TRUE: u8 = b't';
pub(super) const NUMBER: u8 = b'#';
pub(super) const TEXT: u8 = b'"';
pub(super) const LIST: u8 = b'[';
pub(super) const OBJECT: u8 = b'{';

/// The claims of a credential, by name.
#[derive(Clone, Default)]
pub struct Claims {
    /// An object; empty where there are none.
    block: Box<str>,
}

impl Claims {
    pub(super) fn new(block: Box<str>) -> Self {
        Self { block }
    }

    pub fn get(&self, name: &str) -> Option<Claim<'_>> {
        self.object().get(name)
    }

    /// Name and value of each, in no order.
    pub fn iter(&self) -> super::Members<'_> {
        self.object().iter()
    }

    pub fn object(&self) -> Object<'_> {
        Object(self.block.get(HEAD..).unwrap_or_default())
    }

    /// The block, to be kept elsewhere.
    pub(crate) fn as_text(&self) -> &str {
        &self.block
    }

    /// Claims whose [`Claims::as_text`] this is.
    pub(crate) fn of_text(text: &str) -> Self {
        Self { block: text.into() }
    }

    /// Where a text stands that was read here; `None` for one from elsewhere.
    pub(crate) fn place_of(&self, text: &str) -> Option<Place> {
        let start = text.as_ptr().addr().checked_sub(self.block.as_ptr().addr())?;
        let place = Place { start: u32::try_from(start).ok()?, length: u32::try_from(text.len()).ok()? };
        (self.at(place)? == text).then_some(place)
    }

    /// The text at a place of these very claims.
    pub(crate) fn at(&self, Place { start, length }: Place) -> Option<&str> {
        self.block.get(start as usize..)?.get(..length as usize)
    }

    /// All of these, and those of the others that have other names.
    pub fn with(&self, others: &Self) -> Self {
        let mut writer = Writer::with_capacity(self.block.len() + others.block.len());
        let open = writer.open(OBJECT);
        let more = others.iter().filter(|(name, _)| self.get(name).is_none());
        for (name, claim) in self.iter().chain(more) {
            writer.name(name);
            writer.claim(claim);
        }
        writer.close(open);
        writer.finish()
    }
}

impl fmt::Debug for Claims {
    /// Claims are personal data: they do not go into logs by accident.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

impl From<&Map<String, Value>> for Claims {
    fn from(map: &Map<String, Value>) -> Self {
        let mut writer = Writer::with_capacity(map.len() * 32);
        writer.object(map);
        writer.finish()
    }
}

/// Where a text stands in a block.
#[derive(Clone, Copy)]
pub struct Place {
    start: u32,
    length: u32,
}

/// As four characters of seven bits.
pub(super) fn spread(length: usize) -> [u8; LENGTH] {
    assert!(length >> (7 * LENGTH) == 0, "what is read into claims has a bound far below 256 MiB");
    [21, 14, 7, 0].map(|shift| (length >> shift) as u8 & 0x7f)
}

pub(super) fn length_at(block: &[u8], at: usize) -> usize {
    let [first, second, third, fourth] = *block[at..].first_chunk::<LENGTH>().expect("a length stands here");
    usize::from(first) << 21 | usize::from(second) << 14 | usize::from(third) << 7 | usize::from(fourth)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(value: &Value) -> Claims {
        Claims::from(value.as_object().unwrap())
    }

    fn everything() -> Value {
        json!({
            "text": "a\"\\\n\u{0}ü\u{1f512}", "": "", "yes": true, "no": false, "nothing": null,
            "numbers": [0, -1, u64::MAX, i64::MIN, 1.5, 1.0, -0.0, 1e300, 1e20, 5e-324, 253_402_300_799u64],
            "deep": {"a": [{"b": {"c": [[], {}, [[1]]]}}], "ä.b": {"": []}},
            "long": "x".repeat(70_000), "list": vec!["entry"; 300],
        })
    }

    #[test]
    fn what_goes_in_comes_out() {
        let all = everything();
        let claims = claims(&all);
        assert_eq!(claims.object().to_value(), all);
        for (name, value) in all.as_object().unwrap() {
            assert_eq!(claims.get(name).map(Claim::to_value).as_ref(), Some(value), "{name}");
            assert_eq!(serde_json::to_string(&claims.get(name)).unwrap(), value.to_string(), "{name}");
        }
        for name in ["tex", "texts", "a", "deep.a", "entry", "\"", "x"] {
            assert!(claims.get(name).is_none(), "{name}");
        }
        assert!(Claims::default().get("").is_none());
        assert_eq!(Claims::default().iter().count(), 0);
    }

    #[test]
    fn an_object_is_written_in_the_order_of_its_names() {
        let claims = claims(&json!({"first": {"b": 1, "a": {"z": 1, "y": 2}, "ab": 3}}));
        let text = serde_json::to_string(&claims.object()).unwrap();
        assert_eq!(text, r#"{"first":{"a":{"y":2,"z":1},"ab":3,"b":1}}"#);
    }

    #[test]
    fn numbers_are_what_they_were() {
        for number in everything()["numbers"].as_array().unwrap() {
            let claims = claims(&json!({"n": number}));
            let claim = claims.get("n").unwrap();
            assert_eq!(claim.as_i64(), number.as_i64(), "{number}");
            assert_eq!(claim.as_u64(), number.as_u64(), "{number}");
            assert_eq!(claim.as_f64().map(f64::to_bits), number.as_f64().map(f64::to_bits), "{number}");
        }
    }

    #[test]
    fn of_two_blocks_the_first_wins() {
        let (one, other) = (json!({"sub": "one", "list": [1]}), json!({"sub": "two", "aud": {"x": [null]}}));
        let both = claims(&one).with(&claims(&other));
        assert_eq!(both.object().to_value(), json!({"sub": "one", "list": [1], "aud": {"x": [null]}}));
        assert_eq!(both.with(&Claims::default()).object().to_value(), both.object().to_value());
        assert_eq!(Claims::default().with(&both).object().to_value(), both.object().to_value());
    }
}
