//! A simulated world around the rollout: nodes that fail, a gateway that lags, a judge, people, a server that crashes.

mod people;
mod site;
mod terms;

use crate::random::Random;
use serin_model::service::{Order, Step};
use serin_model::{Digest, NodeName, PoolName, RolloutId, Timestamp};
use serin_rollout::{
    Cause, Effect, Event, Ground, Kind, Known, Milestone, Outcome, PPM, Phase, Rollout, Settings, Standing, Target,
    Traffic, Verdict, step,
};
use site::{Gateway, Nature, Site};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Milliseconds between two looks at the world.
const STEP_MS: i64 = 500;
/// Milliseconds after which a run that has not come to rest is a failure.
const RUN_MS_MAX: i64 = 60 * 60 * 1000;
/// Milliseconds without change after which a run is at rest.
const REST_MS: i64 = 90_000;

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Rollouts that were begun.
    pub rollouts: u32,
    /// Rollouts that reached their target.
    pub succeeded: u32,
    /// Canaries that passed.
    pub passed: u32,
    /// Rollouts that went back.
    pub went_back: u32,
    /// Runs that ended waiting for a person.
    pub waiting: u32,
    /// Crashes of the server.
    pub crashes: u32,
    /// Steps taken and kept.
    pub steps: u64,
}

/// What a revision of the routes may do.
#[derive(Clone, Debug)]
struct Published {
    /// Share that the canary may get.
    approved_ppm: u32,
    /// Nodes with a full part.
    full: BTreeSet<NodeName>,
}

/// The world.
pub struct World {
    random: Random,
    now: Timestamp,
    /// What the database holds.
    rollout: Rollout,
    outbox: VecDeque<Effect>,
    /// What the server holds in memory: events on their way.
    inbox: Vec<(Timestamp, Event)>,
    server_down_until: Option<Timestamp>,
    gateway: Gateway,
    site: Site,
    /// Nature of every version.
    natures: BTreeMap<Digest, Nature>,
    stable: Option<Digest>,
    published: BTreeMap<u64, Published>,
    /// The gateway has had the minimum of serving nodes once.
    has_served: bool,
    /// Nodes that were unwell when they were taken out, with the revision that did it.
    excused: BTreeMap<NodeName, u64>,
    plan: VecDeque<Kind>,
    faults_end: Timestamp,
    changed: Timestamp,
    /// The judge's final words, by rollout and comparison.
    words: BTreeMap<(i64, u32), Verdict>,
    people: people::People,
    calendar: Option<terms::Calendar>,
    /// Milestones that ended a job, by rollout.
    milestones: BTreeMap<i64, Vec<Milestone>>,
    summary: Summary,
}

/// Runs the world of a seed to its end.
///
/// # Errors
///
/// Says which invariant was broken, and when.
pub fn run(seed: u64) -> Result<Summary, String> {
    let mut world = World::new(seed)?;
    while !world.is_at_rest() {
        world.advance().map_err(|broken| world.describe(seed, &broken))?;
        if world.now.0 > RUN_MS_MAX {
            return Err(world.describe(seed, "did not come to rest"));
        }
    }
    world.check_end().map_err(|broken| world.describe(seed, &broken))?;
    Ok(world.summary)
}

impl World {
    fn new(seed: u64) -> Result<Self, String> {
        let mut random = Random::new(seed);
        let stable = random.chance(80).then(|| Digest::from("sha256:v0"));
        let nodes = nodes(&mut random, stable.as_ref());
        let plan = plan(&mut random, stable.is_some());
        let calm = random.chance(30);
        let faults_end = Timestamp(if calm { 5_000 } else { 60_000 + random.below(240_000) as i64 });
        let mut natures = BTreeMap::new();
        natures.insert(Digest::from("sha256:v0"), Nature::Good);
        let settings = settings(&mut random);
        let ground = Ground { nodes, ..Ground::default() };
        let first = Target { id: RolloutId(0), kind: Kind::Deploy, digest: Digest::from("sha256:v0"), settings };
        let rollout = Rollout::new(first, ground.clone(), Timestamp(0)).map_err(|refusal| refusal.to_string())?;
        let mut world = Self {
            site: Site::new(&ground.nodes),
            gateway: Gateway::new(rollout.desired_routes()),
            people: people::People::new(&mut random),
            calendar: terms::Calendar::draw(&mut random),
            random,
            now: Timestamp(0),
            rollout,
            outbox: VecDeque::new(),
            inbox: Vec::new(),
            server_down_until: None,
            natures,
            stable,
            published: BTreeMap::new(),
            has_served: false,
            excused: BTreeMap::new(),
            plan,
            faults_end,
            changed: Timestamp(0),
            words: BTreeMap::new(),
            milestones: BTreeMap::new(),
            summary: Summary::default(),
        };
        world.publish();
        world.begin_next()?;
        Ok(world)
    }

    fn describe(&self, seed: u64, broken: &str) -> String {
        let slots: Vec<String> = self
            .rollout
            .slots
            .iter()
            .map(|slot| {
                format!(
                    "  {} {:?} {:?} g{} -> {:?}",
                    slot.node, slot.assigned, slot.traffic, slot.generation, slot.goal
                )
            })
            .collect();
        let history: Vec<String> =
            self.rollout.history.iter().map(|(at, entry)| format!("  {:>8} {entry}", at.0)).collect();
        format!(
            "SIM_SEED={seed} at {} ms, {:?} {}: {broken}\nslots:\n{}\nhistory:\n{}\ngateway: {:?}",
            self.now.0,
            self.rollout.kind,
            self.rollout.phase,
            slots.join("\n"),
            history.join("\n"),
            self.gateway,
        )
    }

    fn faulty(&self) -> bool {
        self.now < self.faults_end
    }

    fn is_at_rest(&self) -> bool {
        let quiet = self.now.since_ms(self.changed.max(self.faults_end)) > REST_MS;
        let more_to_come = self.rollout.may_be_superseded() && !self.plan.is_empty();
        quiet && !more_to_come && (self.rollout.may_be_superseded() || self.rollout.waits_for_person())
    }

    fn advance(&mut self) -> Result<(), String> {
        self.now = self.now.plus_ms(STEP_MS);
        let (faulty, now) = (self.faulty(), self.now);
        self.site.live(now, faulty, &mut self.random);
        self.gateway.live(now, faulty, &mut self.random);
        self.server()?;
        self.check_share()?;
        self.check_serving()
    }

    fn server(&mut self) -> Result<(), String> {
        if let Some(until) = self.server_down_until {
            if self.now < until {
                return Ok(());
            }
            self.server_down_until = None;
        }
        self.carry_out();
        self.reconcile_platform()?;
        self.reconcile_gateway();
        self.observe();
        self.judge();
        self.act();
        self.chaos();
        if self.rollout.next_wake().is_some_and(|wake| wake <= self.now) && self.random.chance(70) {
            self.inbox.push((self.now, Event::Wake));
        }
        self.take_inbox()?;
        if self.rollout.may_be_superseded() && self.people.is_ready_for_next(self.now, &mut self.random) {
            self.begin_next()?;
        }
        Ok(())
    }

    fn crash(&mut self) {
        self.summary.crashes += 1;
        self.inbox.clear();
        self.server_down_until = Some(self.now.plus_ms(self.random.below(20_000) as i64));
    }

    fn crashes_here(&mut self) -> bool {
        self.faulty() && self.random.chance(1)
    }

    fn take_inbox(&mut self) -> Result<(), String> {
        let now = self.now;
        let (due, later): (Vec<_>, Vec<_>) = self.inbox.drain(..).partition(|(at, _)| *at <= now);
        self.inbox = later;
        for (_, event) in due {
            let times = if self.random.chance(10) { 2 } else { 1 };
            for _ in 0..times {
                self.happen(event.clone())?;
                if self.server_down_until.is_some() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Steps, keeps, carries out, with a crash possible between any two.
    fn happen(&mut self, event: Event) -> Result<(), String> {
        let mut next = self.rollout.clone();
        let wake = event == Event::Wake;
        let mut effects = step(&mut next, Event::Freeze(self.frozen()), self.now).map_err(|why| why.to_string())?;
        let dated = next.clone();
        match step(&mut next, event, self.now) {
            Ok(more) => effects.extend(more),
            Err(_) if next == dated => return Ok(()),
            Err(_) => return Err(String::from("a refused event changed the state")),
        }
        if wake && next.next_wake().is_some_and(|wake| wake <= self.now) {
            return Err(String::from("a wake left something due"));
        }
        if self.crashes_here() {
            self.crash();
            return Ok(());
        }
        self.keep(next, effects)?;
        if self.crashes_here() {
            self.crash();
            return Ok(());
        }
        self.carry_out();
        Ok(())
    }

    fn keep(&mut self, next: Rollout, effects: Vec<Effect>) -> Result<(), String> {
        self.summary.steps += 1;
        if next.phase != self.rollout.phase || next.desired_routes() != self.rollout.desired_routes() {
            self.changed = self.now;
        }
        for (old, new) in self.rollout.slots.iter().zip(&next.slots) {
            let leaves = old.traffic == Traffic::Full && new.traffic != Traffic::Full;
            if leaves && (new.health != Known::Healthy || !self.site.is_ready(&new.node, self.now)) {
                self.excused.insert(new.node.clone(), next.revision);
            }
        }
        let failed = next.judgement.as_ref().is_some_and(|judgement| judgement.verdict == Verdict::Fail);
        if failed && next.watch.is_some() {
            return Err(String::from("a failing word changed nothing"));
        }
        self.summary.passed += u32::from(next.phase == Phase::Held && self.rollout.phase != Phase::Held);
        self.check_terms(&next)?;
        let ended = !self.rollout.is_over() && next.is_over();
        self.rollout = next;
        self.publish();
        self.outbox.extend(effects);
        if ended { self.ended() } else { Ok(()) }
    }

    fn publish(&mut self) {
        let full = self.rollout.slots.iter().filter(|slot| slot.traffic == Traffic::Full);
        let full = full.map(|slot| slot.node.clone()).collect();
        let published = Published { approved_ppm: self.approved_ppm(), full };
        self.published.entry(self.rollout.revision).or_insert(published);
    }

    /// The share that people and judge have approved, told from the phase alone.
    fn approved_ppm(&self) -> u32 {
        let steps = &self.rollout.settings.steps;
        match (self.rollout.kind, &self.rollout.phase) {
            (Kind::Deploy | Kind::Release, _) => PPM,
            (Kind::Canary, Phase::Stepping { step, .. }) => steps.get(*step).map_or(0, |step| step.traffic_ppm),
            (Kind::Canary, Phase::Deciding | Phase::Held) => steps.last().map_or(0, |step| step.traffic_ppm),
            (Kind::Canary, _) => 0,
        }
    }

    fn ended(&mut self) -> Result<(), String> {
        match &self.rollout.phase {
            Phase::Over(Outcome::Succeeded) => {
                self.summary.succeeded += 1;
                self.stable = Some(self.rollout.target.clone());
            }
            Phase::Over(Outcome::Stopped(Cause::Aborted { .. })) if self.rollout.kind == Kind::Release => {
                // Versions are mixed on purpose; what follows would have no single old version.
                self.plan.clear();
            }
            Phase::Over(Outcome::Stopped(_)) => {
                self.summary.went_back += 1;
                self.check_all_on_stable()?;
            }
            _ => {}
        }
        Ok(())
    }

    fn check_all_on_stable(&self) -> Result<(), String> {
        let stuck = |slot: &&serin_rollout::Slot| slot.assigned != self.stable;
        match self.rollout.slots.iter().find(stuck) {
            Some(slot)
                if !self.rollout.history.iter().any(|(_, entry)| matches!(entry, serin_rollout::Entry::Stuck(_))) =>
            {
                Err(format!("{} was left on {:?}, the version before is {:?}", slot.node, slot.assigned, self.stable))
            }
            _ => Ok(()),
        }
    }

    fn carry_out(&mut self) {
        while let Some(effect) = self.outbox.front().cloned() {
            if let Effect::Report(milestone) = effect {
                let seen = self.milestones.entry(self.rollout.id.0).or_default();
                if !seen.contains(&milestone) {
                    seen.push(milestone);
                }
            }
            if self.crashes_here() {
                return self.crash();
            }
            self.outbox.pop_front();
        }
    }

    fn begin_next(&mut self) -> Result<(), String> {
        let Some(kind) = self.plan.front().copied() else { return Ok(()) };
        let id = RolloutId(self.rollout.id.0 + 1);
        let digest = self.next_version(kind, id);
        let mut old = self.rollout.clone();
        let effects = step(&mut old, Event::Superseded { by: id }, self.now).map_err(|refusal| refusal.to_string())?;
        let target = Target { id, kind, digest, settings: self.rollout.settings.clone() };
        let ground = if self.summary.rollouts == 0 { self.rollout.standing() } else { old.standing() };
        let mut next = Rollout::new(target, ground, self.now).map_err(|refusal| refusal.to_string())?;
        let mut all = effects;
        step(&mut next, Event::Freeze(self.frozen()), self.now).map_err(|refusal| refusal.to_string())?;
        match step(&mut next, Event::Start, self.now) {
            Ok(effects) => all.extend(effects),
            // Too few nodes are well, or nothing serves: the job is told, and nothing has changed.
            Err(_) => {
                if self.now > self.faults_end.plus_ms(REST_MS) {
                    self.plan.pop_front();
                }
                return Ok(());
            }
        }
        self.plan.pop_front();
        self.summary.rollouts += 1;
        self.people.new_rollout(self.now, &mut self.random);
        self.keep(next, all)
    }

    fn next_version(&mut self, kind: Kind, id: RolloutId) -> Digest {
        if kind == Kind::Release && self.rollout.kind == Kind::Canary {
            return self.rollout.target.clone();
        }
        let digest = Digest(format!("sha256:v{id}"));
        self.natures.insert(digest.clone(), Nature::draw(&mut self.random));
        digest
    }

    fn check_share(&self) -> Result<(), String> {
        if self.rollout.kind != Kind::Canary {
            return Ok(());
        }
        let Some(published) = self.published.get(&self.gateway.revision) else {
            return Err(format!("the gateway has revision {} that nobody kept", self.gateway.revision));
        };
        let all: u64 = self.gateway.routes.iter().map(|route| u64::from(route.weight_ppm)).sum();
        let on_target = self.gateway.routes.iter().filter(|route| self.site.runs(&route.node, &self.rollout.target));
        let canary: u64 = on_target.map(|route| u64::from(route.weight_ppm)).sum();
        let allowed = u64::from(published.approved_ppm);
        if canary * u64::from(PPM) > allowed * all.max(1) {
            return Err(format!("the canary gets {canary} of {all} ppm, approved are {allowed}"));
        }
        Ok(())
    }

    fn check_serving(&mut self) -> Result<(), String> {
        if self.stable.is_none() {
            return Ok(());
        }
        let Some(published) = self.published.get(&self.gateway.revision) else { return Ok(()) };
        let revision = self.gateway.revision;
        self.excused.retain(|node, left| revision < *left || !published.full.contains(node));
        let up = |node: &NodeName| self.site.is_ready(node, self.now) || self.site.is_faulty(node, self.now);
        let serving: BTreeSet<&NodeName> =
            published.full.iter().filter(|node| up(node)).chain(self.excused.keys()).collect();
        let minimum = self.rollout.settings.minimum(self.rollout.slots.len());
        // The routes of a first version reach the gateway only after it has been deployed.
        self.has_served |= serving.len() >= minimum;
        if self.has_served && serving.len() < minimum {
            return Err(format!("{serving:?} serve, and {minimum} must"));
        }
        Ok(())
    }

    fn check_end(&mut self) -> Result<(), String> {
        if !self.rollout.is_over() {
            self.summary.waiting += 1;
        }
        if !self.outbox.is_empty() {
            return Err(String::from("effects were left"));
        }
        if self.gateway.routes != self.rollout.desired_routes() {
            return Err(String::from("the gateway does not have the desired routes"));
        }
        for desired in self.rollout.desired_nodes() {
            if !self.site.is_as_desired(&desired) {
                return Err(format!("{} does not run what it shall", desired.node));
            }
        }
        let told = self.milestones.get(&self.rollout.id.0).is_some_and(|milestones| !milestones.is_empty());
        if self.summary.rollouts > 0 && self.rollout.is_over() && !told {
            return Err(String::from("no job was told of the end"));
        }
        let over = matches!(self.rollout.phase, Phase::Over(Outcome::Succeeded));
        if over && !self.rollout.slots.iter().all(|slot| slot.assigned.as_ref() == Some(&self.rollout.target)) {
            return Err(String::from("it succeeded without reaching every node"));
        }
        Ok(())
    }
}

fn settings(random: &mut Random) -> Settings {
    let step =
        |traffic_ppm: u32, random: &mut Random| Step { traffic_ppm, for_ms: 10_000 + random.below(30_000) as i64 };
    let steps = [10_000, 50_000, 200_000].map(|share| step(share, random));
    Settings {
        canary_nodes: 1 + random.below(3) as u32,
        min_serving: random.chance(50).then(|| random.below(6) as u32),
        drain_timeout_ms: 5_000,
        start_timeout_ms: 20_000,
        steps: steps[..=random.below(3)].to_vec(),
        tick_ms: 1_000,
        order: if random.chance(50) { Order::Manual } else { Order::Automatic },
        watch_ms: random.below(20_000) as i64,
        batch: 1 + random.below(2) as u32,
        terms: terms::terms(random),
    }
}

fn nodes(random: &mut Random, stable: Option<&Digest>) -> Vec<Standing> {
    let pools = 1 + random.below(3);
    let mut nodes = Vec::new();
    for pool in 0..pools {
        for number in 0..=random.below(4) {
            let pool = PoolName(format!("p{pool}"));
            let node = NodeName(format!("{pool}-{number}"));
            nodes.push(match stable {
                Some(digest) => Standing::serving(node, pool, digest.clone()),
                None => Standing::empty(node, pool),
            });
        }
    }
    nodes
}

fn plan(random: &mut Random, serves: bool) -> VecDeque<Kind> {
    let mut plan = VecDeque::new();
    if !serves {
        plan.push_back(if random.chance(50) { Kind::Deploy } else { Kind::Release });
    }
    match random.below(5) {
        0 => plan.extend([Kind::Deploy]),
        1 => plan.extend([Kind::Canary]),
        2 => plan.extend([Kind::Canary, Kind::Canary]),
        3 => plan.extend([Kind::Release]),
        _ => plan.extend([Kind::Canary, Kind::Release, Kind::Canary]),
    }
    plan
}
