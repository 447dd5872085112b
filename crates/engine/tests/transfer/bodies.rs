//! Bodies both ways: order, early answers, back-pressure, clients that leave.

use tidegate_engine::respond::Code;
use tidegate_engine::sides::{Answered, BodySize};
use tidegate_engine::transfer::Begin;

use super::scene::{Act, Scene, ok, patience};
use super::sides::HOLD;

#[test]
fn a_request_without_a_body_is_flushed_and_its_answer_passed_on() {
    let mut scene = Scene::new(Begin::Nothing);
    scene.run().assert_waits();
    scene.service.borrow_mut().answer(ok(BodySize::Unknown));
    scene.run().assert_waits();
    assert_eq!(scene.seen_by_client(), "[200]", "the head leaves before the body has begun");
    scene.service.borrow_mut().push(b"hello");
    scene.run().assert_waits();
    assert_eq!(scene.seen_by_client(), "[200]hello", "a piece is passed on at once");
    scene.service.borrow_mut().end();
    scene.run().assert_done();
    assert_eq!(scene.seen_by_client(), "[200]hello.");
    assert_eq!(scene.seen_by_service(), "");
}

#[test]
fn a_body_goes_first_and_the_answer_comes_after() {
    let mut scene = Scene::new(Begin::Send);
    scene.client.borrow_mut().push(b"question");
    scene.run().assert_waits();
    assert_eq!(scene.seen_by_service(), "question", "a piece is passed on at once");
    scene.client.borrow_mut().end();
    scene.run().assert_waits();
    assert_eq!(scene.seen_by_service(), "question.");
    scene.service.borrow_mut().answer(ok(BodySize::Length(6)));
    scene.service.borrow_mut().push(b"answer");
    scene.service.borrow_mut().end();
    scene.run().assert_done();
    assert_eq!(scene.seen_by_client(), "[200]answer.");
}

#[test]
fn a_request_body_goes_on_beside_an_early_answer() {
    let mut scene = Scene::new(Begin::Send);
    scene.client.borrow_mut().push(b"one ");
    scene.service.borrow_mut().answer(ok(BodySize::Unknown));
    scene.service.borrow_mut().push(b"early ");
    scene.run().assert_waits();
    assert_eq!((scene.seen_by_service(), scene.seen_by_client()), ("one ".into(), "[200]early ".into()));
    scene.client.borrow_mut().push(b"two");
    scene.run().assert_waits();
    assert_eq!(scene.seen_by_service(), "one two");
    scene.client.borrow_mut().end();
    scene.run().assert_waits();
    assert_eq!(scene.seen_by_service(), "one two.");
    scene.service.borrow_mut().push(b"late");
    scene.service.borrow_mut().end();
    scene.run().assert_done();
    assert_eq!(scene.seen_by_client(), "[200]early late.");
}

#[test]
fn the_end_of_the_answer_ends_the_exchange_while_the_body_still_comes() {
    let mut scene = Scene::new(Begin::Send);
    scene.client.borrow_mut().push(b"much");
    scene.run();
    scene.service.borrow_mut().answer(Answered::Final { status: 413, size: BodySize::Empty, length: None });
    scene.run().assert_done();
    assert_eq!(scene.seen_by_client(), "[413]");
    assert!(!scene.to_client.borrow().closes, "what is left of the body is read off by the connection");
}

#[test]
fn a_service_that_takes_no_more_may_still_answer() {
    let mut scene = Scene::new(Begin::Send);
    scene.client.borrow_mut().push(b"some");
    scene.run();
    scene.to_service.borrow_mut().break_off();
    scene.client.borrow_mut().push(b"more");
    scene.run().assert_waits();
    scene.service.borrow_mut().answer(Answered::Final { status: 400, size: BodySize::Empty, length: None });
    scene.run().assert_done();
    assert_eq!(scene.seen_by_client(), "[400]");
    assert!(scene.to_client.borrow().closes, "the rest of the body is not read, so the connection ends");
}

#[test]
fn a_service_that_takes_no_more_and_does_not_answer_fails_as_it_says() {
    let mut scene = Scene::new(Begin::Send);
    scene.to_service.borrow_mut().break_off();
    scene.client.borrow_mut().push(b"some");
    scene.run().assert_waits();
    scene.service.borrow_mut().fail_answer(Code::UpstreamClosed);
    scene.run().assert_fails(Code::UpstreamClosed);
}

#[test]
fn trailers_travel_both_ways() {
    let mut scene = Scene::new(Begin::Send);
    scene.client.borrow_mut().push(b"a");
    scene.client.borrow_mut().end_with("x-sum", "1");
    scene.service.borrow_mut().answer(ok(BodySize::Unknown));
    scene.service.borrow_mut().push(b"b");
    scene.service.borrow_mut().end_with("grpc-status", "0");
    scene.run().assert_done();
    assert_eq!(scene.seen_by_service(), "a<x-sum:1>.");
    assert_eq!(scene.seen_by_client(), "[200]b<grpc-status:0>.");
}

#[test]
fn interim_answers_are_passed_on_at_once_and_in_order() {
    let mut scene = Scene::new(Begin::Nothing);
    scene.service.borrow_mut().answer(Answered::Interim(103));
    scene.run().assert_waits();
    assert_eq!(scene.seen_by_client(), "(103)");
    scene.service.borrow_mut().answer(Answered::Interim(100));
    scene.run().assert_waits();
    assert_eq!(scene.seen_by_client(), "(103)", "nobody asked for a 100");
    scene.service.borrow_mut().answer(ok(BodySize::Empty));
    scene.run().assert_done();
    assert_eq!(scene.seen_by_client(), "(103)[200]");
}

#[test]
fn an_interim_answer_that_met_a_full_client_goes_when_there_is_room() {
    // It was forgotten until the final head came.
    let mut scene = Scene::tight(Begin::Nothing, patience());
    scene.service.borrow_mut().answer(Answered::Interim(103));
    scene.run().assert_waits();
    assert_eq!(scene.seen_by_client(), "");
    scene.to_client.borrow_mut().grant(1);
    scene.run().assert_waits();
    assert_eq!(scene.seen_by_client(), "(103)");
}

#[test]
fn a_slow_client_stops_the_service_and_a_slow_service_the_client() {
    let mut scene = Scene::tight(Begin::Send, patience());
    for _ in 0..100 {
        scene.client.borrow_mut().push(&[b'u'; 50]);
        scene.service.borrow_mut().push(&[b'd'; 50]);
    }
    scene.client.borrow_mut().end();
    scene.service.borrow_mut().end();
    scene.service.borrow_mut().answer(ok(BodySize::Unknown));
    scene.run().assert_waits();
    assert!(scene.client.borrow().consumed <= HOLD && scene.service.borrow().consumed <= HOLD);
    for _ in 0..6000 {
        scene.to_client.borrow_mut().grant(1);
        scene.to_service.borrow_mut().grant(2);
        scene.run();
    }
    scene.assert_done();
    assert_eq!(scene.to_client.borrow().bytes(), [b'd'; 5000]);
    assert_eq!(scene.to_service.borrow().bytes().len(), 5000);
    // The head, and the end, on top of what a sink holds.
    assert!(scene.to_client.borrow().most_held <= HOLD + 2 && scene.to_service.borrow().most_held <= HOLD + 2);
}

#[test]
fn a_body_cut_at_every_byte_comes_out_as_it_went_in() {
    let body = b"0123456789abcdefghijklmnopqrstuvwxyz";
    for cut in 0..=body.len() {
        let mut scene = Scene::new(Begin::Send);
        scene.service.borrow_mut().answer(ok(BodySize::Unknown));
        for piece in [&body[..cut], &body[cut..]] {
            if !piece.is_empty() {
                scene.client.borrow_mut().push(piece);
                scene.service.borrow_mut().push(piece);
            }
            scene.run().assert_waits();
        }
        scene.client.borrow_mut().end();
        scene.run().assert_waits();
        scene.service.borrow_mut().end();
        scene.run().assert_done();
        assert_eq!(scene.to_service.borrow().bytes(), body);
        assert_eq!(scene.to_client.borrow().bytes(), body);
    }
}

#[test]
fn a_client_that_leaves_is_seen_in_every_phase() {
    let phases: [(&str, Begin, Act); 6] = [
        ("waiting for an answer", Begin::Nothing, |_| {}),
        ("held back for a 100", Begin::AwaitContinue, |_| {}),
        ("waiting for the switch", Begin::AwaitSwitch, |_| {}),
        ("its body sent", Begin::Send, |scene| scene.client.borrow_mut().end()),
        ("the service takes no more", Begin::Send, |scene| {
            scene.to_service.borrow_mut().break_off();
            scene.client.borrow_mut().push(b"x");
        }),
        ("within the answer", Begin::Nothing, |scene| {
            scene.service.borrow_mut().answer(ok(BodySize::Unknown));
            scene.service.borrow_mut().push(b"x");
        }),
    ];
    for (phase, begin, prepare) in phases {
        let mut scene = Scene::new(begin);
        prepare(&mut scene);
        scene.run().assert_waits();
        scene.client.borrow_mut().leave();
        scene.run();
        assert!(scene.is_over(), "not noticed: {phase}");
        scene.assert_fails(Code::ClientGone);
    }
}

#[test]
fn a_switch_that_is_refused_still_watches_the_client() {
    let mut scene = Scene::new(Begin::AwaitSwitch);
    scene.service.borrow_mut().answer(ok(BodySize::Unknown));
    scene.run().assert_waits();
    scene.client.borrow_mut().leave();
    scene.run().assert_fails(Code::ClientGone);
}

#[test]
fn a_body_that_breaks_off_is_the_clients_fault() {
    for code in [Code::ClientGone, Code::BadBody, Code::BodyTooLarge] {
        let mut scene = Scene::new(Begin::Send);
        scene.client.borrow_mut().push(b"half");
        scene.client.borrow_mut().fail(code);
        scene.run().assert_fails(code);
        assert!(!scene.to_service.borrow().ended(), "the service must not take half a body for a whole one");
    }
}

#[test]
fn an_answer_that_breaks_off_is_not_ended() {
    let mut scene = Scene::new(Begin::Nothing);
    scene.service.borrow_mut().answer(ok(BodySize::Unknown));
    scene.service.borrow_mut().push(b"half");
    scene.run().assert_waits();
    scene.service.borrow_mut().fail(Code::UpstreamReset);
    scene.run().assert_fails(Code::UpstreamReset);
    assert_eq!(scene.seen_by_client(), "[200]half");
}

#[test]
fn a_client_that_breaks_while_it_is_written_to_ends_the_exchange() {
    let mut scene = Scene::tight(Begin::Nothing, patience());
    scene.service.borrow_mut().answer(ok(BodySize::Unknown));
    scene.service.borrow_mut().push(&[b'x'; 100]);
    scene.run().assert_waits();
    scene.to_client.borrow_mut().break_off();
    scene.run().assert_fails(Code::ClientGone);
}
