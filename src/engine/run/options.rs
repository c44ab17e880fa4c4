//! How a run is run.

use std::time::Duration;

/// How a run is run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The seed of the disturbances; `None`: threads run as the operating system schedules them.
    pub(crate) disturb: Option<u64>,
    pub(crate) deadlock_after: Duration,
    pub(crate) limit: Duration,
}

impl Default for RunOptions {
    fn default() -> Self {
        RunOptions { disturb: None, deadlock_after: Duration::from_millis(500), limit: Duration::from_secs(60) }
    }
}

impl RunOptions {
    /// No disturbances; a deadlock after 500 ms; 60 s at most.
    pub fn new() -> Self {
        Self::default()
    }

    /// Disturbs the threads at stall sites and between ops. The seed decides where a thread yields or spins.
    #[must_use]
    pub fn disturb(mut self, seed: u64) -> Self {
        self.disturb = Some(seed);
        self
    }

    /// Reports a deadlock when every thread of the run has slept this long without being switched in (default: 500 ms).
    /// Before that, threads that wait at gates are released.
    #[must_use]
    pub fn deadlock_after(mut self, time: Duration) -> Self {
        self.deadlock_after = time;
        self
    }

    /// Ends the run with [`RunError::TooLong`](super::RunError::TooLong) after this time (default: 60 s).
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }
}
