//! Lets a client in by its address, or not.

use crate::exchange::Exchange;
use crate::network::Networks;
use crate::pipeline::{Context, Flow};
use crate::plan;
use crate::problem::Problem;
use crate::respond::{Code, Failure};

pub struct Ip {
    /// `None`: whoever is not denied.
    allow: Option<Networks>,
    deny: Networks,
}

impl Ip {
    pub fn compile(plan: &plan::Ip, context: &Context<'_>) -> Result<Self, Problem> {
        let list = |key: &String, option: &'static str| {
            let bad = |message: String| Problem::new(option, "config.bad_network", message);
            let text = context.networks.get(key).ok_or_else(|| bad(format!("no list is named `{key}`")))?;
            let lines: Vec<&str> = text.lines().collect();
            Networks::parse(&lines).map_err(|(index, message)| bad(format!("line {}: {message}", index + 1)))
        };
        Ok(Self {
            allow: plan.allow.as_ref().map(|key| list(key, "allow")).transpose()?,
            deny: plan.deny.as_ref().map(|key| list(key, "deny")).transpose()?.unwrap_or_default(),
        })
    }

    pub fn on_request(&self, exchange: &Exchange) -> Flow {
        let client = exchange.client_ip;
        if self.deny.contains(client) {
            return Flow::Respond(Failure::with(Code::AddressDenied, "on the deny list"));
        }
        match &self.allow {
            Some(allow) if !allow.contains(client) => {
                Flow::Respond(Failure::with(Code::AddressDenied, "not on the allow list"))
            }
            _ => Flow::Continue,
        }
    }
}
