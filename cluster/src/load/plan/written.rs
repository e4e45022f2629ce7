//! How a plan is written: the part of Artillery's YAML that the plans in `artillery/` use. A word that is not known is refused,
//! with its line.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};
use serde_saphyr::Spanned;

use super::{InvalidPlan, Method, Request, Step, Word};
use crate::load::phase::Phase;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    pub(super) config: Config,
    #[serde(rename = "before")]
    _before: Hook<Gather>,
    pub(super) scenarios: [Scenario; 1],
    #[serde(rename = "after")]
    _after: Hook<Judge>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// Said by `--url`.
    #[serde(rename = "target")]
    _target: String,
    /// Artillery's, whose words are known here.
    #[serde(rename = "processor")]
    _processor: String,
    #[serde(default)]
    pub(super) http: Http,
    #[serde(default)]
    pub(super) environments: BTreeMap<String, Environment>,
    #[serde(default)]
    pub(super) variables: Map<String, Value>,
    pub(super) phases: Vec<Phase>,
}

/// As in Artillery.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Http {
    pub(super) timeout: u64,
}

impl Default for Http {
    fn default() -> Self {
        Self { timeout: 10 }
    }
}

/// What is otherwise in an environment; phases go over those of the plan one by one, as Artillery merges them.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Environment {
    pub(super) variables: Map<String, Value>,
    pub(super) phases: Vec<Phase>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scenario {
    #[serde(rename = "name")]
    _name: String,
    pub(super) flow: Vec<Spanned<WrittenStep>>,
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
pub(super) struct WrittenStep {
    function: Option<Word>,
    post: Option<Request>,
    delete: Option<Request>,
    think: Option<f64>,
    #[serde(rename = "loop")]
    steps: Option<Vec<Spanned<Self>>>,
    count: Option<Value>,
}

pub(super) fn steps(path: &Path, written: Vec<Spanned<WrittenStep>>) -> Result<Vec<Step>, InvalidPlan> {
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
