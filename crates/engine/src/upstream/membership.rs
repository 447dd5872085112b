//! Who is in the set of a service: targets that are written, and those that names lead to.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::clock::Millis;
use crate::dns::Resolver;
use crate::plan::{self, Resolve};
use crate::problem::Problem;
use crate::telemetry::metrics::Registry;
use crate::upstream::name::Name;
use crate::upstream::target::{Lineage, Place, Target};

/// Weights of service records times that of their target are not larger.
const MOST_WEIGHT: u32 = 1_000_000;

/// A target as one set has it.
#[derive(Clone)]
pub struct Member {
    pub target: Arc<Target>,
    pub weight: u32,
    /// 0 comes first.
    pub priority: u32,
}

/// What is wanted, and who that is by now.
pub struct Membership {
    wanted: Vec<Wanted>,
    pub members: Vec<Member>,
}

struct Wanted {
    plan: plan::Target,
    /// The address, or the name as one target, which stands for its addresses until these are known.
    itself: Arc<Target>,
}

/// What targets are made with.
pub struct Maker<'a> {
    pub service: &'a str,
    pub lineage: &'a Arc<Lineage>,
    pub resolver: &'a Arc<Resolver>,
    pub registry: &'a Registry,
    /// What keeps requests from a target that is new; bits of [`health`](crate::upstream::target::health).
    pub health: u32,
    pub now: Millis,
}

impl Membership {
    /// Targets of `known` that stay are taken over. Problems have paths relative to the service.
    pub fn new(plan: &[plan::Target], known: Option<&Membership>, maker: &Maker<'_>) -> Result<Self, Problem> {
        let known = known.map(Membership::by_name).unwrap_or_default();
        let mut wanted = Vec::with_capacity(plan.len());
        for (index, plan) in plan.iter().enumerate() {
            let made = Target::compile(plan, maker)
                .map_err(|problem| Problem { path: format!("targets[{index}].{}", problem.path), ..problem })?;
            let same = known.get(plan.address.as_str()).filter(|known| known.place.is_like(&made.place));
            wanted
                .push(Wanted { plan: plan.clone(), itself: same.map_or_else(|| Arc::new(made), |it| Arc::clone(it)) });
        }
        let members = expand(&wanted, &known, maker);
        Ok(Self { wanted, members })
    }

    /// Takes in what names lead to by now. False when that is who was in before.
    pub fn expand(&mut self, maker: &Maker<'_>) -> bool {
        let members = expand(&self.wanted, &self.by_name(), maker);
        let is_same = |(new, old): (&Member, &Member)| {
            Arc::ptr_eq(&new.target, &old.target) && new.weight == old.weight && new.priority == old.priority
        };
        if members.len() == self.members.len() && members.iter().zip(&self.members).all(is_same) {
            return false;
        }
        self.members = members;
        true
    }

    /// As it was wanted.
    pub fn plan(&self) -> Vec<plan::Target> {
        self.wanted.iter().map(|wanted| wanted.plan.clone()).collect()
    }

    /// The names that have to be looked up.
    pub fn names(&self) -> Vec<Arc<Name>> {
        self.wanted.iter().filter_map(|wanted| wanted.itself.place.name().cloned()).collect()
    }

    fn by_name(&self) -> FxHashMap<&str, &Arc<Target>> {
        let members = self.members.iter().map(|member| &member.target);
        let all = members.chain(self.wanted.iter().map(|wanted| &wanted.itself));
        all.map(|target| (&*target.name, target)).collect()
    }
}

fn expand(wanted: &[Wanted], known: &FxHashMap<&str, &Arc<Target>>, maker: &Maker<'_>) -> Vec<Member> {
    let mut members: Vec<Member> = Vec::with_capacity(wanted.len());
    let mut seen = FxHashSet::default();
    let mut add = |target: Arc<Target>, weight, priority| {
        // Two names may lead to the same address.
        if seen.insert(target.name.clone()) {
            members.push(Member { target, weight, priority });
        }
    };
    for Wanted { plan, itself } in wanted {
        let found = match itself.place.name().filter(|name| name.resolve != Resolve::One) {
            Some(name) => name.known(),
            None => Arc::default(),
        };
        if found.is_empty() {
            add(itself.clone(), plan.weight, plan.priority);
        }
        for one in found.iter() {
            let name = one.address.to_string();
            let same = known.get(name.as_str()).filter(|known| known.place.name().is_none());
            let target = same.map_or_else(
                || Arc::new(Target::new(&name, Place::Address(one.address), maker)),
                |known| Arc::clone(known),
            );
            let weight = plan.weight.saturating_mul(u32::from(one.weight)).min(MOST_WEIGHT);
            add(target, weight, plan.priority.saturating_add(u32::from(one.priority)));
        }
    }
    members
}
