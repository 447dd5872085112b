//! Methods as bits; those that have none are compared as text.

/// Stands for every method without a bit of its own.
pub(super) const OTHER: u16 = 1 << 15;
/// The mask of a route that names no methods.
pub(super) const EVERY_METHOD: u16 = u16::MAX;
pub(super) const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"];

pub(super) fn method_bit(method: &[u8]) -> u16 {
    match METHODS.iter().position(|known| known.as_bytes() == method) {
        Some(at) => 1 << at,
        None => OTHER,
    }
}

/// Whether a method has a bit of its own.
pub(super) fn is_known(method: &str) -> bool {
    method_bit(method.as_bytes()) != OTHER
}

/// The methods a route takes. Who takes GET takes HEAD too (RFC 9110 section 9.1 asks it of every server).
pub(super) fn method_mask(methods: &[String]) -> u16 {
    let (get, head) = (1, 2);
    match methods.iter().fold(0, |mask, method| mask | method_bit(method.as_bytes())) {
        0 => EVERY_METHOD,
        mask if mask & get != 0 => mask | head,
        mask => mask,
    }
}
