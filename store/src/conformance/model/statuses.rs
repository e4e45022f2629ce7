//! Calls of the statuses and of the shard map.

use peal_proto::{Audience, CommunityId, EventId, Kind, Offset, Partition, ShardMap, Timestamp};
use proptest::prelude::*;

use crate::Stores;
use crate::status::{Origin, State, Status};

const NOW: Timestamp = Timestamp::from_millis(1_795_341_600_000);

#[derive(Debug, Clone, Copy)]
pub(super) enum StatusStep {
    Accept { event: u8 },
    Claim { event: u8, offset: u64 },
    Update { event: u8, published: u64 },
    Get { event: u8 },
    StoreMap { epoch: u64 },
    LoadMap,
}

pub(super) fn steps() -> impl Strategy<Value = StatusStep> {
    prop_oneof![
        (0..3_u8).prop_map(|event| StatusStep::Accept { event }),
        (0..3_u8, 0..3_u64).prop_map(|(event, offset)| StatusStep::Claim { event, offset }),
        (0..3_u8, 0..9_u64).prop_map(|(event, published)| StatusStep::Update { event, published }),
        (0..3_u8).prop_map(|event| StatusStep::Get { event }),
        (0..9_u64).prop_map(|epoch| StatusStep::StoreMap { epoch }),
        Just(StatusStep::LoadMap),
    ]
}

fn id(event: u8) -> EventId {
    format!("event-{event}").parse().unwrap()
}

fn status(event: u8) -> Status {
    Status {
        event: id(event),
        state: State::Accepted,
        kind: Kind::joined(),
        audience: Audience::Community(CommunityId::new(7).unwrap()),
        at: NOW,
        members: 0,
        published: 0,
        failed: 0,
        duplicates: 0,
    }
}

pub(super) async fn call(stores: &Stores, step: &StatusStep) -> String {
    let statuses = &stores.statuses;
    match *step {
        StatusStep::Accept { event } => statuses.accept(status(event)).await.unwrap(),
        StatusStep::Claim { event, offset } => {
            // An event is accepted before it can be read and claimed.
            statuses.accept(status(event)).await.unwrap();
            let origin = Origin { partition: Partition::new(1), offset: Offset::new(offset) };
            return format!("{:?}", statuses.claim(&id(event), origin, NOW).await.unwrap());
        }
        StatusStep::Update { event, published } => {
            let update = Status { state: State::Expanding, published, ..status(event) };
            statuses.update(update).await.unwrap();
        }
        StatusStep::Get { event } => return format!("{:?}", statuses.get(&id(event)).await.unwrap()),
        StatusStep::StoreMap { epoch } => {
            let map = ShardMap::new(epoch, 4, vec![format!("ws://{epoch}:7000")]).unwrap();
            return format!("{}", stores.shards.store(map).await.unwrap());
        }
        StatusStep::LoadMap => return format!("{:?}", stores.shards.load().await.unwrap()),
    }
    String::new()
}
