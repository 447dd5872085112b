//! What answers.

use serde::Deserialize;

use super::app::App;
use super::compose::Compose;
use super::{Calling, HeaderValue, Mirror, SigningKeys, Split, Template};

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    Proxy(Proxy),
    Split(Split),
    Mirror(Box<Mirror>),
    Compose(Box<Compose>),
    Respond(Respond),
    Redirect(Redirect),
    Handler(Handler),
    App(App),
    SigningKeys(Vec<SigningKeys>),
}

impl Action {
    /// The services it may call, and how where it says so itself.
    pub fn callings(&self) -> Vec<(&str, Option<&Calling>)> {
        fn of_proxy(proxy: &Proxy) -> (&str, Option<&Calling>) {
            (&proxy.service, proxy.calling.as_deref())
        }
        match self {
            Self::Proxy(proxy) => vec![of_proxy(proxy)],
            Self::Split(split) => split.sides.iter().map(|side| of_proxy(&side.proxy)).collect(),
            Self::Mirror(mirror) => mirror.proxies().into_iter().map(of_proxy).collect(),
            Self::Compose(compose) => {
                let proxies = compose.calls.iter().map(|call| &call.proxy);
                proxies.map(|proxy| (proxy.service.as_str(), proxy.calling.as_deref())).collect()
            }
            Self::Respond(_) | Self::Redirect(_) | Self::Handler(_) | Self::App(_) | Self::SigningKeys(_) => Vec::new(),
        }
    }

    pub fn callings_mut(&mut self) -> Vec<&mut Calling> {
        let callings: Vec<&mut Option<Box<Calling>>> = match self {
            Self::Proxy(proxy) => vec![&mut proxy.calling],
            Self::Split(split) => split.sides.iter_mut().map(|side| &mut side.proxy.calling).collect(),
            Self::Mirror(mirror) => mirror.proxies_mut().into_iter().map(|proxy| &mut proxy.calling).collect(),
            Self::Compose(compose) => compose.calls.iter_mut().map(|call| &mut call.proxy.calling).collect(),
            Self::Respond(_) | Self::Redirect(_) | Self::Handler(_) | Self::App(_) | Self::SigningKeys(_) => Vec::new(),
        };
        callings.into_iter().filter_map(Option::as_deref_mut).collect()
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
