//! The search for the route of one request.

use super::lookup::{Captures, Lookup};
use super::methods::{EVERY_METHOD, METHODS, OTHER, method_bit, method_mask};
use super::pattern::end_of_segment;
use super::router::{Found, Router};
use super::trie::{Capturing, Entry, Judge, NONE};

impl Router {
    /// Finds the route that takes a request, and fills `captures` for it.
    ///
    /// What has no path, as `OPTIONS *`, matches no route.
    pub fn find(&self, request: &impl Lookup, captures: &mut Captures) -> Found {
        let path = request.path();
        if path.first() != Some(&b'/') {
            return Found::NotFound;
        }
        let mut search = Search {
            router: self,
            request,
            path,
            method: method_bit(request.method()),
            best: None,
            bound: NONE,
            refused_method: false,
            scratch: &mut captures.decoded,
        };
        self.hosts.visit(request.host(), |bucket| {
            self.trie.search(bucket, path, &mut search);
            search.best.is_some()
        });
        let (best, refused_method) = (search.best, search.refused_method);
        match best {
            Some(entry) => {
                self.fill(&entry, path, captures);
                Found::Route(entry.route as usize)
            }
            None if refused_method => self.allowed(request, captures),
            None => Found::NotFound,
        }
    }

    fn fill(&self, entry: &Entry, path: &[u8], captures: &mut Captures) {
        captures.rank = entry.rank;
        captures.spans.clear();
        match entry.capturing {
            Capturing::Nothing => captures.stripped = entry.detail,
            Capturing::Pattern => self.pattern(entry.rank).capture(path, captures),
            Capturing::Segments { rest } => {
                let mut at = 0; // the slash before the next segment
                for segment in 0..entry.segments {
                    let start = at + 1;
                    at = end_of_segment(path, start);
                    if entry.detail & (1 << segment) != 0 {
                        captures.spans.push(Some((start as u32, at as u32)));
                    }
                }
                if rest {
                    captures.spans.push(Some((at as u32 + 1, path.len() as u32)));
                }
                captures.stripped = at as u32;
            }
        }
    }

    /// The methods of all routes that take the request but for its method.
    fn allowed(&self, request: &impl Lookup, captures: &mut Captures) -> Found {
        let mut allowing = Allowing { router: self, request, methods: Vec::new(), scratch: &mut captures.decoded };
        self.hosts.visit(request.host(), |bucket| {
            self.trie.search(bucket, request.path(), &mut allowing);
            false
        });
        let mut methods = allowing.methods;
        if methods.is_empty() {
            return Found::NotFound;
        }
        methods.sort_unstable();
        methods.dedup();
        Found::MethodNotAllowed { allow: methods.join(", ") }
    }
}

/// Keeps the best entry that takes the request.
struct Search<'a, L> {
    router: &'a Router,
    request: &'a L,
    path: &'a [u8],
    method: u16,
    best: Option<Entry>,
    bound: u32,
    /// An entry was passed over for its method.
    refused_method: bool,
    scratch: &'a mut Vec<u8>,
}

impl<L: Lookup> Judge for Search<'_, L> {
    #[inline]
    fn bound(&self) -> u32 {
        self.bound
    }

    #[inline]
    fn judge(&mut self, entry: &Entry) -> bool {
        if !self.router.takes_method(entry, self.method, self.request) {
            self.refused_method = true;
            return false;
        }
        if !self.router.takes_rest(entry, self.path, self.request, self.scratch) {
            return false;
        }
        self.bound = entry.rank;
        self.best = Some(*entry);
        true
    }
}

/// Gathers the methods of every entry that takes the request but for its method.
struct Allowing<'a, L> {
    router: &'a Router,
    request: &'a L,
    methods: Vec<&'a str>,
    scratch: &'a mut Vec<u8>,
}

impl<L: Lookup> Judge for Allowing<'_, L> {
    fn bound(&self) -> u32 {
        NONE
    }

    fn judge(&mut self, entry: &Entry) -> bool {
        if self.router.takes_rest(entry, self.request.path(), self.request, self.scratch) {
            let known = METHODS.iter().enumerate().filter(|(at, _)| entry.methods & (1 << at) != 0);
            self.methods.extend(known.map(|(_, method)| *method));
            let other = &self.router.conditions[entry.route as usize].other_methods;
            self.methods.extend(other.iter().filter_map(|method| std::str::from_utf8(method).ok()));
        }
        false
    }
}

impl Router {
    /// Whether a route takes the request's method: for `explain`.
    pub(super) fn takes_method_of(&self, route: usize, methods: &[String], request: &impl Lookup) -> bool {
        let (mask, bit) = (method_mask(methods), method_bit(request.method()));
        match mask != EVERY_METHOD && bit == OTHER {
            true => self.conditions[route].other_methods.iter().any(|known| **known == *request.method()),
            false => mask & bit != 0,
        }
    }

    #[inline]
    fn takes_method(&self, entry: &Entry, method: u16, request: &impl Lookup) -> bool {
        if method != OTHER || entry.methods == EVERY_METHOD {
            return entry.methods & method != 0;
        }
        let other = &self.conditions[entry.route as usize].other_methods;
        other.iter().any(|known| **known == *request.method())
    }

    /// Whether regex and conditions hold: what the trie could not see.
    #[inline]
    fn takes_rest(&self, entry: &Entry, path: &[u8], request: &impl Lookup, scratch: &mut Vec<u8>) -> bool {
        (!entry.regex || self.pattern(entry.rank).takes(path))
            && (!entry.conditions || self.conditions[entry.route as usize].hold(request, scratch))
    }
}
