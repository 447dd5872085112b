//! Whether an attempt that failed is made again, and when: tables and arithmetic, without sockets and clocks.

use tidegate_http1::Known;

use crate::clock::Millis;
use crate::exchange::{Request, Upgrade};
use crate::head::Head;
use crate::plan::{self, RetryOn};
use crate::respond::{Code, Failure};

/// Why an attempt is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A pooled connection had gone stale: no fault of the target, and no retry in the sense of the document.
    Stale,
    ConnectFailure,
    Reset,
    RefusedStream,
    TryTimeout,
    Timeout,
    Status,
    GrpcStatus,
}

impl Reason {
    pub const ALL: [Self; 8] = [
        Self::Stale,
        Self::ConnectFailure,
        Self::Reset,
        Self::RefusedStream,
        Self::TryTimeout,
        Self::Timeout,
        Self::Status,
        Self::GrpcStatus,
    ];

    /// As the metrics say it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Stale => "stale",
            Self::ConnectFailure => "connect_failure",
            Self::Reset => "reset",
            Self::RefusedStream => "refused_stream",
            Self::TryTimeout => "try_timeout",
            Self::Timeout => "timeout",
            Self::Status => "status",
            Self::GrpcStatus => "grpc_status",
        }
    }
}

/// When and how often a call is made again.
pub struct Retry {
    /// Attempts after the first.
    pub attempts: u32,
    on: Box<[RetryOn]>,
    /// Statuses of gRPC are among `on`.
    looks_at_grpc: bool,
    methods: Option<Box<[Box<[u8]>]>>,
    backoff: Backoff,
    /// Of a request body so much is kept.
    pub body_bytes: u64,
    longest_wait: Millis,
}

impl Retry {
    pub fn new(plan: &plan::Retry) -> Self {
        Self {
            attempts: plan.attempts,
            on: plan.on.as_slice().into(),
            looks_at_grpc: plan.on.iter().any(|on| matches!(on, RetryOn::GrpcStatus(_))),
            methods: plan.methods.as_deref().map(method_list),
            backoff: Backoff { base: plan.backoff_base_ms, max: plan.backoff_max_ms },
            body_bytes: plan.body_bytes,
            longest_wait: plan.retry_after_ms,
        }
    }

    /// Why a failed attempt would be worth another. `sent`: the service may have seen the request.
    pub fn of_failure(&self, failure: &Failure, sent: bool) -> Option<Reason> {
        let (reason, on) = match failure.code {
            Code::UpstreamConnectFailed | Code::UpstreamConnectTimeout | Code::UpstreamUnresolved => {
                (Reason::ConnectFailure, RetryOn::ConnectFailure)
            }
            Code::UpstreamReset | Code::UpstreamClosed if sent => (Reason::Reset, RetryOn::Reset),
            Code::UpstreamReset | Code::UpstreamClosed => (Reason::RefusedStream, RetryOn::RefusedStream),
            Code::UpstreamTryTimeout => (Reason::TryTimeout, RetryOn::TryTimeout),
            Code::UpstreamTimeout | Code::UpstreamFirstByteTimeout | Code::UpstreamWriteTimeout => {
                (Reason::Timeout, RetryOn::Timeout)
            }
            _ => return None,
        };
        self.on.contains(&on).then_some(reason)
    }

    /// Why an answer would be worth another attempt.
    pub fn of_answer(&self, status: u16, head: &Head) -> Option<Reason> {
        if status >= 400 {
            return self.on.contains(&RetryOn::Status(status)).then_some(Reason::Status);
        }
        if !self.looks_at_grpc {
            return None;
        }
        let of_grpc = head.get_known(Known::ContentType).is_some_and(|value| value.starts_with(b"application/grpc"));
        let code = head.get(b"grpc-status").filter(|_| of_grpc)?;
        let code = std::str::from_utf8(code).ok()?.parse().ok()?;
        self.on.contains(&RetryOn::GrpcStatus(code)).then_some(Reason::GrpcStatus)
    }

    /// RFC 9110 section 9.2.2: what the service may have seen is repeated only when repeating it does no more.
    pub fn may_repeat(&self, request: &Request, sent: bool) -> bool {
        request.upgrade == Upgrade::None && (!sent || self.takes(request))
    }

    fn takes(&self, request: &Request) -> bool {
        match &self.methods {
            None => request.method.is_idempotent(),
            Some(methods) => methods.iter().any(|method| **method == *request.method_name()),
        }
    }

    /// How long to wait before the `nth` retry, the first being 1; `None` when the service wants to be left alone for longer
    /// than we wait. `random` gives a number below its argument.
    pub fn wait(&self, nth: u32, wanted: Option<Millis>, random: impl FnOnce(u64) -> u64) -> Option<Millis> {
        let wanted = wanted.filter(|_| self.longest_wait > 0).unwrap_or_default();
        if wanted > self.longest_wait {
            return None;
        }
        Some(wanted + self.backoff.wait(nth, random))
    }

    /// `Retry-After` is obeyed.
    pub fn obeys(&self) -> bool {
        self.longest_wait > 0
    }
}

pub fn method_list(names: &[String]) -> Box<[Box<[u8]>]> {
    names.iter().map(|name| name.as_bytes().into()).collect()
}

/// Exponential, with full jitter: Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
struct Backoff {
    base: Millis,
    max: Millis,
}

impl Backoff {
    fn wait(&self, nth: u32, random: impl FnOnce(u64) -> u64) -> Millis {
        let doubled = self.base.saturating_mul(1 << (nth.saturating_sub(1)).min(32));
        match doubled.min(self.max) {
            0 => 0,
            longest => random(longest + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Method;
    use crate::policies::random::Random;

    fn plan(on: &[RetryOn], methods: Option<&[&str]>) -> plan::Retry {
        plan::Retry {
            attempts: 2,
            on: on.to_vec(),
            methods: methods.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
            backoff_base_ms: 25,
            backoff_max_ms: 250,
            budget: None,
            body_bytes: 0,
            retry_after_ms: 1000,
        }
    }

    fn request(method: &[u8]) -> Request {
        let mut request = Request { method: Method::of(method), ..Request::default() };
        request.method_name = request.head.keep(method);
        request
    }

    #[test]
    fn every_failure_has_its_condition() {
        let conditions =
            [RetryOn::ConnectFailure, RetryOn::Reset, RetryOn::RefusedStream, RetryOn::TryTimeout, RetryOn::Timeout];
        let table = [
            (Code::UpstreamConnectFailed, false, RetryOn::ConnectFailure, Reason::ConnectFailure),
            (Code::UpstreamConnectTimeout, false, RetryOn::ConnectFailure, Reason::ConnectFailure),
            (Code::UpstreamUnresolved, false, RetryOn::ConnectFailure, Reason::ConnectFailure),
            (Code::UpstreamReset, true, RetryOn::Reset, Reason::Reset),
            (Code::UpstreamClosed, true, RetryOn::Reset, Reason::Reset),
            (Code::UpstreamClosed, false, RetryOn::RefusedStream, Reason::RefusedStream),
            (Code::UpstreamTryTimeout, true, RetryOn::TryTimeout, Reason::TryTimeout),
            (Code::UpstreamTimeout, true, RetryOn::Timeout, Reason::Timeout),
            (Code::UpstreamFirstByteTimeout, true, RetryOn::Timeout, Reason::Timeout),
            (Code::UpstreamWriteTimeout, true, RetryOn::Timeout, Reason::Timeout),
        ];
        for (code, sent, wanted, reason) in table {
            for condition in conditions {
                let found = Retry::new(&plan(&[condition], None)).of_failure(&code.into(), sent);
                assert_eq!(found, (condition == wanted).then_some(reason), "{code:?} {condition:?}");
            }
        }
    }

    #[test]
    fn other_failures_are_never_repeated() {
        let known = [
            Code::UpstreamConnectFailed,
            Code::UpstreamConnectTimeout,
            Code::UpstreamUnresolved,
            Code::UpstreamReset,
            Code::UpstreamClosed,
            Code::UpstreamTryTimeout,
            Code::UpstreamTimeout,
            Code::UpstreamFirstByteTimeout,
            Code::UpstreamWriteTimeout,
        ];
        let all =
            [RetryOn::ConnectFailure, RetryOn::Reset, RetryOn::RefusedStream, RetryOn::TryTimeout, RetryOn::Timeout];
        let retry = Retry::new(&plan(&all, None));
        for &code in Code::ALL.iter().filter(|code| !known.contains(code)) {
            assert_eq!(retry.of_failure(&code.into(), true), None, "{code:?}");
            assert_eq!(retry.of_failure(&code.into(), false), None, "{code:?}");
        }
    }

    #[test]
    fn only_the_statuses_that_are_named() {
        let retry = Retry::new(&plan(&[RetryOn::Status(503), RetryOn::Status(429)], None));
        let found: Vec<u16> =
            (100..=599).filter(|status| retry.of_answer(*status, &Head::default()).is_some()).collect();
        assert_eq!(found, [429, 503]);
    }

    #[test]
    fn a_grpc_status_counts_in_the_head_of_a_grpc_answer() {
        let retry = Retry::new(&plan(&[RetryOn::GrpcStatus(14)], None));
        let answer = |kind: &[u8], status: &[u8]| {
            let mut head = Head::default();
            head.add(b"content-type", kind);
            head.add(b"grpc-status", status);
            retry.of_answer(200, &head)
        };
        assert_eq!(answer(b"application/grpc+proto", b"14"), Some(Reason::GrpcStatus));
        assert_eq!(answer(b"application/grpc", b"0"), None);
        assert_eq!(answer(b"application/grpc", b"x"), None);
        assert_eq!(answer(b"application/json", b"14"), None);
        assert_eq!(retry.of_answer(200, &Head::default()), None);
    }

    #[test]
    fn what_the_service_may_have_seen_is_repeated_by_method() {
        let idempotent = Retry::new(&plan(&[], None));
        let told = Retry::new(&plan(&[], Some(&["POST", "PURGE"])));
        for (method, by_rule, by_list) in [
            ("GET", true, false),
            ("HEAD", true, false),
            ("PUT", true, false),
            ("DELETE", true, false),
            ("OPTIONS", true, false),
            ("POST", false, true),
            ("PATCH", false, false),
            ("PURGE", false, true),
        ] {
            let request = request(method.as_bytes());
            assert_eq!(idempotent.may_repeat(&request, true), by_rule, "{method}");
            assert_eq!(told.may_repeat(&request, true), by_list, "{method}");
            assert!(told.may_repeat(&request, false), "{method}: nobody has seen it");
        }
    }

    #[test]
    fn an_upgrade_is_never_repeated() {
        let upgrade = Request { upgrade: Upgrade::Http1, ..request(b"GET") };
        assert!(!Retry::new(&plan(&[], None)).may_repeat(&upgrade, false));
    }

    #[test]
    fn the_backoff_doubles_to_its_bound_and_is_drawn_from_all_of_it() {
        let retry = Retry::new(&plan(&[], None));
        let longest: Vec<_> = (1..=6).map(|nth| retry.wait(nth, None, |below| below - 1).unwrap()).collect();
        assert_eq!(longest, [25, 50, 100, 200, 250, 250]);
        assert_eq!(retry.wait(u32::MAX, None, |below| below - 1), Some(250));
        assert_eq!(retry.wait(3, None, |_| 0), Some(0));
        let mut random = Random::from_system();
        let draws: Vec<_> = (0..1000).map(|_| retry.wait(3, None, |below| random.next() % below).unwrap()).collect();
        assert!(draws.iter().all(|wait| *wait <= 100));
        let mean = draws.iter().sum::<u64>() / 1000;
        assert!((40..=60).contains(&mean), "{mean}");
    }

    #[test]
    fn what_the_service_asks_for_is_waited_up_to_a_bound() {
        let retry = Retry::new(&plan(&[], None));
        assert_eq!(retry.wait(1, Some(900), |_| 7), Some(907));
        assert_eq!(retry.wait(1, Some(1001), |_| 7), None);
        let deaf = Retry::new(&plan::Retry { retry_after_ms: 0, ..plan(&[], None) });
        assert_eq!(deaf.wait(1, Some(90_000), |_| 7), Some(7));
    }
}
