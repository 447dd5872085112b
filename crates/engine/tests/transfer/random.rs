//! Schedules by chance: whatever becomes ready in whatever order, what comes out is what went in, and nothing stands still.

use tidegate_engine::sides::{Answered, BodySize};
use tidegate_engine::transfer::Begin;

use super::scene::{Scene, ok, patience};
use super::sides::HOLD;

/// xorshift64*: enough to choose a schedule, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % sides
    }

    fn body(&mut self) -> Vec<u8> {
        let length = self.roll(200);
        (0..length).map(|_| b'a' + self.roll(26) as u8).collect()
    }
}

/// A body that is still to be pushed, in pieces by chance.
struct Feed {
    body: Vec<u8>,
    at: usize,
    ended: bool,
}

impl Feed {
    fn new(body: Vec<u8>) -> Self {
        Self { body, at: 0, ended: false }
    }

    fn step(&mut self, dice: &mut Dice, inbox: &super::sides::In) {
        if self.at < self.body.len() {
            let count = 1 + dice.roll(self.body.len() - self.at);
            inbox.borrow_mut().push(&self.body[self.at..self.at + count]);
            self.at += count;
        } else if !self.ended {
            self.ended = true;
            inbox.borrow_mut().end();
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Expect,
    Tunnel,
}

fn play(seed: u64, kind: Kind) {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let begin = match kind {
        Kind::Plain => Begin::Send,
        Kind::Expect => Begin::AwaitContinue,
        Kind::Tunnel => Begin::AwaitSwitch,
    };
    let mut scene = Scene::tight(begin, patience());
    let (mut up, mut down) = (Feed::new(dice.body()), Feed::new(dice.body()));
    let mut heads: Vec<Answered> = Vec::new();
    (0..dice.roll(3)).for_each(|_| heads.push(Answered::Interim(103)));
    if kind == Kind::Expect && dice.roll(2) == 0 {
        heads.push(Answered::Interim(100));
    }
    heads.push(if kind == Kind::Tunnel { Answered::Tunnel { status: 101 } } else { ok(BodySize::Unknown) });
    heads.reverse();
    for _ in 0..400 {
        let size = 1 + dice.roll(2 * HOLD);
        match dice.roll(7) {
            0 => up.step(&mut dice, &scene.client),
            // A body that follows the head only, as on a wire.
            1 if heads.is_empty() => down.step(&mut dice, &scene.service),
            2 => scene.to_client.borrow_mut().grant(size),
            3 => scene.to_service.borrow_mut().grant(size),
            // The answer to a request that is whole, now and then an early one.
            4 if dice.roll(4) == 0 && (heads.len() > 1 || kind == Kind::Tunnel || up.ended || dice.roll(8) == 0) => {
                heads.pop().into_iter().for_each(|head| scene.service.borrow_mut().answer(head));
            }
            5 => drop(scene.nudge()),
            _ => {}
        }
        if dice.roll(3) > 0 {
            scene.run();
        }
    }
    finish(seed, kind, &mut scene, &mut dice, (up, down), heads);
}

/// Gives everything that is still missing, and looks at what came out.
fn finish(seed: u64, kind: Kind, scene: &mut Scene, dice: &mut Dice, feeds: (Feed, Feed), mut heads: Vec<Answered>) {
    let (mut up, mut down) = feeds;
    scene.run();
    scene.to_client.borrow_mut().grant(usize::MAX);
    scene.to_service.borrow_mut().grant(usize::MAX);
    while !up.ended {
        up.step(dice, &scene.client);
        scene.run();
    }
    while let Some(head) = heads.pop() {
        scene.service.borrow_mut().answer(head);
        scene.run();
    }
    while !down.ended {
        down.step(dice, &scene.service);
        scene.run();
    }
    let name = format!("seed {seed}, {kind:?}");
    assert!(scene.is_over(), "stands still: {name}");
    scene.assert_done();
    assert_eq!(scene.to_client.borrow().bytes(), down.body, "{name}");
    assert!(scene.to_client.borrow().ended(), "{name}");
    let sent = scene.to_service.borrow().bytes();
    assert!(up.body.starts_with(&sent), "{name}");
    if kind == Kind::Tunnel {
        assert_eq!(sent, up.body, "{name}");
    }
    for side in [&scene.to_client, &scene.to_service] {
        // Heads, interim answers and the end on top of what a sink holds.
        assert!(side.borrow().most_held <= HOLD + 6, "{name}");
    }
}

#[test]
fn plain_exchanges_arrive_whole_in_every_order() {
    (0..3000).for_each(|seed| play(seed, Kind::Plain));
}

#[test]
fn expected_bodies_arrive_whole_in_every_order() {
    (0..3000).for_each(|seed| play(seed, Kind::Expect));
}

#[test]
fn tunnels_arrive_whole_in_every_order() {
    (0..3000).for_each(|seed| play(seed, Kind::Tunnel));
}
