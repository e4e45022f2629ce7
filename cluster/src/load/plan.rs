//! A plan that can be run, and why one can't. How it is [`written`] is Artillery's.

mod written;

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use self::written::{Config, Written, steps};
use super::phase::Phase;
use super::template;
use super::user::VARIABLES;

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
    /// A phase says too little.
    #[error("{path}: the phase {name:?} must have a duration above 0, and an arrivalRate or an arrivalCount")]
    Phase {
        /// Which file.
        path: PathBuf,
        /// Which of its phases.
        name: String,
    },
    /// It names a variable that there is not.
    #[error("{path}: {{{{ {name} }}}} is no variable; there is {known}")]
    Name {
        /// Which file.
        path: PathBuf,
        /// What stands there.
        name: String,
        /// What there is.
        known: String,
    },
    /// A variable was given that the plan does not have.
    #[error("the plan has no variable {name}; there is {known}")]
    Unknown {
        /// Which.
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

impl Plan {
    /// Reads a plan, YAML or JSON, as it is in an environment.
    pub(super) fn read(path: &Path, environment: Option<&str>) -> Result<Self, InvalidPlan> {
        let unreadable = |source| InvalidPlan::Unreadable { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        Self::parse(path, &text, environment)
    }

    fn parse(path: &Path, text: &str, environment: Option<&str>) -> Result<Self, InvalidPlan> {
        let syntax = |error: serde_saphyr::Error| InvalidPlan::Syntax {
            path: path.to_owned(),
            why: error.to_string().trim_start_matches("error: ").to_owned(),
        };
        let Written { config, scenarios: [scenario], .. } = serde_saphyr::from_str(text).map_err(syntax)?;
        let Config { http, mut environments, variables, mut phases, .. } = config;
        let mut over = Map::new();
        if let Some(name) = environment {
            let Some(environment) = environments.remove(name) else {
                let known = listed(environments.keys());
                return Err(InvalidPlan::Environment { path: path.to_owned(), name: name.to_owned(), known });
            };
            over = environment.variables;
            environment.phases.into_iter().enumerate().for_each(|(at, phase)| match phases.get_mut(at) {
                Some(under) => under.overlay(phase),
                None => phases.push(phase),
            });
        }
        let mut plan = Self { phases, variables, timeout: http.timeout, flow: steps(path, scenario.flow)? };
        plan.vary(over)?;
        plan.check(path)?;
        Ok(plan)
    }

    /// Variables that go over those of the plan.
    pub(super) fn vary(&mut self, over: Map<String, Value>) -> Result<(), InvalidPlan> {
        if let Some(name) = over.keys().find(|name| !self.variables.contains_key(*name)) {
            return Err(InvalidPlan::Unknown { name: name.clone(), known: listed(self.variables.keys()) });
        }
        self.variables.extend(over);
        Ok(())
    }

    fn check(&self, path: &Path) -> Result<(), InvalidPlan> {
        if let Some(phase) = self.phases.iter().find(|phase| !phase.is_whole()) {
            return Err(InvalidPlan::Phase { path: path.to_owned(), name: phase.name().to_owned() });
        }
        let is_known = |name: &str| VARIABLES.contains(&name) || self.variables.contains_key(name);
        let names = self.flow.iter().flat_map(Step::names);
        match names.into_iter().find(|name| !is_known(name)) {
            None => Ok(()),
            Some(name) => {
                let known = listed(VARIABLES.into_iter().chain(self.variables.keys().map(String::as_str)));
                Err(InvalidPlan::Name { path: path.to_owned(), name, known })
            }
        }
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

impl Step {
    /// The variables that it names.
    fn names(&self) -> Vec<String> {
        match self {
            Self::Function(_) | Self::Think(_) => Vec::new(),
            Self::Request(_, Request { url, json, if_true, .. }) => {
                let json = json.as_ref().map(template::names).unwrap_or_default();
                template::names(&url.as_str().into()).into_iter().chain(json).chain(if_true.clone()).collect()
            }
            Self::Loop(steps, count) => {
                template::names(count).into_iter().chain(steps.iter().flat_map(Self::names)).collect()
            }
        }
    }
}

fn listed<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> String {
    names.into_iter().map(|name| name.as_ref().to_owned()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = r#"
config:
  target: "http://127.0.0.1:7000"
  processor: "./src/processor.js"
  variables: { users: 20, sockets: true, posts: 3 }
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
    fn what_would_do_nothing_or_something_else_is_refused() {
        for (there, instead, why) in [
            ("{{ posts }}", "{{ post }}", "{{ post }} is no variable; there is user, community"),
            ("{{ user }}", "{{ usr }}", "{{ usr }} is no variable"),
            ("/v1/x", "/v1/{{ x }}", "{{ x }} is no variable"),
            ("duration: 5, ", "", "the phase \"first\" must have a duration above 0"),
            ("arrivalRate: 5000, ", "", "the phase \"limit\" must have a duration above 0, and an arrivalRate"),
            ("variables: { users: 2 }", "variables: { user: 2 }", "no variable user; there is posts, sockets, users"),
        ] {
            let told = parse(&PLAN.replace(there, instead), Some("short")).unwrap_err();
            assert!(told.contains(why), "{told}");
        }
        let mut plan = parse(PLAN, None).unwrap();
        let why = plan.vary(Map::from_iter([("userz".to_owned(), 5.into())])).unwrap_err().to_string();
        assert_eq!(why, "the plan has no variable userz; there is posts, sockets, users");
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
