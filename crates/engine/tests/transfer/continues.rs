//! `Expect: 100-continue`, RFC 9110 section 10.1.1.

use tidegate_engine::respond::Code;
use tidegate_engine::sides::{Answered, BodySize};
use tidegate_engine::transfer::Begin;

use super::scene::{MARGIN_MS, READ_MS, Scene, ok, patience};

#[test]
fn the_body_waits_until_the_service_says_100() {
    let mut scene = Scene::new(Begin::AwaitContinue);
    scene.client.borrow_mut().push(b"body");
    scene.client.borrow_mut().end();
    scene.run().assert_waits();
    assert_eq!((scene.seen_by_client(), scene.seen_by_service()), (String::new(), String::new()));
    scene.service.borrow_mut().answer(Answered::Interim(100));
    scene.run().assert_waits();
    assert_eq!((scene.seen_by_client(), scene.seen_by_service()), ("(100)".into(), "body.".into()));
    scene.service.borrow_mut().answer(ok(BodySize::Empty));
    scene.run().assert_done();
}

#[test]
fn another_interim_answer_lets_nothing_go() {
    let mut scene = Scene::new(Begin::AwaitContinue);
    scene.client.borrow_mut().push(b"body");
    scene.service.borrow_mut().answer(Answered::Interim(103));
    scene.run().assert_waits();
    assert_eq!((scene.seen_by_client(), scene.seen_by_service()), ("(103)".into(), String::new()));
}

#[test]
fn a_silent_service_gets_the_body_after_a_second() {
    let mut scene = Scene::new(Begin::AwaitContinue);
    scene.client.borrow_mut().push(b"body");
    scene.run().assert_waits();
    scene.pass(300).assert_waits();
    assert_eq!(scene.seen_by_client(), "");
    scene.pass(900).assert_waits();
    assert_eq!((scene.seen_by_client(), scene.seen_by_service()), ("(100)".into(), "body".into()));
    scene.service.borrow_mut().answer(Answered::Interim(100));
    scene.run().assert_waits();
    assert_eq!(scene.seen_by_client(), "(100)", "it is said once");
}

#[test]
fn our_own_100_reaches_a_client_that_was_full() {
    // It was written once, and not again when there was room.
    let mut scene = Scene::tight(Begin::AwaitContinue, patience());
    scene.to_service.borrow_mut().grant(usize::MAX);
    scene.run().assert_waits();
    scene.pass(1200).assert_waits();
    assert_eq!(scene.seen_by_client(), "");
    scene.to_client.borrow_mut().grant(1);
    scene.run().assert_waits();
    assert_eq!(scene.seen_by_client(), "(100)");
}

#[test]
fn a_final_answer_instead_of_the_100_closes_the_connection() {
    let mut scene = Scene::new(Begin::AwaitContinue);
    scene.client.borrow_mut().push(b"body");
    scene.run();
    scene.service.borrow_mut().answer(Answered::Final { status: 417, size: BodySize::Length(2), length: None });
    scene.service.borrow_mut().push(b"no");
    scene.service.borrow_mut().end();
    scene.run().assert_done();
    assert_eq!((scene.seen_by_client(), scene.seen_by_service()), ("[417]no.".into(), String::new()));
    assert!(scene.to_client.borrow().closes);
}

#[test]
fn a_service_that_breaks_while_the_body_is_held_fails_as_it_says() {
    let mut scene = Scene::new(Begin::AwaitContinue);
    scene.run();
    scene.service.borrow_mut().fail_answer(Code::UpstreamClosed);
    scene.run().assert_fails(Code::UpstreamClosed);
}

#[test]
fn a_handler_is_asked_for_as_long_as_it_takes() {
    let mut scene = Scene::new(Begin::AwaitHandler);
    scene.client.borrow_mut().push(b"body");
    scene.run();
    scene.pass(READ_MS - MARGIN_MS).assert_waits();
    assert_eq!(scene.seen_by_client(), "");
    scene.service.borrow_mut().answer(Answered::Interim(100));
    scene.run().assert_waits();
    assert_eq!((scene.seen_by_client(), scene.seen_by_service()), ("(100)".into(), "body".into()));
}
