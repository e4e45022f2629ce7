//! The wall clock of publisher and nodes jumps.

use std::time::Duration;

use crate::parts::clock::JumpingClock;
use crate::real::until;
use crate::trial::{Ground, Outcome, Setup, Trial};

const HOUR: i64 = 3_600;
const BACK_TIMEOUT: Duration = Duration::from_secs(30);

/// An hour ahead, then an hour behind, then home.
pub(super) async fn jumps(ground: &mut Ground) -> Outcome {
    let clock = JumpingClock::new();
    let setup = Setup { env: clock.env(), sockets_stay: true, ..Setup::of("clock_jumps") };
    let mut trial = Trial::begin(ground, setup).await;
    for seconds in [HOUR, -HOUR, 0] {
        trial.goes_on(Duration::from_secs(3)).await;
        clock.jump(seconds);
        trial.fault_ends();
        trial.is_back(BACK_TIMEOUT).await;
        trial.goes_on(Duration::from_secs(5)).await;
        let word = format!(r#""clock_ahead_seconds":{}"#, digits(seconds));
        let named = async || trial.site.all_nodes_say(&word).await;
        until("the nodes name how far their clock is off", BACK_TIMEOUT, named).await;
        if seconds != 0 {
            let way = if seconds > 0 { "s ahead of" } else { "s behind" };
            trial.is_warned(way).await;
        }
    }
    trial.held("each node named how far its clock was off, and when it was right again");
    trial.end().await
}

/// How the number begins that the nodes say: it is read some moments after it was measured, and may be a second less.
fn digits(seconds: i64) -> &'static str {
    match seconds {
        0 => "0}",
        1.. => "3",
        _ => "-3",
    }
}
