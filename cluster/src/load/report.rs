//! What came of a run, for a person or as JSON; and how busy the generator was, as a figure may be its ceiling and not the
//! cluster's.

use std::fmt::Write;
use std::thread::available_parallelism;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::busy::Busy;
use super::course::{Passed, Run};

/// Everything that is printed.
pub(super) struct Report<'r> {
    pub(super) run: &'r Run,
    pub(super) passed: &'r [Passed],
    pub(super) busy: &'r Busy,
    pub(super) resident: &'r [(String, u64)],
    pub(super) faults: &'r [String],
}

impl Report<'_> {
    /// One object, with the names that Artillery's side prints.
    pub(super) fn json(&self) -> Value {
        let notes = self.run.record.notes();
        let ledger = self.run.audience.ledger();
        let posting = notes.posting.map_or(0.0, |(first, last)| (last.saturating_sub(first)).as_secs_f64());
        let started: u64 = self.passed.iter().map(|phase| phase.started).sum();
        let mut figures = json!({
            "started": started,
            "events": ledger.accepted_count(),
            "refused": notes.refused,
            "posting_s": round(posting),
            "heard": ledger.heard_count(),
            "owed": ledger.owed_count(),
            "phases": self.passed.iter().map(Passed::json).collect::<Value>(),
            "cores": of_parts(&self.busy.cores(), |cores| round(*cores)),
            "cpu_s": of_parts(self.busy.spent(), |time| round(time.as_secs_f64())),
            "resident_mib": of_parts(self.resident, |bytes| bytes >> 20),
            "faults": self.faults,
        });
        let spans = [("answer", &notes.answers), ("delivery", &notes.deliveries), ("open", &notes.opens)];
        for (name, span) in spans.into_iter().filter(|(_, span)| !span.is_empty()) {
            figures[format!("{name}_mean_ms")] = round(span.mean() / 1_000.0).into();
            for (quantile, at) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)] {
                figures[format!("{name}_{quantile}_ms")] = round(millis(span, at)).into();
            }
        }
        if let Some(longest) = notes.silence.longest() {
            let began = notes.posting.map_or(Duration::ZERO, |(first, _)| longest.since.saturating_sub(first));
            figures["silence_max_ms"] = round(longest.took.as_secs_f64() * 1_000.0).into();
            figures["silence_max_at_s"] = round(began.as_secs_f64()).into();
        }
        for (name, span) in &notes.figures {
            figures[*name] = round(span.as_secs_f64()).into();
        }
        figures
    }

    /// A few lines.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        for phase in self.passed {
            let Passed { name, asked, started, took, late, behind, limit } = phase;
            let seconds = took.as_secs_f64();
            let late = late.as_millis();
            line(
                &mut out,
                format!(
                    "{name}: {started} of {asked} users in {seconds:.1} s, at most {late} ms late; {behind} not heard yet"
                ),
            );
            if let Some(limit) = limit {
                let (asked, accepted, refused) = (limit.asked, limit.accepted, limit.refused);
                line(
                    &mut out,
                    format!(
                        "  the limit: {}, with {asked} a second: {accepted} accepted, {refused} refused",
                        limit.why
                    ),
                );
                line(&mut out, format!("  then busy: {}", cores(&limit.busy)));
            }
        }
        let figures = self.json();
        for (name, figure) in figures.as_object().into_iter().flatten().filter(|(_, figure)| figure.is_number()) {
            line(&mut out, format!("{name:<20} {figure}"));
        }
        let machine = available_parallelism().map_or(0, usize::from);
        line(&mut out, format!("busy, of {machine} cores: {}", cores(&self.busy.cores())));
        let verdict = if self.faults.is_empty() { "passed: each once, in order" } else { "failed" };
        out + verdict
    }
}

impl Passed {
    fn json(&self) -> Value {
        let Self { name, asked, started, took, late, behind, limit } = self;
        json!({
            "name": name,
            "asked": asked,
            "started": started,
            "seconds": round(took.as_secs_f64()),
            "late_ms": u64::try_from(late.as_millis()).unwrap_or(u64::MAX),
            "behind": behind,
            "limit": limit.as_ref().map(|limit| json!({
                "why": limit.why,
                "asked": limit.asked,
                "accepted": limit.accepted,
                "refused": limit.refused,
                "cores": of_parts(&limit.busy, |cores| round(*cores)),
            })),
        })
    }
}

/// An object: of each part, what it has.
fn of_parts<T, V: Into<Value>>(parts: &[(String, T)], value: impl Fn(&T) -> V) -> Value {
    parts.iter().map(|(name, has)| (name.clone(), value(has).into())).collect()
}

fn line(out: &mut String, text: String) {
    writeln!(out, "{text}").unwrap_or_default(); // a String takes every write
}

fn cores(busy: &[(String, f64)]) -> String {
    busy.iter().map(|(name, cores)| format!("{name} {cores:.2}")).collect::<Vec<_>>().join(", ")
}

fn millis(span: &Histogram<u64>, quantile: f64) -> f64 {
    u32::try_from(span.value_at_quantile(quantile)).map_or(f64::INFINITY, f64::from) / 1_000.0
}

fn round(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}
