//! Who may be in flight: a seat a request, and a weight in bytes once its event is known. Nobody waits for either.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// All seats of one sort of request.
pub(crate) struct Seats {
    requests: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

impl Seats {
    pub(crate) fn new(requests_max: usize, bytes_max: usize) -> Self {
        let most = |number: usize| Arc::new(Semaphore::new(number.min(Semaphore::MAX_PERMITS)));
        Self { requests: most(requests_max), bytes: most(bytes_max) }
    }

    /// A seat, if one is left.
    pub(crate) fn take(&self) -> Option<Seat> {
        let request = Arc::clone(&self.requests).try_acquire_owned().ok()?;
        metrics::gauge!("peal_inflight_requests").increment(1);
        Some(Seat { bytes: Arc::clone(&self.bytes), _request: request, weight: None })
    }
}

/// One request in flight; gives everything back when it is dropped.
pub(crate) struct Seat {
    bytes: Arc<Semaphore>,
    _request: OwnedSemaphorePermit,
    weight: Option<OwnedSemaphorePermit>,
}

impl Seat {
    /// Takes this many bytes as well, once; `None` when there are not so many left.
    pub(super) fn weigh(&mut self, bytes: usize) -> Option<()> {
        let bytes = u32::try_from(bytes).ok()?;
        self.weight = Some(Arc::clone(&self.bytes).try_acquire_many_owned(bytes).ok()?);
        metrics::gauge!("peal_inflight_bytes").increment(bytes);
        Some(())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        metrics::gauge!("peal_inflight_requests").decrement(1);
        if let Some(weight) = &self.weight {
            let bytes = u32::try_from(weight.num_permits()).unwrap_or(u32::MAX); // taken as a u32
            metrics::gauge!("peal_inflight_bytes").decrement(bytes);
        }
    }
}
