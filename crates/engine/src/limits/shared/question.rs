//! All limits of one request, as one question to the store.

use std::rc::Rc;

use crate::limits::algorithm::{Micros, Rule};
use crate::limits::quota::QuotaAsk;
use crate::limits::shared::CELLS;
use crate::limits::shared::wire::{Asked, Named, Scope, What, kept};
use crate::limits::table::Told;
use crate::redis::client::{Arguments, Client};
use crate::redis::script::Known;
use crate::redis::{Reply, Script, StoreError, slot};

static COUNTS: Known = Known::new(|| Script::new([CELLS, include_str!("counts.lua")].concat()));
static REFUND: Known = Known::new(|| Script::new(include_str!("refund.lua")));

/// Built while the exchange is at hand, then sent without it.
#[derive(Debug, Default)]
pub struct Question {
    limits: Vec<(Vec<u8>, Asked)>,
    /// Tests have a time of their own; else the store's clock rules.
    pub now: Option<Micros>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub goes: bool,
    /// By the store's clock.
    pub now: Micros,
    /// One for each limit, in order.
    pub told: Vec<Told>,
}

impl Question {
    /// For tests, which have a time of their own.
    pub fn at(now: Micros) -> Self {
        Self { now: Some(now), ..Self::default() }
    }

    pub fn ask(&mut self, prefix: &str, scope: &Scope, text: &[u8], rule: &Rule, cost: u64, shadow: bool) {
        self.limits.push((scope.key(prefix, text), Asked { what: What::Rule(*rule), cost, shadow }));
    }

    pub fn ask_quota(&mut self, prefix: &str, name: &Named, text: &[u8], ask: &QuotaAsk) {
        let asked = Asked { what: What::quota(ask), cost: ask.cost, shadow: ask.shadow };
        self.limits.push((name.key(prefix, text), asked));
    }

    /// Asks what is left, and charges nothing.
    pub fn only_look(&mut self) {
        self.limits.iter_mut().for_each(|(_, asked)| (asked.cost, asked.shadow) = (0, true));
    }

    /// Checks all limits and charges all of them, or none.
    ///
    /// In a cluster, limits with different keys may be on different servers, where no step is one over all: they are asked one
    /// after another, and when a later one refuses, the earlier ones get back what they were charged. So a budget may look
    /// smaller than it is for a moment, and is never exceeded.
    pub async fn take(&self, client: &Rc<Client>) -> Result<Answer, StoreError> {
        if let Some(hopeless) = self.limits.iter().position(|(_, asked)| !asked.shadow && asked.is_hopeless()) {
            return Ok(self.refuse(hopeless));
        }
        let groups = self.groups(client.store.plan.cluster);
        let mut answer = Answer { goes: true, now: 0, told: vec![Told::default(); self.limits.len()] };
        let due = client.due();
        for (index, group) in groups.iter().enumerate() {
            let reply = client.run_until(due, &COUNTS, &self.arguments(group)).await;
            let told = reply.and_then(|reply| self.read(group, &reply, &mut answer));
            if told.is_err() || !answer.goes {
                for group in &groups[..index] {
                    self.undo(client, group, &mut answer);
                }
                told?;
                break;
            }
        }
        Ok(answer)
    }

    /// Gives back what was charged; nobody waits for it.
    pub fn give_back(&self, client: &Rc<Client>, answer: &Answer) {
        for group in self.groups(client.store.plan.cluster) {
            self.refund(client, &group, answer);
        }
    }

    fn undo(&self, client: &Rc<Client>, group: &[usize], answer: &mut Answer) {
        self.refund(client, group, answer);
        for &index in group {
            answer.told[index].charged = false;
        }
    }

    fn refund(&self, client: &Rc<Client>, group: &[usize], answer: &Answer) {
        let charged: Vec<_> = group.iter().filter(|&&index| answer.told[index].charged).collect();
        if charged.is_empty() {
            return;
        }
        let mut arguments = Arguments::new(charged.len());
        charged.iter().for_each(|&&index| arguments.key(&self.limits[index].0));
        self.write_now(&mut arguments);
        charged.iter().for_each(|&&index| self.limits[index].1.write_refund(answer.told[index].at, &mut arguments));
        client.run_later(&REFUND, arguments);
    }

    /// The places of the limits that can be asked together.
    fn groups(&self, cluster: bool) -> Vec<Vec<usize>> {
        if !cluster {
            return vec![(0..self.limits.len()).collect()];
        }
        let mut groups: Vec<(u16, Vec<usize>)> = Vec::new();
        for (index, (key, _)) in self.limits.iter().enumerate() {
            let slot = slot(key);
            match groups.iter_mut().find(|(known, _)| *known == slot) {
                Some((_, group)) => group.push(index),
                None => groups.push((slot, vec![index])),
            }
        }
        groups.into_iter().map(|(_, group)| group).collect()
    }

    fn arguments(&self, group: &[usize]) -> Arguments {
        let mut arguments = Arguments::new(group.len());
        group.iter().for_each(|&index| arguments.key(&self.limits[index].0));
        self.write_now(&mut arguments);
        group.iter().for_each(|&index| self.limits[index].1.write(&mut arguments));
        arguments
    }

    fn write_now(&self, arguments: &mut Arguments) {
        match self.now {
            Some(now) => arguments.number(now as i64),
            None => arguments.word(b""),
        }
    }

    fn read(&self, group: &[usize], reply: &Reply, answer: &mut Answer) -> Result<(), StoreError> {
        let items = reply.items();
        let (Some(goes), Some(now)) = (number(items, 0), number(items, 1)) else { return Err(StoreError::Malformed) };
        if items.len() != 2 + group.len() * 3 {
            return Err(StoreError::Malformed);
        }
        answer.goes &= goes == 1;
        answer.now = now;
        for (&index, replies) in group.iter().zip(items[2..].chunks_exact(3)) {
            let kept = kept(replies).ok_or(StoreError::Malformed)?;
            answer.told[index] = self.limits[index].1.told(kept, now, goes == 1);
        }
        Ok(())
    }

    fn refuse(&self, hopeless: usize) -> Answer {
        let mut told = vec![Told::default(); self.limits.len()];
        for (index, (_, asked)) in self.limits.iter().enumerate() {
            told[index] = asked.told_hopeless();
            told[index].passed = index != hopeless;
        }
        Answer { goes: false, now: 0, told }
    }
}

fn number(items: &[Reply], index: usize) -> Option<u64> {
    items.get(index)?.integer()?.try_into().ok()
}
