//! A witness for clusters that run somewhere else: posts, listens and judges, while whoever started it breaks things around it.
//!
//! It is told what to do by words on stdin, one a line, and answers on stdout with a line each: `begin`, and it posts; `back 60`, and
//! it waits until notifications that were posted since arrive at clients of all nodes, and says how long anybody waited since it was
//! last asked; `end` for the verdict, which is its exit code too. `k8s/test/run.sh` runs it in a pod.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test in all but name: what cannot go on fails it")]

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use peal_cluster::api::{Api, BaseUrl, Change};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tokio::time::sleep;

use self::witness::accounts;
use self::witness::audience::Audience;
use self::witness::oracle::{self, Oracle};
use self::witness::poster::{Poster, Posters};
use self::witness::recovery::Recovery;
use self::witness::scene::{Load, communities, founders, users};

#[path = "../tests/witness/mod.rs"]
#[expect(dead_code, reason = "the table of failures asks more of it")]
mod witness;

/// From one post of a community to its next: who only listens in the end is within the quota for thirteen minutes.
const PACE: Duration = Duration::from_millis(2_500);

/// Until the first notifications arrive everywhere.
const FIRST_TIMEOUT: Duration = Duration::from_secs(60);

/// Before members are added again to a publisher that is not there yet.
const AGAIN: Duration = Duration::from_millis(500);

/// Posts, listens, and judges what was seen
#[derive(Debug, Parser)]
struct Config {
    /// The publishers
    #[arg(long, value_name = "URL")]
    url: BaseUrl,
}

struct Trial {
    poster: Poster,
    posters: Posters,
    audience: Audience,
}

#[tokio::main]
async fn main() -> ExitCode {
    let api = Api::new(Config::parse().url);
    oracle::can_fail();
    let mut words = BufReader::new(stdin()).lines();
    let mut trial = None;
    while let Some(line) = words.next_line().await.unwrap() {
        match (line.split_once(' ').unwrap_or((&line, "")), trial.take()) {
            (("begin", _), None) => {
                trial = Some(Trial::begin(&api).await);
                println!("begun");
            }
            (("back", seconds), Some(running)) => {
                let waited = running.all_back(Duration::from_secs(seconds.parse().unwrap())).await;
                println!("nobody waited longer than {:.1} s", waited.as_secs_f64());
                trial = Some(running);
            }
            (("end", _), Some(running)) => return running.end().await,
            _ => break,
        }
    }
    println!("the words are begin, then back SECONDS as often as you like, then end");
    ExitCode::FAILURE
}

impl Trial {
    async fn begin(api: &Api) -> Self {
        let (oracle, recovery) = (Oracle::default(), Recovery::new());
        let poster = Poster { api: api.clone(), oracle, recovery, refused: Arc::default() };
        for community in communities() {
            let members = founders(community);
            poster.oracle.founded(community, members.iter().copied());
            let change = Change { add: members, ..Change::default() };
            while api.change(community, &change).await.is_err() {
                sleep(AGAIN).await;
            }
        }
        let audience = Audience::gather(api, &poster.oracle, &poster.recovery, users());
        let posters = Posters::start(&poster, &Load { pace: PACE, ..Load::default() }, communities());
        let trial = Self { poster, posters, audience };
        trial.all_back(FIRST_TIMEOUT).await;
        trial
    }

    /// Waits until what is posted from now on arrives everywhere; the longest that anybody who is always there has waited since
    /// this was last asked.
    async fn all_back(&self, at_most: Duration) -> Duration {
        self.poster.recovery.begins();
        self.poster.recovery.ends(at_most).await;
        self.poster.oracle.longest_silence()
    }

    async fn end(self) -> ExitCode {
        self.posters.finish().await;
        let sockets = self.audience.listens_to_the_end().await;
        let verdict = self.poster.oracle.judge(&sockets);
        println!("{verdict}");
        println!("{}", accounts::hold(&self.poster.api, &self.poster.oracle, &sockets).await);
        if verdict.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
