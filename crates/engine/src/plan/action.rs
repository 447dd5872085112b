//! What answers.

use serde::Deserialize;

use super::{Calling, HeaderValue, Mirror, SigningKeys, Split, Template};

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    Proxy(Proxy),
    Split(Split),
    Mirror(Box<Mirror>),
    Respond(Respond),
    Redirect(Redirect),
    Handler(Handler),
    SigningKeys(Vec<SigningKeys>),
}

impl Action {
    /// The services it may call, and how.
    pub fn proxies(&self) -> Vec<&Proxy> {
        match self {
            Self::Proxy(proxy) => vec![proxy],
            Self::Split(split) => split.sides.iter().map(|side| &side.proxy).collect(),
            Self::Mirror(mirror) => mirror.proxies(),
            Self::Respond(_) | Self::Redirect(_) | Self::Handler(_) | Self::SigningKeys(_) => Vec::new(),
        }
    }

    pub fn proxies_mut(&mut self) -> Vec<&mut Proxy> {
        match self {
            Self::Proxy(proxy) => vec![proxy],
            Self::Split(split) => split.sides.iter_mut().map(|side| &mut side.proxy).collect(),
            Self::Mirror(mirror) => mirror.proxies_mut(),
            Self::Respond(_) | Self::Redirect(_) | Self::Handler(_) | Self::SigningKeys(_) => Vec::new(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proxy {
    pub service: String,
    /// Takes the matched literal prefix away before the service's base path goes on.
    pub strip_path: bool,
    /// The upstream path (and query, when it has a `?`), instead of the client's.
    pub rewrite: Option<Template>,
    pub preserve_host: bool,
    /// `None`: as the service says.
    pub calling: Option<Box<Calling>>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Respond {
    pub status: u16,
    /// Includes the content type, when there is one.
    pub headers: Vec<HeaderValue>,
    pub body: Template,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redirect {
    pub status: u16,
    pub location: Template,
    /// Appends the client's query to the location.
    pub keep_query: bool,
}

/// A function of the user's, known to the bridge by its number.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handler {
    pub id: u32,
    /// `module:function`, for the log and `explain`.
    pub name: String,
}
