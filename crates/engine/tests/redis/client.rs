//! Connections: greeting, pipelines, what is late, lost, refused, and comes back.

use std::time::{Duration, Instant};

use tidegate_engine::redis::client::Arguments;
use tidegate_engine::redis::{Reply, Script, StoreError};

use crate::server::{Server, with_client};

fn script(text: &str) -> Script {
    Script::new(text)
}

fn arguments(key: &str, words: &[&str]) -> Arguments {
    let mut arguments = Arguments::new(1);
    arguments.key(key.as_bytes());
    words.iter().for_each(|word| arguments.word(word.as_bytes()));
    arguments
}

#[test]
fn a_script_is_sent_once_and_then_named() {
    let Some(server) = Server::start(&[]) else { return };
    with_client(&server.plan(), 1, async |client| {
        let add = script("return redis.call('INCRBY', KEYS[1], ARGV[1])");
        for expected in [7, 14, 21] {
            let reply = client.run_until(client.due(), &add, &arguments("a", &["7"])).await;
            assert_eq!(reply, Ok(Reply::Integer(expected)));
        }
        let flush = script("redis.call('FUSCRIPT')");
        let refused = client.run_until(client.due(), &flush, &arguments("a", &[])).await;
        assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    });
}

#[test]
fn many_commands_are_in_flight_at_once() {
    let Some(server) = Server::start(&[]) else { return };
    with_client(&server.plan(), 1, async |client| {
        let echo = std::rc::Rc::new(script("return ARGV[1]"));
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..2000 {
            let (client, echo) = (client.clone(), echo.clone());
            tasks.spawn_local(async move {
                let text = format!("{number}\r\n");
                let reply = client.run_until(client.due(), &echo, &arguments("a", &[&text])).await;
                assert_eq!(reply, Ok(Reply::Bulk(text.as_bytes().into())));
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
    });
}

#[test]
fn password_user_and_database_are_used() {
    let options = ["--requirepass", "main", "--user", "gate", "on", ">secret", "~*", "+@all"];
    let Some(server) = Server::start(&options) else { return };
    let get = script("return redis.call('GET', KEYS[1])");
    let set = script("return redis.call('SET', KEYS[1], ARGV[1])");
    let mut plan = server.plan();
    plan.password = Some("main".into());
    plan.database = 3;
    with_client(&plan, 1, async |client| {
        assert!(client.run_until(client.due(), &set, &arguments("a", &["three"])).await.is_ok());
    });
    plan.username = Some("gate".into());
    plan.password = Some("secret".into());
    with_client(&plan, 1, async |client| {
        let reply = client.run_until(client.due(), &get, &arguments("a", &[])).await;
        assert_eq!(reply, Ok(Reply::Bulk(b"three".as_slice().into())));
    });
    plan.database = 0;
    with_client(&plan, 1, async |client| {
        let reply = client.run_until(client.due(), &get, &arguments("a", &[])).await;
        assert_eq!(reply, Ok(Reply::Nil));
    });
    plan.password = Some("wrong".into());
    plan.timeout_ms = 50;
    with_client(&plan, 1, async |client| {
        let reply = client.run_until(client.due(), &get, &arguments("a", &[])).await;
        assert_eq!(reply, Err(StoreError::Unreachable));
    });
}

#[test]
fn a_store_that_hangs_costs_its_timeout_until_the_breaker_opens_and_comes_back_by_itself() {
    let Some(server) = Server::start(&[]) else { return };
    let mut plan = server.plan();
    plan.timeout_ms = 20;
    with_client(&plan, 0, async |client| {
        let one = script("return 1");
        while client.run_until(client.due(), &one, &arguments("a", &[])).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.signal("STOP");
        let mut refusals = Vec::new();
        while !client.store.breaker.is_open() {
            let began = Instant::now();
            let reply = client.run_until(client.due(), &one, &arguments("a", &[])).await;
            refusals.push(began.elapsed());
            assert!(reply.is_err());
        }
        // One may meet a busy machine.
        refusals.sort();
        assert!(refusals[refusals.len() - 2] < Duration::from_millis(60), "{refusals:?}");
        let began = Instant::now();
        let reply = client.run_until(client.due(), &one, &arguments("a", &[])).await;
        assert_eq!(reply, Err(StoreError::Open));
        assert!(began.elapsed() < Duration::from_millis(5));
        server.signal("CONT");
        comes_back(&client).await;
    });
}

#[test]
fn a_store_that_was_killed_and_started_again_is_found_again() {
    let Some(mut server) = Server::start(&[]) else { return };
    let plan = server.plan();
    with_client(&plan, 0, async |client| {
        let one = script("return 1");
        assert!(client.run_until(client.due(), &one, &arguments("a", &[])).await.is_ok());
        assert_eq!(client.store.live_gateways(), 1);
        server.kill();
        while !client.store.breaker.is_open() {
            assert!(client.run_until(client.due(), &one, &arguments("a", &[])).await.is_err());
            tokio::task::yield_now().await;
        }
        server.restart(&[]);
        comes_back(&client).await;
        assert!(client.run_until(client.due(), &one, &arguments("a", &[])).await.is_ok());
    });
}

async fn comes_back(client: &std::rc::Rc<tidegate_engine::redis::Client>) {
    let began = Instant::now();
    while client.store.breaker.is_open() {
        assert!(began.elapsed() < Duration::from_secs(10), "the breaker stays open");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
