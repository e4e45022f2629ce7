//! One row's course: a site under load, with everybody there; then the fault; then the verdict.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use peal_cluster::api::Change;
use peal_proto::name::members_key;
use peal_proto::{CommunityId, UserId};
use peal_serve::Clock;
use tokio::time::sleep;

use crate::parts::kafka::Kafka;
use crate::parts::redis::Redis;
use crate::parts::site::{Peaks, Place, Site};
use crate::real::until;
use crate::witness::accounts;
use crate::witness::audience::Audience;
use crate::witness::oracle::{Oracle, Socket, Verdict};
use crate::witness::poster::{Poster, Posters};
use crate::witness::recovery::Recovery;
use crate::witness::scene::{Habit, Load, communities, founders, habit, users};

/// Until the first notifications of a new site arrive everywhere.
const FIRST_TIMEOUT: Duration = Duration::from_secs(40);

/// Until the owner of the communities has put the members right.
const MEMBERS_TIMEOUT: Duration = Duration::from_secs(20);

/// Until a node has said of itself what is wrong, or another that it wants its place.
const WARNED_TIMEOUT: Duration = Duration::from_secs(20);

/// Members that one request may add.
const MEMBERS_A_REQUEST: usize = 10_000;

/// What all rows share: a Kafka, one number of brokers at a time.
#[derive(Default)]
pub(crate) struct Ground {
    kafka: Option<Arc<Kafka>>,
}

impl Ground {
    pub(crate) async fn kafka(&mut self, brokers: u16) -> Arc<Kafka> {
        match self.kafka.take().filter(|kafka| kafka.brokers() == brokers) {
            Some(kafka) => {
                kafka.start_what_is_down().await; // a row that failed may have left it so
                self.kafka = Some(kafka);
            }
            None => self.kafka = Some(Arc::new(Kafka::start(brokers).await)),
        }
        self.kafka.clone().unwrap()
    }
}

/// How a row differs from others.
pub(crate) struct Setup {
    /// Of the topics, and of the directory of the logs.
    pub(crate) name: &'static str,
    pub(crate) brokers: u16,
    pub(crate) load: Load,
    /// How long a node holds a partition that it does not read; the default if `None`.
    pub(crate) lease: Option<Duration>,
    /// Where nodes listen.
    pub(crate) host: Ipv4Addr,
    /// Of publisher and nodes.
    pub(crate) env: Vec<(String, String)>,
    /// Whether it is of interest that no socket is closed that its client did not close.
    pub(crate) sockets_stay: bool,
    /// Whether Redis keeps what it has, and so the accounts of events.
    pub(crate) keeps_accounts: bool,
}

impl Setup {
    pub(crate) fn of(name: &'static str) -> Self {
        let host = Ipv4Addr::LOCALHOST;
        Self {
            name,
            brokers: 1,
            load: Load::default(),
            lease: None,
            host,
            env: Vec::new(),
            sockets_stay: false,
            keeps_accounts: true,
        }
    }

    /// Where everything of a row is kept until it runs again.
    pub(crate) fn dir(&self) -> PathBuf {
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("failures").join(self.name)
    }
}

/// What a row found.
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    /// How long it took after each fault until notifications arrived again at clients of all nodes.
    pub(crate) back: Vec<Duration>,
    pub(crate) peaks: Peaks,
    /// What held beside.
    pub(crate) held: Vec<String>,
}

pub(crate) struct Trial {
    pub(crate) kafka: Arc<Kafka>,
    pub(crate) redis: Redis,
    pub(crate) site: Site,
    pub(crate) oracle: Oracle,
    pub(crate) poster: Poster,
    pub(crate) dir: PathBuf,
    pub(crate) clock: Clock,
    audience: Audience,
    posters: Option<Posters>,
    back: Vec<Duration>,
    held: Vec<String>,
    sockets_stay: bool,
    keeps_accounts: bool,
}

impl Trial {
    /// Everything runs, and notifications arrive everywhere.
    pub(crate) async fn begin(ground: &mut Ground, setup: Setup) -> Self {
        let dir = setup.dir();
        empty(&dir);
        let kafka = ground.kafka(setup.brokers).await;
        let Setup { name, load, lease, host, env, sockets_stay, keeps_accounts, .. } = setup;
        let redis = Redis::start(&dir.join("redis")).await;
        let place = Place {
            dir: dir.clone(),
            brokers: kafka.addresses(),
            redis: redis.url(),
            prefix: format!("{name}."),
            host,
            copies: kafka.brokers(),
            lease,
            env,
        };
        let site = Site::start(place).await;
        let (oracle, recovery) = (Oracle::default(), Recovery::new());
        let poster = Poster { api: site.api.clone(), oracle: oracle.clone(), recovery, refused: Arc::default() };
        poster.recovery.begins();
        let audience = Audience::gather(&site.api, &oracle, &poster.recovery, users());
        let mut trial = Self {
            kafka,
            redis,
            site,
            oracle,
            audience,
            posters: None,
            poster,
            dir,
            clock: Clock::system(),
            back: Vec::new(),
            held: Vec::new(),
            sockets_stay,
            keeps_accounts,
        };
        for community in communities() {
            trial.found(community, founders(community)).await;
        }
        trial.posters = Some(Posters::start(&trial.poster, &load, communities()));
        trial.poster.recovery.ends(FIRST_TIMEOUT).await;
        trial
    }

    /// Makes a community.
    pub(crate) async fn found(&self, community: CommunityId, members: Vec<UserId>) {
        self.oracle.founded(community, members.iter().copied());
        self.add(community, &members).await;
    }

    /// The owner of the communities puts their members right, in Redis itself, as it does when it hears that they were lost.
    pub(crate) fn members_are_put_right(&self) {
        for community in communities() {
            let users: Vec<_> = self.oracle.members(community).iter().map(ToString::to_string).collect();
            let key = members_key(community);
            let words: Vec<_> = ["SADD", &key].into_iter().chain(users.iter().map(String::as_str)).collect();
            let added = self.redis.says(&words);
            assert!(added.parse::<usize>().is_ok(), "{added}");
        }
    }

    /// Somebody puts members into a community's set that are no users.
    pub(crate) fn spoil(&self, community: CommunityId, members: &[String]) {
        let key = members_key(community);
        let words: Vec<_> = ["SADD", &key].into_iter().chain(members.iter().map(String::as_str)).collect();
        assert_eq!(self.redis.says(&words), members.len().to_string());
        self.oracle.invalid(community, members.len() as u64);
    }

    async fn add(&self, community: CommunityId, members: &[UserId]) {
        for some in members.chunks(MEMBERS_A_REQUEST) {
            let change = Change { add: some.to_vec(), ..Change::default() };
            let added = async || self.site.api.change(community, &change).await.is_ok();
            until("members are added", MEMBERS_TIMEOUT, added).await;
        }
    }

    /// The load goes on for a while.
    pub(crate) async fn goes_on(&mut self, how_long: Duration) {
        sleep(how_long).await;
        self.site.still_runs();
    }

    /// The fault ends now.
    pub(crate) fn fault_ends(&self) {
        self.poster.recovery.begins();
    }

    /// Waits until notifications that were posted since arrive at clients of all nodes.
    pub(crate) async fn is_back(&mut self, at_most: Duration) -> Duration {
        let back = self.poster.recovery.ends(at_most).await;
        self.back.push(back);
        back
    }

    /// How long it took until something was back, where it was measured otherwise.
    pub(crate) fn came_back(&mut self, after: Duration) {
        self.back.push(after);
    }

    /// What was waited for last was no fault.
    pub(crate) fn forget_back(&mut self) {
        self.back.pop();
    }

    /// Nodes noticed that the inbox went back in time, and read the log again.
    pub(crate) async fn was_read_again(&mut self) {
        let rewinds = self.site.nodes_metric(&["peal_node_rewinds_total"]).await;
        assert!(rewinds > 0.0, "no node noticed that the inbox went back in time");
        self.held.push(format!("{rewinds} partitions noticed that their inbox went back, and read the log again"));
    }

    /// Waits until `peal status` warns in these words.
    pub(crate) async fn is_warned(&mut self, words: &str) {
        let api = self.site.api.clone();
        let warns = async || {
            let warnings = api.shards(false).await.map(|shards| shards.warnings).unwrap_or_default();
            warnings.iter().any(|warning| warning.contains(words))
        };
        until("peal status warns", WARNED_TIMEOUT, warns).await;
        self.held.push(format!("`peal status` warned: {words}"));
    }

    /// Something held beside what the oracle checks.
    pub(crate) fn held(&mut self, what: impl Into<String>) {
        self.held.push(what.into());
    }

    pub(crate) async fn end(self) -> Outcome {
        self.end_with(async || Vec::new()).await
    }

    /// Everybody listens to the end; then the verdict, on these sockets too.
    pub(crate) async fn end_with(mut self, others: impl AsyncFnOnce() -> Vec<Socket>) -> Outcome {
        self.site.is_ready().await;
        if let Some(posters) = self.posters.take() {
            posters.finish().await;
        }
        let (mut sockets, others) = tokio::join!(self.audience.listens_to_the_end(), others());
        if self.sockets_stay {
            let stayed = |socket: &&Socket| habit(socket.user) == Habit::Always;
            let reopened = sockets.iter().filter(stayed).filter(|socket| socket.connections > 1).count();
            assert_eq!(reopened, 0, "sockets that were closed by a node");
            self.held.push("no socket was closed".to_owned());
        }
        sockets.extend(others);
        if self.keeps_accounts {
            self.held.push(accounts::hold(&self.site.api, &self.oracle, &sockets).await);
        }
        let verdict = self.oracle.judge(&sockets);
        Outcome { verdict, back: self.back, peaks: self.site.peaks(), held: self.held }
    }
}

/// An empty directory for a row.
fn empty(dir: &Path) {
    drop(fs::remove_dir_all(dir)); // it may not be there
    fs::create_dir_all(dir).unwrap();
}
