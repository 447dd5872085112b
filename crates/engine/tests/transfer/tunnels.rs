//! After a switch of protocols: raw bytes both ways.

use tidegate_engine::respond::Code;
use tidegate_engine::sides::{Answered, BodySize};
use tidegate_engine::transfer::{Begin, Patience};
use tidegate_engine::upstream::deadline::Deadline;

use super::scene::{CLIENT_MS, MARGIN_MS, READ_MS, Scene, ok, patience};

fn opened() -> Scene {
    let mut scene = Scene::new(Begin::AwaitSwitch);
    scene.service.borrow_mut().answer(Answered::Tunnel { status: 101 });
    scene.run().assert_waits();
    scene
}

#[test]
fn bytes_wait_for_the_101() {
    let mut scene = Scene::new(Begin::AwaitSwitch);
    scene.client.borrow_mut().push(b"hello");
    scene.run().assert_waits();
    assert_eq!(scene.seen_by_service(), "");
    scene.service.borrow_mut().answer(Answered::Tunnel { status: 101 });
    scene.service.borrow_mut().push(b"welcome");
    scene.run().assert_waits();
    assert_eq!((scene.seen_by_service(), scene.seen_by_client()), ("hello".into(), "[101]welcome".into()));
}

#[test]
fn a_switch_that_is_refused_lets_no_bytes_through() {
    let mut scene = Scene::new(Begin::AwaitSwitch);
    scene.client.borrow_mut().push(b"hello");
    scene.service.borrow_mut().answer(ok(BodySize::Length(2)));
    scene.service.borrow_mut().push(b"no");
    scene.service.borrow_mut().end();
    scene.run().assert_done();
    assert_eq!((scene.seen_by_service(), scene.seen_by_client()), (String::new(), "[200]no.".into()));
}

#[test]
fn a_switch_before_the_request_is_whole_is_refused() {
    for begin in [Begin::Send, Begin::AwaitContinue] {
        let mut scene = Scene::new(begin);
        scene.client.borrow_mut().push(b"half");
        scene.service.borrow_mut().answer(Answered::Tunnel { status: 101 });
        scene.run().assert_fails(Code::UpstreamMalformed);
    }
}

#[test]
fn a_client_that_ends_its_side_still_hears_the_other() {
    let mut scene = opened();
    scene.client.borrow_mut().push(b"bye");
    scene.client.borrow_mut().end();
    scene.run().assert_waits();
    assert_eq!(scene.seen_by_service(), "bye.");
    scene.service.borrow_mut().push(b"wait");
    scene.run().assert_waits();
    scene.service.borrow_mut().end();
    scene.run().assert_done();
    assert_eq!(scene.seen_by_client(), "[101]wait.");
}

#[test]
fn a_service_that_ends_its_side_still_hears_the_other() {
    let mut scene = opened();
    scene.service.borrow_mut().end();
    scene.run().assert_waits();
    assert_eq!(scene.seen_by_client(), "[101].");
    scene.client.borrow_mut().push(b"last words");
    scene.run().assert_waits();
    scene.client.borrow_mut().end();
    scene.run().assert_done();
    assert_eq!(scene.seen_by_service(), "last words.");
}

#[test]
fn the_end_of_one_side_reaches_a_client_that_was_full() {
    // It was flushed once, and not again while the other side was open.
    let mut scene = Scene::tight(Begin::AwaitSwitch, patience());
    scene.to_service.borrow_mut().grant(usize::MAX);
    scene.service.borrow_mut().answer(Answered::Tunnel { status: 101 });
    scene.service.borrow_mut().end();
    scene.run().assert_waits();
    assert_eq!(scene.seen_by_client(), "");
    scene.to_client.borrow_mut().grant(10);
    scene.run().assert_waits();
    assert_eq!(scene.seen_by_client(), "[101].");
}

#[test]
fn a_service_that_takes_no_more_ends_the_tunnel_when_it_has_said_all() {
    let mut scene = opened();
    scene.to_service.borrow_mut().break_off();
    scene.client.borrow_mut().push(b"x");
    scene.run().assert_waits();
    scene.service.borrow_mut().push(b"bye");
    scene.service.borrow_mut().end();
    scene.run().assert_done();
    assert_eq!(scene.seen_by_client(), "[101]bye.");
}

#[test]
fn a_tunnel_outlives_the_deadline_of_the_exchange() {
    let mut scene = Scene::tight(Begin::AwaitSwitch, Patience { deadline: Deadline::at(READ_MS), ..patience() });
    scene.to_client.borrow_mut().grant(usize::MAX);
    scene.to_service.borrow_mut().grant(usize::MAX);
    scene.service.borrow_mut().answer(Answered::Tunnel { status: 101 });
    scene.run().assert_waits();
    scene.pass(READ_MS + MARGIN_MS).assert_waits();
    scene.client.borrow_mut().push(b"still here");
    scene.run().assert_waits();
    assert_eq!(scene.seen_by_service(), "still here");
}

#[test]
fn a_silent_tunnel_ends() {
    let mut scene = opened();
    scene.pass(CLIENT_MS - MARGIN_MS).assert_waits();
    scene.service.borrow_mut().push(b"ping");
    scene.run().assert_waits();
    scene.pass(CLIENT_MS - MARGIN_MS).assert_waits();
    scene.pass(MARGIN_MS).assert_fails(Code::BodyTimeout);
}
