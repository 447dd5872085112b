//! Every family the gateway shows, in one place. `docs/reference/metrics.md` describes the same list.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::respond::Code;
use crate::telemetry::metrics::histogram::Reading;
use crate::telemetry::metrics::limit::Outcome;
use crate::telemetry::metrics::registry::Registry;
use crate::telemetry::metrics::route::{CLASSES, RouteReading, RouteSeries, class};
use crate::telemetry::metrics::service::{FALLBACKS, ServiceReading};
use crate::telemetry::metrics::text::{Format, Kind, Text};
use crate::upstream::retry::Reason;

type Routes = Vec<(Arc<RouteSeries>, RouteReading)>;

impl Registry {
    /// Renders all metrics. Slow work for the thread that serves the scraper: no worker waits for it.
    pub fn render(&self, format: Format) -> String {
        self.render_with(format, |_| {})
    }

    /// As [`Registry::render`], and whatever `more` adds.
    pub(crate) fn render_with(&self, format: Format, more: impl FnOnce(&mut Text)) -> String {
        self.sweep();
        let mut text = Text::new(format);
        let read = |series: Arc<RouteSeries>| (!series.is_unused()).then(|| (series.clone(), series.read()));
        let routes: Routes = self.routes().into_iter().filter_map(read).collect();
        render_requests(&mut text, &routes);
        render_upstream(&mut text, &routes);
        self.render_targets(&mut text);
        self.render_services(&mut text);
        self.render_breakers(&mut text);
        self.render_bulkheads(&mut text);
        self.render_calls(&mut text);
        self.render_limits(&mut text);
        self.render_tallies(&mut text);
        self.render_connections(&mut text);
        self.render_workers(&mut text);
        self.render_stores(&mut text);
        self.render_overload(&mut text);
        self.render_process(&mut text);
        more(&mut text);
        text.finish()
    }

    fn render_services(&self, text: &mut Text) {
        let services: Vec<_> = self.services().into_iter().filter(|series| !series.is_unused()).collect();
        let readings: Vec<_> = services.iter().map(|series| (&*series.service, series.read())).collect();
        render_pools(text, &readings);
        render_retries(text, &readings);
        render_hedges(text, &readings);
        render_fallbacks(text, &readings);
    }

    fn render_targets(&self, text: &mut Text) {
        let targets: Vec<_> = self.targets().into_iter().filter(|series| !series.is_unused()).collect();
        let readings: Vec<_> =
            targets.iter().map(|series| (&*series.service, &*series.target, series.read())).collect();
        text.family(
            "tidegate_target_requests",
            Kind::Counter,
            "Attempts at a target that are over, by how they ended.",
        );
        for (service, target, reading) in &readings {
            let outcomes = [
                ("answered", reading.answered),
                ("error", reading.errors),
                ("failed", reading.failed),
                ("abandoned", reading.abandoned),
            ];
            for (outcome, count) in outcomes {
                text.sample(&[("service", service), ("target", target), ("outcome", outcome)], count);
            }
        }
        text.family("tidegate_target_in_flight", Kind::Gauge, "Attempts at a target that are under way.");
        for (service, target, reading) in &readings {
            text.sample(&[("service", service), ("target", target)], reading.in_flight);
        }
    }

    fn render_limits(&self, text: &mut Text) {
        text.family("tidegate_limit_decisions", Kind::Counter, "What became of requests at a limit.");
        for series in self.limits().iter().filter(|series| !series.is_unused()) {
            let [policy, scope, limit] = series.labels();
            for (outcome, word) in Outcome::ALL {
                text.sample(&[policy, scope, limit, ("outcome", word)], series.read(outcome));
            }
        }
        let Some(state) = self.state.get() else { return };
        let census = state.limits.table.census();
        text.family("tidegate_limit_keys", Kind::Gauge, "Keys whose counts are in memory.");
        text.sample(&[], census.keys as u64);
        text.family(
            "tidegate_limit_evictions",
            Kind::Counter,
            "Keys that were forgotten before their budget was whole.",
        );
        text.sample(&[], census.evicted);
        let (under_way, waiting) = state.limits.leases.count();
        text.family("tidegate_limit_leases", Kind::Gauge, "Requests that hold a lease of a concurrency limit.");
        text.sample(&[], under_way);
        text.family("tidegate_limit_waiting", Kind::Gauge, "Requests that wait for such a lease.");
        text.sample(&[], waiting);
    }

    fn render_tallies(&self, text: &mut Text) {
        let mut begun = "";
        for tally in self.tallies() {
            let family = tally.family;
            if family.name != begun {
                text.family(family.name, Kind::Counter, family.help);
                begun = family.name;
            }
            for (index, outcome) in family.outcomes.iter().enumerate() {
                text.sample(&[(family.label, &tally.of), (family.outcome, outcome)], tally.read(index));
            }
        }
    }

    fn render_connections(&self, text: &mut Text) {
        let series = self.listeners();
        let readings: Vec<_> = series.iter().map(|series| (&*series.listener, series.read())).collect();
        text.family("tidegate_connections", Kind::Gauge, "Open client connections.");
        for (listener, reading) in &readings {
            text.sample(&[("listener", listener)], reading.accepted - reading.closed);
        }
        text.family("tidegate_connections_accepted", Kind::Counter, "Client connections accepted.");
        for (listener, reading) in &readings {
            text.sample(&[("listener", listener)], reading.accepted);
        }
        text.family("tidegate_connections_closed", Kind::Counter, "Client connections closed, by either side.");
        for (listener, reading) in &readings {
            text.sample(&[("listener", listener)], reading.closed);
        }
        text.family("tidegate_connections_refused", Kind::Counter, "Client connections turned away by a limit.");
        for (listener, reading) in &readings {
            text.sample(&[("listener", listener)], reading.refused);
        }
    }

    fn render_workers(&self, text: &mut Text) {
        let ended = self.parts.sum(|part| part.ended.get());
        let begun = self.parts.sum(|part| part.begun.get());
        text.family("tidegate_requests_in_flight", Kind::Gauge, "Requests that have no complete answer yet.");
        text.sample(&[], begun.saturating_sub(ended));
        text.family("tidegate_refusals", Kind::Counter, "Answers the gateway made itself, by their code.");
        for &code in Code::ALL {
            let count = self.parts.sum(|part| part.refusals(code));
            if count > 0 {
                text.sample(&[("code", code.word())], count);
            }
        }
    }

    fn render_process(&self, text: &mut Text) {
        text.family("tidegate_access_log_dropped", Kind::Counter, "Access log lines that could not be written.");
        text.sample(&[], self.access_log_dropped.load(Relaxed));
        text.family("tidegate_reloads", Kind::Counter, "Documents put into effect or refused, with the first.");
        text.sample(&[("result", "applied")], self.reloads.applied.get());
        text.sample(&[("result", "refused")], self.reloads.refused.get());
        let help = "When a document was last put into effect.";
        text.family("tidegate_last_reload_success_timestamp_seconds", Kind::Gauge, help);
        text.seconds(&[], self.reloads.last_success_millis.get());
        text.family("tidegate_build_info", Kind::Gauge, "The version that runs.");
        text.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
        text.family("process_start_time_seconds", Kind::Gauge, "When the gateway started.");
        text.seconds(&[], self.started_millis);
    }
}

fn render_requests(text: &mut Text, routes: &Routes) {
    text.family("tidegate_requests", Kind::Counter, "Requests answered.");
    for (series, reading) in routes {
        let mut sample = |class: usize, code: &str, count: u64| {
            let [route, service] = series.labels();
            text.sample(&[route, service, ("class", CLASSES[class]), ("code", code)], count);
        };
        for &(status, count) in &reading.statuses {
            sample(class(status), itoa::Buffer::new().format(status), count);
        }
        for (index, count) in reading.others.into_iter().enumerate().filter(|(_, count)| *count > 0) {
            sample(index, "other", count);
        }
    }
    let help = "From the arrival of a request's head to the end of its answer.";
    text.family("tidegate_request_duration_seconds", Kind::Histogram, help);
    for (series, reading) in routes {
        text.histogram(&series.labels(), &reading.duration);
    }
    text.family("tidegate_request_bytes", Kind::Counter, "Bytes of request bodies.");
    for (series, reading) in routes {
        text.sample(&series.labels(), reading.request_bytes);
    }
    text.family("tidegate_answer_bytes", Kind::Counter, "Bytes of answer bodies.");
    for (series, reading) in routes {
        text.sample(&series.labels(), reading.answer_bytes);
    }
}

fn render_upstream(text: &mut Text, routes: &Routes) {
    // By the service they go to.
    let mut services: BTreeMap<&str, Reading> = BTreeMap::new();
    for (series, reading) in routes.iter().filter(|(series, _)| !series.service.is_empty()) {
        services.entry(&series.service).or_default().add(&reading.upstream);
    }
    let help = "From the arrival of a request's head to the head of the service's answer.";
    text.family("tidegate_upstream_duration_seconds", Kind::Histogram, help);
    for (service, latency) in &services {
        text.histogram(&[("service", service)], latency);
    }
}

type Services<'a> = [(&'a str, ServiceReading)];

fn render_pools(text: &mut Text, readings: &Services<'_>) {
    text.family("tidegate_pool_connections", Kind::Gauge, "Open connections to services.");
    for (service, reading) in readings {
        text.sample(&[("service", service), ("state", "idle")], reading.idle);
        text.sample(&[("service", service), ("state", "busy")], reading.busy);
    }
    text.family("tidegate_pool_opened", Kind::Counter, "Connections opened to services.");
    for (service, reading) in readings {
        text.sample(&[("service", service)], reading.opened);
    }
    text.family("tidegate_pool_reused", Kind::Counter, "Calls that went over a connection that was open already.");
    for (service, reading) in readings {
        text.sample(&[("service", service)], reading.reused);
    }
}

fn render_retries(text: &mut Text, readings: &Services<'_>) {
    text.family("tidegate_upstream_retries", Kind::Counter, "Attempts that were made again, by what had happened.");
    for (service, reading) in readings {
        for (reason, count) in Reason::ALL.into_iter().zip(reading.retries).filter(|(_, count)| *count > 0) {
            text.sample(&[("service", service), ("reason", reason.word())], count);
        }
    }
    let help = "Attempts that were not made again, as the budget of retries was spent.";
    text.family("tidegate_upstream_retry_budget_exhausted", Kind::Counter, help);
    for (service, reading) in readings {
        text.sample(&[("service", service)], reading.out_of_budget);
    }
}

fn render_hedges(text: &mut Text, readings: &Services<'_>) {
    let hedged: Vec<_> =
        readings.iter().filter(|(_, reading)| reading.hedges + reading.hedges_out_of_budget > 0).collect();
    text.family("tidegate_upstream_hedges", Kind::Counter, "Second attempts that began as the first was late.");
    for (service, reading) in &hedged {
        text.sample(&[("service", service)], reading.hedges);
    }
    text.family("tidegate_upstream_hedges_won", Kind::Counter, "Second attempts that were the quicker ones.");
    for (service, reading) in &hedged {
        text.sample(&[("service", service)], reading.hedges_won);
    }
    let help = "Second attempts that were not made, as their budget was spent.";
    text.family("tidegate_upstream_hedge_budget_exhausted", Kind::Counter, help);
    for (service, reading) in &hedged {
        text.sample(&[("service", service)], reading.hedges_out_of_budget);
    }
}

fn render_fallbacks(text: &mut Text, services: &Services<'_>) {
    text.family("tidegate_fallbacks", Kind::Counter, "Answers that were given in the place of a service.");
    for (service, reading) in services {
        for (kind, count) in FALLBACKS.iter().zip(reading.fallbacks).filter(|(_, count)| *count > 0) {
            text.sample(&[("service", service), ("kind", kind)], count);
        }
    }
}
