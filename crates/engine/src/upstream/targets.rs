//! The targets of a service: a set that may change at any time, compiled as one whenever it or anybody's health does.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use rustc_hash::FxHashMap;

use crate::clock::{Millis, NEVER};
use crate::dns::Resolver;
use crate::plan;
use crate::problem::Problem;
use crate::telemetry::metrics::Registry;
use crate::upstream::affinity::Seals;
use crate::upstream::balance::dice::Dice;
use crate::upstream::balance::level::{Algorithm, Candidate, Level, Wish};
use crate::upstream::balance::priorities::{Census, divide};
use crate::upstream::health::{Passive, passive};
use crate::upstream::membership::{Maker, Member, Membership};
use crate::upstream::name::Name;
use crate::upstream::target::{Lineage, Target, health};

/// Steps in which a weight rises while a target starts slowly.
const STEPS: u32 = 10;

/// How targets are chosen, whichever they are.
#[derive(Clone)]
pub struct Settings {
    pub algorithm: Algorithm,
    /// 0: a target gets its whole share at once.
    pub slow_start_ms: Millis,
    /// Below this percentage of usable targets a priority is used whole; 0: never.
    pub panic_percent: u32,
    /// Targets that are new are out until a probe has found them well.
    pub begins_unhealthy: bool,
    /// Seals of targets that clients bring back.
    pub seals: Option<Arc<Seals>>,
}

impl Settings {
    /// The reasons that keep requests from a target that is new.
    fn first_health(&self) -> u32 {
        if self.begins_unhealthy { health::UNHEALTHY } else { 0 }
    }
}

/// What is asked when a target is picked.
pub struct Pick<'a> {
    /// Says where requests of the same kind go, for algorithms that care.
    pub hash: Option<u64>,
    /// Targets that were tried for the same call: another is picked as long as there is one.
    pub tried: &'a Tried,
    pub now: Millis,
}

/// Slots of the targets that one call has tried.
#[derive(Debug, Default, Clone)]
pub struct Tried(Vec<usize>);

impl Tried {
    pub fn add(&mut self, target: &Target) {
        self.0.push(target.slot);
    }
}

/// The targets of one service.
pub struct Targets {
    service: Box<str>,
    settings: Settings,
    current: ArcSwap<Set>,
    lineage: Arc<Lineage>,
    resolver: Arc<Resolver>,
    /// Counts picks, for round robin.
    turn: AtomicUsize,
    /// As the document has them.
    written: Vec<plan::Target>,
    /// Held while a set is made.
    membership: Mutex<Membership>,
    names: ArcSwap<Vec<Arc<Name>>>,
}

/// The same service before a reload.
pub struct Before<'a> {
    pub targets: &'a Targets,
    /// What goes to its targets goes the same way: they keep their state and their connections.
    pub is_alike: bool,
}

/// What targets are compiled with.
pub struct Parts<'a> {
    pub service: &'a str,
    pub plan: &'a [plan::Target],
    pub settings: Settings,
    pub resolver: &'a Arc<Resolver>,
    pub registry: &'a Registry,
    pub now: Millis,
}

/// Who takes requests, worked out at one moment.
pub struct Set {
    pub members: Box<[Member]>,
    /// Those that can take requests, with the sum of the percents they get up to and with each.
    levels: Box<[(u32, Level)]>,
    /// Priorities that are used whatever their health.
    pub panics: u32,
    /// Places in `members` by the number of the seal, where targets have seals.
    sealed: FxHashMap<u64, usize>,
    algorithm: Algorithm,
    epoch: u64,
    /// When weights rise next.
    stale_at: Millis,
}

impl Targets {
    /// Targets that were put in place of the document's stay as long as the document says of these what it said before.
    pub fn compile(parts: Parts<'_>, before: Option<&Before<'_>>) -> Result<Self, Problem> {
        let Parts { service, plan, settings, resolver, registry, now } = parts;
        let same = before.filter(|before| before.is_alike).map(|before| before.targets);
        let lineage = same.map(|same| same.lineage.clone()).unwrap_or_default();
        let replaced = before.filter(|before| before.targets.written == plan);
        let replaced = replaced.map(|before| before.targets.membership().plan());
        let health = settings.first_health();
        let maker = Maker { service, lineage: &lineage, resolver, registry, health, now };
        let membership = {
            let known = same.map(Targets::membership);
            Membership::new(replaced.as_deref().unwrap_or(plan), known.as_deref(), &maker)?
        };
        let known = same.map(|same| same.current.load_full());
        let set = Set::new(&membership.members, &settings, lineage.epoch(), known.as_deref(), now);
        Ok(Self {
            service: service.into(),
            settings,
            current: ArcSwap::from_pointee(set),
            lineage,
            resolver: resolver.clone(),
            turn: AtomicUsize::new(0),
            written: plan.to_vec(),
            names: ArcSwap::from_pointee(membership.names()),
            membership: Mutex::new(membership),
        })
    }

    /// Who is in and who gets requests.
    pub fn set(&self) -> Arc<Set> {
        self.current.load_full()
    }

    pub fn resolver(&self) -> &Arc<Resolver> {
        &self.resolver
    }

    /// Names that have to be looked up.
    pub fn names(&self) -> Arc<Vec<Arc<Name>>> {
        self.names.load_full()
    }

    /// As they are wanted: what the document says, or what was put in its place.
    pub fn plan(&self) -> Vec<plan::Target> {
        self.membership().plan()
    }

    /// Puts others in place of the targets; `None`: what the document says. Those that stay keep their state and connections;
    /// those that go finish what is under way to them.
    pub fn replace(&self, plan: Option<&[plan::Target]>, registry: &Registry, now: Millis) -> Result<(), Problem> {
        let mut membership = self.membership();
        let plan = plan.unwrap_or(&self.written);
        let replaced = Membership::new(plan, Some(&membership), &self.maker(registry, now))?;
        *membership = replaced;
        self.names.store(Arc::new(membership.names()));
        self.make(&membership.members, now);
        Ok(())
    }

    /// A name of [`Targets::names`] leads somewhere.
    pub fn resolved(&self, registry: &Registry, now: Millis) {
        let mut membership = self.membership();
        if membership.expand(&self.maker(registry, now)) {
            self.make(&membership.members, now);
        }
    }

    fn maker<'a>(&'a self, registry: &'a Registry, now: Millis) -> Maker<'a> {
        let (service, health) = (&*self.service, self.settings.first_health());
        Maker { service, lineage: &self.lineage, resolver: &self.resolver, registry, health, now }
    }

    /// A target for one attempt; `None` when none may be used.
    pub fn pick(&self, dice: &Dice, pick: &Pick<'_>) -> Option<Arc<Target>> {
        let mut set = self.current.load();
        if set.epoch != self.lineage.epoch() || pick.now >= set.stale_at {
            drop(set);
            self.refresh(pick.now);
            set = self.current.load();
        }
        set.pick(dice, pick, &self.turn).cloned()
    }

    /// Whether a client brings the seal of this target.
    pub fn is_sealed_as(&self, slot: usize, number: u64) -> bool {
        let set = self.current.load();
        set.sealed.get(&number).is_some_and(|index| set.members[*index].target.slot == slot)
    }

    /// Makes the set anew when it is out of date, unless somebody is at it already.
    pub fn refresh(&self, now: Millis) {
        let Ok(membership) = self.membership.try_lock() else { return };
        let set = self.current.load();
        if set.epoch != self.lineage.epoch() || now >= set.stale_at {
            self.make(&membership.members, now);
        }
    }

    fn make(&self, members: &[Member], now: Millis) {
        self.end_ejections(members, now);
        let known = self.current.load();
        // Read first: a change that comes while the set is made makes it stale again.
        let epoch = self.lineage.epoch();
        let set = Set::new(members, &self.settings, epoch, Some(&known), now);
        if set.panics > known.panics {
            tracing::warn!(service = %self.service, "too few targets are healthy, all are used");
        } else if set.panics < known.panics {
            tracing::info!(service = %self.service, "enough targets are healthy again");
        }
        self.current.store(Arc::new(set));
    }

    /// Lets those return whose time is over.
    fn end_ejections(&self, members: &[Member], now: Millis) {
        let due = |it: &&Member| it.target.outlier.until().is_some_and(|until| until <= now);
        for member in members.iter().filter(due) {
            let _turn = member.target.ejecting();
            passive::bring_back_if_due(&self.service, &member.target, now);
        }
    }

    /// Judges the targets by their calls from now on, or not any more.
    pub fn judge(&self, passive: Option<Arc<Passive>>) {
        self.lineage.passive.store(passive);
    }

    fn membership(&self) -> MutexGuard<'_, Membership> {
        self.membership.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Set {
    fn new(members: &[Member], settings: &Settings, epoch: u64, known: Option<&Set>, now: Millis) -> Self {
        let mut priorities: Vec<u32> = members.iter().filter(|it| it.weight > 0).map(|it| it.priority).collect();
        priorities.sort_unstable();
        priorities.dedup();
        let slow = if settings.algorithm.starts_slowly() { settings.slow_start_ms } else { 0 };
        let ends = members.iter().filter_map(|it| it.target.outlier.until());
        let mut stale_at = ends.min().unwrap_or(NEVER);
        let mut levels = Vec::with_capacity(priorities.len());
        for priority in priorities {
            let of_priority = members.iter().filter(|it| it.priority == priority && it.weight > 0);
            levels.push(of_priority.map(|it| candidate(it, slow, now, &mut stale_at)).collect::<Vec<_>>());
        }
        let census = |level: &Vec<Candidate>| Census {
            usable: level.iter().filter(|candidate| candidate.open).count() as u32,
            all: level.len() as u32,
        };
        let shares = divide(&levels.iter().map(census).collect::<Vec<_>>(), settings.panic_percent);
        let mut made = Vec::with_capacity(levels.len());
        let mut sum = 0;
        for (mut level, share) in levels.into_iter().zip(&shares) {
            sum += share.percent;
            level.iter_mut().for_each(|candidate| candidate.open |= share.panic);
            if !level.iter().any(|candidate| candidate.open) {
                continue;
            }
            let known = known.filter(|known| known.algorithm == settings.algorithm);
            let known = known.and_then(|known| known.levels.get(made.len())).map(|(_, level)| level);
            made.push((sum, Level::new(settings.algorithm, &level, known)));
        }
        Self {
            members: members.into(),
            levels: made.into(),
            panics: shares.iter().filter(|share| share.panic).count() as u32,
            sealed: sealed(members, settings),
            algorithm: settings.algorithm,
            epoch,
            stale_at,
        }
    }

    fn pick(&self, dice: &Dice, pick: &Pick<'_>, turn: &AtomicUsize) -> Option<&Arc<Target>> {
        let mut wish = Wish { hash: pick.hash, tried: &pick.tried.0, now: pick.now };
        if !self.sealed.is_empty() {
            let wanted = wish.hash.take().and_then(|number| self.sealed.get(&number));
            let target = wanted.map(|index| &self.members[*index].target);
            if let Some(target) = target.filter(|target| target.is_usable() && !wish.tried.contains(&target.slot)) {
                return Some(target);
            }
        }
        let (last, only) = match &*self.levels {
            [] => return None,
            [(_, only)] => (0, only),
            levels => {
                // The same key goes to the same priority, as long as shares are what they are.
                let throw = wish.hash.map_or_else(|| dice.below(100), |hash| (hash % 100) as u32);
                let chosen = levels.iter().position(|(sum, _)| throw < *sum).unwrap_or(0);
                (chosen, &levels[chosen].1)
            }
        };
        let found = only.pick(&wish, dice, turn);
        if found.is_some() || wish.tried.is_empty() {
            return found;
        }
        // All of this priority were tried: another of another one, else the same again.
        let others = self.levels.iter().enumerate().filter(|(index, _)| *index != last);
        let found = others.map(|(_, (_, level))| level).find_map(|level| level.pick(&wish, dice, turn));
        found.or_else(|| only.pick(&Wish { tried: &[], ..wish }, dice, turn))
    }
}

fn sealed(members: &[Member], settings: &Settings) -> FxHashMap<u64, usize> {
    let Some(seals) = &settings.seals else { return FxHashMap::default() };
    members.iter().enumerate().map(|(index, member)| (seals.number(&member.target.name), index)).collect()
}

/// A target with the weight it has by now; `stale_at` becomes the time at which that changes next.
fn candidate(member: &Member, slow_start_ms: Millis, now: Millis, stale_at: &mut Millis) -> Candidate {
    let (target, open) = (member.target.clone(), member.target.is_usable());
    if slow_start_ms == 0 {
        return Candidate { target, weight: member.weight, open };
    }
    let age = now.saturating_sub(target.since());
    let step = (age.saturating_mul(u64::from(STEPS)) / slow_start_ms).min(u64::from(STEPS));
    if step < u64::from(STEPS) {
        let next = target.since().saturating_add(((step + 1) * slow_start_ms).div_ceil(u64::from(STEPS)));
        *stale_at = (*stale_at).min(next);
    }
    Candidate { target, weight: member.weight * (step as u32).max(1), open }
}
