//! Records that are nothing: counted, put among the dead letters with the reason, never in the way.

use std::time::Duration;

use peal_proto::{Partition, Topic};
use peal_store::log::{Headers, NewRecord};
use serde_json::Value;

use crate::parts::site::PARTITIONS;
use crate::reading::everything;
use crate::trial::{Ground, Outcome, Setup, Trial};

const BACK_TIMEOUT: Duration = Duration::from_secs(30);

/// What no JSON reader and no text frame takes.
const RUBBISH: &[u8] = b"\xff\xfe rubbish";

/// One in every partition of every topic.
pub(super) async fn poison(ground: &mut Ground) -> Outcome {
    let mut trial = Trial::begin(ground, Setup { sockets_stay: true, ..Setup::of("poison") }).await;
    trial.goes_on(Duration::from_secs(3)).await;
    let log = trial.site.log().await;
    let record = |number| NewRecord {
        partition: Partition::new(number),
        key: u64::from(number),
        headers: Headers::default(),
        value: RUBBISH.into(),
    };
    for topic in Topic::ALL {
        log.append(topic, (0..topic.partitions(PARTITIONS)).map(record).collect()).await.unwrap();
    }
    trial.fault_ends();
    trial.is_back(BACK_TIMEOUT).await;
    trial.goes_on(Duration::from_secs(5)).await;

    let letters = everything(&*log, Topic::DeadLetters).await;
    let letters: Vec<Value> = letters.iter().filter_map(|letter| serde_json::from_slice(&letter.value).ok()).collect();
    for topic in [Topic::Events, Topic::Notifications] {
        let of_topic = letters.iter().filter(|letter| letter["topic"] == topic.name());
        let with_reason = of_topic.filter(|letter| letter["reason"].is_string()).count();
        assert_eq!(with_reason, topic.partitions(PARTITIONS) as usize, "dead letters of {topic}");
    }
    trial.held(format!("{} dead letters, each with its reason", letters.len()));
    trial.end().await
}
