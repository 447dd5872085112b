//! Who may be silent for how long, and whose fault it is.

use tidegate_engine::respond::Code;
use tidegate_engine::sides::{Answered, BodySize};
use tidegate_engine::transfer::{Begin, Patience};
use tidegate_engine::upstream::deadline::Deadline;

use super::scene::{Act, CLIENT_MS, MARGIN_MS, READ_MS, Scene, WRITE_MS, ok, patience};

#[test]
fn a_service_that_does_not_answer_is_given_up() {
    let mut scene = Scene::new(Begin::Nothing);
    scene.run();
    scene.pass(READ_MS - MARGIN_MS).assert_waits();
    scene.pass(MARGIN_MS).assert_fails(Code::UpstreamTimeout);
}

#[test]
fn a_service_that_stops_within_its_answer_is_given_up() {
    let mut scene = Scene::new(Begin::Nothing);
    scene.service.borrow_mut().answer(ok(BodySize::Unknown));
    scene.run();
    for _ in 0..5 {
        scene.pass(READ_MS - MARGIN_MS).assert_waits();
        scene.service.borrow_mut().push(b"x");
        scene.run().assert_waits();
    }
    scene.pass(READ_MS - MARGIN_MS).assert_waits();
    scene.pass(MARGIN_MS).assert_fails(Code::UpstreamTimeout);
}

#[test]
fn a_service_that_takes_nothing_is_given_up() {
    let mut scene = Scene::tight(Begin::Send, patience());
    scene.client.borrow_mut().push(&[b'x'; 100]);
    scene.run();
    scene.pass(WRITE_MS - MARGIN_MS).assert_waits();
    scene.to_service.borrow_mut().grant(1);
    scene.run();
    scene.pass(WRITE_MS - MARGIN_MS).assert_waits();
    scene.pass(MARGIN_MS).assert_fails(Code::UpstreamWriteTimeout);
}

#[test]
fn a_client_that_stops_within_its_body_has_its_own_time() {
    // The alarm used to stay where the wait for the service had set it.
    let mut scene = Scene::new(Begin::Send);
    scene.run();
    scene.pass(CLIENT_MS - MARGIN_MS).assert_waits();
    scene.client.borrow_mut().push(b"x");
    scene.run();
    scene.pass(CLIENT_MS - MARGIN_MS).assert_waits();
    scene.pass(MARGIN_MS).assert_fails(Code::BodyTimeout);
}

#[test]
fn a_client_that_takes_nothing_has_its_own_time() {
    let mut scene = Scene::tight(Begin::Nothing, patience());
    scene.service.borrow_mut().answer(ok(BodySize::Unknown));
    scene.service.borrow_mut().push(&[b'x'; 100]);
    scene.run();
    scene.pass(CLIENT_MS - MARGIN_MS).assert_waits();
    scene.pass(MARGIN_MS).assert_fails(Code::BodyTimeout);
}

#[test]
fn a_client_that_takes_nothing_of_an_answer_that_is_over_has_its_own_time() {
    let mut scene = Scene::tight(Begin::Nothing, patience());
    scene.service.borrow_mut().answer(ok(BodySize::Empty));
    scene.run();
    scene.pass(CLIENT_MS - MARGIN_MS).assert_waits();
    scene.pass(MARGIN_MS).assert_fails(Code::BodyTimeout);
}

#[test]
fn a_stream_both_ways_may_rest_as_long_as_the_more_patient_side_says() {
    for (read, client) in [(READ_MS, CLIENT_MS), (CLIENT_MS, READ_MS)] {
        let mut scene = Scene::tight(Begin::Send, Patience { read, client, ..patience() });
        scene.to_client.borrow_mut().grant(usize::MAX);
        scene.to_service.borrow_mut().grant(usize::MAX);
        scene.client.borrow_mut().push(b"x");
        scene.service.borrow_mut().answer(ok(BodySize::Unknown));
        scene.run();
        scene.pass(CLIENT_MS - MARGIN_MS).assert_waits();
        scene.pass(MARGIN_MS).assert_fails(Code::BodyTimeout);
    }
}

#[test]
fn the_deadline_ends_whatever_goes_on() {
    let deadline = Deadline::at(READ_MS * 3);
    let cases: [(&str, Begin, Act); 3] = [
        ("before an answer", Begin::Send, |scene| scene.client.borrow_mut().push(b"x")),
        ("held back", Begin::AwaitHandler, |_| {}),
        ("within the answer", Begin::Nothing, |scene| scene.service.borrow_mut().answer(ok(BodySize::Unknown))),
    ];
    for (case, begin, prepare) in cases {
        let mut scene = Scene::tight(begin, Patience { read: READ_MS * 2, deadline, ..patience() });
        scene.to_client.borrow_mut().grant(usize::MAX);
        scene.to_service.borrow_mut().grant(usize::MAX);
        prepare(&mut scene);
        scene.run();
        scene.pass(READ_MS).assert_waits();
        scene.client.borrow_mut().push(b"x");
        scene.service.borrow_mut().push(b"x");
        scene.run();
        scene.pass(READ_MS + MARGIN_MS).assert_waits();
        scene.pass(MARGIN_MS);
        assert!(scene.is_over(), "{case}");
        scene.assert_fails(Code::Timeout);
    }
}

#[test]
fn a_wake_without_a_cause_gives_nobody_more_time() {
    let mut scene = Scene::new(Begin::Nothing);
    scene.run();
    for _ in 0..9 {
        scene.pass(READ_MS / 10);
        scene.nudge();
    }
    scene.assert_waits();
    scene.pass(READ_MS / 10 + 1000).assert_fails(Code::UpstreamTimeout);
}

#[test]
fn the_first_byte_has_its_time_from_the_end_of_the_request() {
    let mut scene = Scene::tight(Begin::Send, Patience { first_byte: READ_MS / 2, ..patience() });
    scene.to_client.borrow_mut().grant(usize::MAX);
    scene.to_service.borrow_mut().grant(usize::MAX);
    scene.client.borrow_mut().push(b"half");
    scene.run();
    scene.pass(READ_MS).assert_waits();
    scene.client.borrow_mut().end();
    scene.run();
    scene.service.borrow_mut().answer(Answered::Interim(103));
    scene.run();
    scene.pass(READ_MS / 2 - MARGIN_MS / 2).assert_waits();
    scene.pass(MARGIN_MS).assert_fails(Code::UpstreamFirstByteTimeout);
}

#[test]
fn an_attempt_has_its_time_until_the_head_and_no_longer() {
    for answers in [false, true] {
        let mut scene =
            Scene::tight(Begin::Nothing, Patience { attempt: READ_MS * 2, read: READ_MS * 8, ..patience() });
        scene.to_client.borrow_mut().grant(usize::MAX);
        scene.to_service.borrow_mut().grant(usize::MAX);
        scene.run();
        scene.pass(READ_MS).assert_waits();
        if answers {
            scene.service.borrow_mut().answer(ok(BodySize::Unknown));
            scene.run();
            scene.pass(READ_MS * 3).assert_waits();
        } else {
            scene.pass(READ_MS + MARGIN_MS).assert_fails(Code::UpstreamTryTimeout);
        }
    }
}

#[test]
fn an_attempt_does_not_end_while_the_client_is_waited_for() {
    let mut scene = Scene::tight(Begin::Send, Patience { attempt: READ_MS * 2, ..patience() });
    scene.to_client.borrow_mut().grant(usize::MAX);
    scene.to_service.borrow_mut().grant(usize::MAX);
    scene.client.borrow_mut().push(b"half");
    scene.run();
    scene.pass(READ_MS * 3).assert_waits();
    scene.pass(READ_MS).assert_fails(Code::BodyTimeout);
}

#[test]
fn a_callers_own_time_has_its_own_code() {
    let mut deadline = Deadline::at(READ_MS / 2);
    deadline.late = Code::DeadlineExceeded;
    let mut scene = Scene::tight(Begin::Nothing, Patience { deadline, ..patience() });
    scene.to_service.borrow_mut().grant(usize::MAX);
    scene.run();
    scene.pass(READ_MS / 2 + MARGIN_MS / 2).assert_fails(Code::DeadlineExceeded);
}
