//! A plan as it is written: the part of Artillery's YAML that the plans in `artillery/` use, and nothing else. A word that is
//! not known is refused, with its line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};
use serde_saphyr::Spanned;

use super::phase::Phase;

/// Why a plan can't be run.
#[derive(Debug, thiserror::Error)]
pub enum InvalidPlan {
    /// There is no such file.
    #[error("{path} can't be read")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It is not written as it should be.
    #[error("{path}: {why}")]
    Syntax {
        /// Which.
        path: PathBuf,
        /// What is wrong, and where.
        why: String,
    },
    /// A step is none, or several.
    #[error("{path}, line {line}: {why}")]
    Step {
        /// Which file.
        path: PathBuf,
        /// Where in it.
        line: u64,
        /// What is wrong.
        why: &'static str,
    },
    /// There is no such environment.
    #[error("{path} has no environment {name}; there is {known}")]
    Environment {
        /// Which file.
        path: PathBuf,
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A variable is missing or of another type.
    #[error("the variable {name} must be {must}")]
    Variable {
        /// Which.
        name: String,
        /// What it must be.
        must: &'static str,
    },
}

/// A plan that can be run.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) phases: Vec<Phase>,
    pub(super) variables: Map<String, Value>,
    /// Seconds that a request may take.
    pub(super) timeout: u64,
    /// The flow of every user.
    pub(super) flow: Vec<Step>,
}

/// One step of a user.
#[derive(Debug)]
pub(super) enum Step {
    Function(Word),
    Request(Method, Request),
    /// Seconds.
    Think(f64),
    /// So many times: a number, or a variable.
    Loop(Vec<Self>, Value),
}

/// What a `function`, or the hook of a request, does: the words of `artillery/src/processor.js`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Word {
    Pick,
    Arrive,
    Open,
    Drop,
    Close,
    Hear,
    Meet,
    MeetAll,
    TakeTurn,
    PassTurn,
    Bulk,
    Follow,
}

/// The hook before a request.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Before {
    Compose,
}

/// The hook after one: what its answer has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum After {
    Answered,
    Settled,
    Left,
}

/// How it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Post,
    Delete,
}

/// A request as it is written, with `{{ names }}` of variables.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Request {
    pub(super) url: String,
    #[serde(default)]
    pub(super) json: Option<Value>,
    #[serde(default)]
    pub(super) if_true: Option<String>,
    #[serde(default)]
    pub(super) before_request: Option<Before>,
    pub(super) after_response: After,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    config: Config,
    #[serde(rename = "before")]
    _before: Hook<Gather>,
    scenarios: [Scenario; 1],
    #[serde(rename = "after")]
    _after: Hook<Judge>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Said by `--url`.
    #[serde(rename = "target")]
    _target: String,
    /// Artillery's, whose words are known here.
    #[serde(rename = "processor")]
    _processor: String,
    #[serde(default)]
    http: Http,
    #[serde(default)]
    environments: BTreeMap<String, Environment>,
    #[serde(default)]
    variables: Map<String, Value>,
    phases: Vec<Phase>,
}

/// As in Artillery.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Http {
    timeout: u64,
}

impl Default for Http {
    fn default() -> Self {
        Self { timeout: 10 }
    }
}

/// What is otherwise in an environment; phases go over those of the plan one by one, as Artillery merges them.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Environment {
    variables: Map<String, Value>,
    phases: Vec<Phase>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    #[serde(rename = "name")]
    _name: String,
    flow: Vec<Spanned<WrittenStep>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hook<F> {
    #[serde(rename = "flow")]
    _flow: [Function<F>; 1],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Function<F> {
    #[serde(rename = "function")]
    _function: F,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Gather {
    Gather,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Judge {
    Judge,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrittenStep {
    function: Option<Word>,
    post: Option<Request>,
    delete: Option<Request>,
    think: Option<f64>,
    #[serde(rename = "loop")]
    steps: Option<Vec<Spanned<Self>>>,
    count: Option<Value>,
}

impl Plan {
    /// Reads a plan, YAML or JSON, as it is in an environment.
    pub(super) fn read(path: &Path, environment: Option<&str>) -> Result<Self, InvalidPlan> {
        let unreadable = |source| InvalidPlan::Unreadable { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        Self::parse(path, &text, environment)
    }

    fn parse(path: &Path, text: &str, environment: Option<&str>) -> Result<Self, InvalidPlan> {
        let syntax = |error: serde_saphyr::Error| InvalidPlan::Syntax { path: path.to_owned(), why: error.to_string() };
        let Written { config, scenarios: [scenario], .. } = serde_saphyr::from_str(text).map_err(syntax)?;
        let Config { http, mut environments, mut variables, mut phases, .. } = config;
        if let Some(name) = environment {
            let Some(over) = environments.remove(name) else {
                let known = environments.into_keys().collect::<Vec<_>>().join(", ");
                return Err(InvalidPlan::Environment { path: path.to_owned(), name: name.to_owned(), known });
            };
            variables.extend(over.variables);
            over.phases.into_iter().enumerate().for_each(|(at, phase)| match phases.get_mut(at) {
                Some(under) => under.overlay(phase),
                None => phases.push(phase),
            });
        }
        Ok(Self { phases, variables, timeout: http.timeout, flow: steps(path, scenario.flow)? })
    }

    /// A number among the variables.
    pub(super) fn number(&self, name: &str) -> Result<u64, InvalidPlan> {
        let must = "a whole number";
        let number = self.variables.get(name).and_then(Value::as_u64);
        number.ok_or_else(|| InvalidPlan::Variable { name: name.to_owned(), must })
    }

    /// Yes or no among the variables.
    pub(super) fn flag(&self, name: &str) -> Result<bool, InvalidPlan> {
        let must = "true or false";
        let flag = self.variables.get(name).and_then(Value::as_bool);
        flag.ok_or_else(|| InvalidPlan::Variable { name: name.to_owned(), must })
    }
}

fn steps(path: &Path, written: Vec<Spanned<WrittenStep>>) -> Result<Vec<Step>, InvalidPlan> {
    written.into_iter().map(|spanned| step(path, spanned)).collect()
}

fn step(path: &Path, written: Spanned<WrittenStep>) -> Result<Step, InvalidPlan> {
    let line = written.referenced.line();
    let WrittenStep { function, post, delete, think, steps: inner, count } = written.value;
    match (function, post, delete, think, inner, count) {
        (Some(word), None, None, None, None, None) => Ok(Step::Function(word)),
        (None, Some(request), None, None, None, None) => Ok(Step::Request(Method::Post, request)),
        (None, None, Some(request), None, None, None) => Ok(Step::Request(Method::Delete, request)),
        (None, None, None, Some(seconds), None, None) => Ok(Step::Think(seconds)),
        (None, None, None, None, Some(inner), Some(count)) => Ok(Step::Loop(steps(path, inner)?, count)),
        _ => {
            let why = "a step is one of function, post, delete and think, or loop with count";
            Err(InvalidPlan::Step { path: path.to_owned(), line, why })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = r#"
config:
  target: "http://127.0.0.1:7000"
  processor: "./src/processor.js"
  variables: { users: 20, sockets: true }
  phases:
    - { name: "first", duration: 5, arrivalRate: 1000 }
    - { name: "limit", duration: 20, arrivalRate: 5000, rampTo: 20000 }
  environments:
    short:
      variables: { users: 2 }
      phases: [{ arrivalRate: 10 }]
before: { flow: [{ function: gather }] }
scenarios:
  - name: join
    flow:
      - function: pick
      - loop:
          - post: { url: "/v1/x", json: { user: "{{ user }}" }, beforeRequest: compose, afterResponse: answered }
          - think: 0.5
        count: "{{ posts }}"
after: { flow: [{ function: judge }] }
"#;

    fn parse(text: &str, environment: Option<&str>) -> Result<Plan, String> {
        Plan::parse(Path::new("plan.yml"), text, environment).map_err(|error| error.to_string())
    }

    #[test]
    fn an_environment_goes_over_the_plan() {
        let plan = parse(PLAN, None).unwrap();
        assert_eq!((plan.number("users").unwrap(), plan.flag("sockets").unwrap()), (20, true));
        assert_eq!((plan.phases.len(), plan.flow.len()), (2, 2));
        let short = parse(PLAN, Some("short")).unwrap();
        assert_eq!((short.number("users").unwrap(), short.flag("sockets").unwrap()), (2, true));
        assert_eq!(short.phases.iter().map(Phase::arrivals).collect::<Vec<_>>(), [50, 250_000]);
        assert!(parse(PLAN, Some("long")).unwrap_err().contains("no environment long; there is short"));
    }

    #[test]
    fn what_is_not_known_is_refused_by_name_and_line() {
        for (there, instead, name, line) in [
            ("- think: 0.5", "- whistle: 0.5", "whistle", "20"),
            ("function: pick", "function: dance", "dance", "17"),
            ("rampTo: 20000", "arrivalCurve: 2", "arrivalCurve", "8"),
            ("afterResponse: answered", "capture: x", "capture", "19"),
            ("- think: 0.5", "- think: soon", "soon", "20"),
        ] {
            let why = parse(&PLAN.replace(there, instead), None).unwrap_err();
            assert!(why.contains(name) || name == "soon", "{why}");
            assert!(why.contains(&format!("line {line}")), "{name}: {why}");
        }
        let why = parse(&PLAN.replace("function: pick", "function: pick\n        think: 1"), None).unwrap_err();
        assert!(why.contains("line 17: a step is one of"), "{why}");
    }

    #[test]
    fn every_plan_of_the_repository_is_read() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../artillery");
        for plan in ["joins.yml", "joins.json", "sockets.yml", "rooms.yml", "request-reply.yml", "bulk.yml"] {
            Plan::read(&directory.join(plan), Some("short")).unwrap();
        }
        for plan in ["storm.yml", "saga.yml"] {
            Plan::read(&directory.join(plan), Some("short")).unwrap();
        }
    }
}
