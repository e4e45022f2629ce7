//! A failure of the engine's own threads, which nobody would be told of if the writer waited for them.

use std::collections::BTreeMap;

use crate::full::{append_many, hold_answered};
use crate::{open, runtime};

#[test]
fn an_engine_that_cannot_write_tables_out_is_told_and_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let stores = open(directory.path());
        let log = stores.stores().log;
        let keyspaces = directory.path().join("database/keyspaces");
        for keyspace in 1..=3 {
            std::fs::remove_dir(keyspaces.join(format!("{keyspace}/tables"))).unwrap();
        }
        let (mut answered, mut refused) = (BTreeMap::new(), Vec::new());
        for start in (0..).step_by(1_000) {
            let (more, errors) = append_many(&log, start..start + 1_000).await;
            answered.extend(more);
            refused.extend(errors);
            if !refused.is_empty() {
                break;
            }
        }
        assert!(refused[0].contains(directory.path().to_str().unwrap()), "{refused:?}");
        hold_answered(&log, &answered).await;
        for keyspace in 1..=3 {
            std::fs::create_dir(keyspaces.join(format!("{keyspace}/tables"))).unwrap();
        }
        while append_many(&log, 999_999..1_000_000).await.0.is_empty() {}
        hold_answered(&log, &answered).await;
        drop((log, stores));
        hold_answered(&open(directory.path()).stores().log, &answered).await;
    });
}
