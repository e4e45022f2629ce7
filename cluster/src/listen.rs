//! `peal listen`: a terminal client that prints what a user is told, and goes on where it stopped.
//!
//! What is printed is [`mod@line`]'s business, where the cursor is kept [`kept`]'s, everything about sockets the client's.

mod kept;
mod line;

use std::io;
use std::time::Duration;

use peal_proto::UserId;
use peal_proto::frame::{GapReason, Hello};
use peal_serve::Clock;
use tokio_util::sync::CancellationToken;

use self::kept::Kept;
use self::line::Style;
use crate::api::ApiError;
use crate::client::{Client, Happening, Stopped};
use crate::config::listen::Listen;
use crate::output;
use peal_serve::process::Signals;

/// Why listening ended that should not have.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The cluster could not be asked at all.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The cluster will not have this client.
    #[error("the cluster refuses user {user}: {why}")]
    Refused {
        /// Who listened.
        user: UserId,
        /// In its words.
        why: String,
    },
    /// What arrived can't be printed, or its cursor not be kept.
    #[error("what arrived can't be printed, or its cursor not be kept")]
    Output(#[from] io::Error),
}

/// `peal listen`.
///
/// # Errors
/// [`Failure`].
pub async fn run(listen: &Listen) -> Result<(), Failure> {
    let (api, stop) = (listen.which.api(), CancellationToken::new());
    let asked = tokio::spawn(asked_to_stop(Signals::take()?, stop.clone()));
    api.locate(listen.user).await?; // a cluster that is not there at the start is a mistake, later it is a wait
    let mut printer = Printer::new(listen, stop.clone());
    let cursor = listen.cursor.or(printer.kept.cursor());
    let mut client = Client::new(api, listen.user, cursor, Clock::system());
    let stopped = client.run(&stop, &mut |happening| printer.show(happening)).await;
    asked.abort();
    match stopped {
        Stopped::Asked => Ok(()),
        Stopped::Refused(why) => Err(Failure::Refused { user: listen.user, why }),
        Stopped::Handler(error) => Err(error.into()),
    }
}

async fn asked_to_stop(mut signals: Signals, stop: CancellationToken) {
    signals.next().await;
    stop.cancel();
}

/// Prints what happens, and keeps the cursor.
struct Printer {
    user: UserId,
    style: Style,
    quiet: bool,
    /// How many notifications are still wanted.
    left: Option<u64>,
    kept: Kept,
    stop: CancellationToken,
}

impl Printer {
    fn new(listen: &Listen, stop: CancellationToken) -> Self {
        let style = match (listen.json, output::is_coloured()) {
            (true, _) => Style::Json,
            (false, true) => Style::Colour,
            (false, false) => Style::Plain,
        };
        let kept = if listen.no_state { Kept::nowhere() } else { Kept::of(&listen.which.url, listen.user) };
        Self { user: listen.user, style, quiet: listen.quiet, left: listen.count, kept, stop }
    }

    fn show(&mut self, happening: Happening<'_>) -> io::Result<()> {
        match happening {
            Happening::Open { url, hello } => self.remark(|| greeting(url, &hello)),
            Happening::Notification { cursor, replaced, notification } => {
                self.notification(&line::notification(self.style, cursor, replaced, notification))?;
            }
            Happening::Gap { from, to, reason } => {
                output::line(line::gap(self.style, from, to, reason))?;
                if reason == GapReason::Generation {
                    self.kept.begin_at(to)?; // a cursor of another log hides everything of this one
                }
            }
            Happening::Keep(cursor) => self.kept.keep(cursor)?,
            Happening::Waiting { wait, why } => self.remark(|| waiting(wait, why)),
        }
        Ok(())
    }

    fn notification(&mut self, text: &str) -> io::Result<()> {
        output::line(text)?;
        if let Some(left) = &mut self.left {
            *left -= 1;
            if *left == 0 {
                self.stop.cancel();
            }
        }
        Ok(())
    }

    fn remark(&self, text: impl FnOnce() -> String) {
        if !self.quiet {
            output::remark(format!("peal: user {} {}", self.user, text()));
        }
    }
}

fn greeting(url: &str, hello: &Hello) -> String {
    format!("listens at node {} ({url}), from {}", hello.node, hello.cursor)
}

fn waiting(wait: Duration, why: &str) -> String {
    format!("is not connected ({why}); again in {:.1} s", wait.as_secs_f64())
}
