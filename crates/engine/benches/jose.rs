//! What a token costs that was never seen, beside the check of its signature: `cargo bench -p tidegate-engine --bench jose`.
//!
//! Goal: no more than 3 us beside it, from the bytes of the request to the identity with its header lines. Told for a table of
//! remembered tokens that has room, and for one that is full, where older ones are forgotten meanwhile and nothing is in the
//! processor's cache. Both are timed for 20 tokens in turn, and the median of all is told, with what a tenth lies below and
//! above. Best run with `taskset` on a core that does nothing else.

mod exchanges;
mod plans;

use std::fmt;
use std::hint::black_box;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use tidegate_engine::clock::Clock;
use tidegate_engine::exchange::Exchange;
use tidegate_engine::jose::{Algorithm, KnownHeader, Token, VerifyingKey, parse_pem};
use tidegate_engine::pipeline::{Context, Pipeline};
use tidegate_engine::plan::{self, Plan, Policy};
use tidegate_engine::policies::Local;
use tidegate_engine::state::State;
use tidegate_engine::telemetry::Telemetry;

/// As the gateway has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// More than are remembered, so that each is new whenever its turn comes, and others are forgotten for it.
const TOKENS: usize = 12_000;
/// So few that there is room for them.
const FEW: usize = 2000;
/// Tokens that are timed together: so few that most chunks run without being interrupted, also where the core has other work.
const CHUNK: usize = 20;

fn main() {
    let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key");
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().expect("its public half");
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", plain(public.as_ref()));
    let tokens: Vec<Vec<u8>> = (0..TOKENS).map(|number| token(&pair, number)).collect();
    let key = parse_pem(&pem).expect("a key of ours").remove(0);
    let bench = Bench::new(pem, tokens, key);
    let mut room = [const { Vec::new() }; 4];
    for _ in 0..15 {
        bench.run(FEW, &mut room);
        bench.forget();
    }
    let mut full = [const { Vec::new() }; 4];
    bench.run(TOKENS, &mut [const { Vec::new() }; 4]); // until it is
    for _ in 0..3 {
        bench.run(TOKENS, &mut full);
    }
    let ([signatures, policy, rest, parts], [_, full, rest_full, _]) = (room.map(Spread::of), full.map(Spread::of));
    println!("RS256 signature check alone             {signatures}");
    println!("jwt, a token never seen                 {policy}");
    println!("all but the signature check             {rest}");
    println!("of it, taking the token apart           {parts}");
    println!("jwt, an older one is forgotten          {full}");
    println!("all but the signature check, then       {rest_full}");
}

struct Bench {
    local: Local,
    pipeline: Pipeline,
    exchange: std::cell::RefCell<Exchange>,
    tokens: Vec<Vec<u8>>,
    key: VerifyingKey,
    /// What is signed, and the signature.
    signed: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Bench {
    fn new(pem: String, tokens: Vec<Vec<u8>>, key: VerifyingKey) -> Self {
        let telemetry = Telemetry::start(1, Clock::default()).expect("a thread");
        let (state, services, consumers) = (State::new(), Default::default(), Default::default());
        let context = Context::new(&telemetry.registry, &state, &services, &consumers);
        let pipeline = Pipeline::compile(
            &[Policy::Jwt(plans::jwt("RS256", &["shop"], plan::IssuerKeys::PublicKeys(vec![pem])))],
            &context,
        );
        let apart = |token: &Vec<u8>| {
            let token = Token::parse(bare(token)).expect("a token of ours");
            (token.signed.to_vec(), token.signature)
        };
        Self {
            local: Local::new(telemetry.wall.clone(), 0),
            pipeline: pipeline.unwrap_or_else(|_| panic!("a policy without faults")),
            exchange: exchange(&telemetry).into(),
            signed: tokens.iter().map(apart).collect(),
            tokens,
            key,
        }
    }

    /// Signatures, the policy, what it costs beside them, and taking the token apart, in turn.
    fn run(&self, count: usize, found: &mut [Vec<f64>; 4]) {
        for chunk in 0..count / CHUNK {
            let places = chunk * CHUNK..(chunk + 1) * CHUNK;
            let signatures = self.signatures(places.clone());
            let policy = self.policy(places.clone()) - self.requests(places.clone());
            let parts = self.parts(places);
            found.iter_mut().zip([signatures, policy, policy - signatures, parts]).for_each(|(all, one)| all.push(one));
        }
    }

    fn forget(&self) {
        self.exchange.borrow_mut().identity = None;
        self.local.swapped();
    }

    /// The request with the token in it, which both ways have in common.
    fn requests(&self, places: Range<usize>) -> f64 {
        let mut exchange = self.exchange.borrow_mut();
        each(&self.tokens[places], |token| fill(&mut exchange, token))
    }

    fn signatures(&self, places: Range<usize>) -> f64 {
        each(&self.signed[places], |(message, signature)| {
            assert!(black_box(self.key.verify(Algorithm::Rs256, message, signature)));
        })
    }

    fn policy(&self, places: Range<usize>) -> f64 {
        let mut exchange = self.exchange.borrow_mut();
        each(&self.tokens[places], |token| {
            fill(&mut exchange, token);
            black_box(self.pipeline.on_request(&mut 0, &self.local, &mut exchange));
            assert!(exchange.identity.is_some());
        })
    }

    fn parts(&self, places: Range<usize>) -> f64 {
        let mut known = KnownHeader::default();
        each(&self.tokens[places], |token| drop(black_box(Token::parse_with(bare(token), &mut known))))
    }
}

/// As identity providers make them; the same claims as in `benchmarks/credentials.py`.
fn token(pair: &KeyPair, number: usize) -> Vec<u8> {
    let claims = format!(
        "{{\"iss\":\"https://auth.example.com\",\"aud\":\"shop\",\"sub\":\"user-{number}\",\
         \"email\":\"user-{number}@example.com\",\"roles\":[\"buyer\",\"reviewer\"],\"iat\":1700000000,\"exp\":4000000000}}"
    );
    let url = tidegate_engine::base64::url;
    let signed = format!("{}.{}", url(b"{\"alg\":\"RS256\",\"typ\":\"JWT\"}"), url(claims.as_bytes()));
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).expect("a signature");
    format!("Bearer {signed}.{}", url(&signature)).into_bytes()
}

fn bare(header: &[u8]) -> &[u8] {
    &header[b"Bearer ".len()..]
}

fn plain(bytes: &[u8]) -> String {
    let mut out = Vec::new();
    tidegate_engine::base64::push_plain(&mut out, bytes);
    out.into_iter().map(char::from).collect()
}

fn exchange(telemetry: &Arc<Telemetry>) -> Exchange {
    exchanges::exchange(telemetry, Plan::empty())
}

fn fill(exchange: &mut Exchange, token: &[u8]) {
    exchange.identity = None;
    let request = &mut exchange.request;
    request.clear();
    request.method_name = request.head.keep(b"GET");
    request.raw_path = request.head.keep(b"/api/v1/orders/8f14e45f");
    request.authority = request.head.keep(b"shop.example.com");
    request.head.add(b"accept", b"application/json");
    request.head.add(b"authorization", token);
}

/// Microseconds for each.
fn each<T>(all: &[T], mut run: impl FnMut(&T)) -> f64 {
    let begun = Instant::now();
    all.iter().for_each(&mut run);
    begun.elapsed().as_secs_f64() * 1e6 / all.len() as f64
}

/// The median, and what a tenth of all lies below or above.
struct Spread([f64; 3]);

impl Spread {
    fn of(mut all: Vec<f64>) -> Self {
        all.sort_unstable_by(f64::total_cmp);
        Self([all.len() / 2, all.len() / 10, all.len() * 9 / 10].map(|place| all[place]))
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, low, high] = self.0;
        write!(formatter, "{median:6.2} us ({low:.2} to {high:.2})")
    }
}
