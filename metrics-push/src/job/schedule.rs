//! The methods of `Job` that set a schedule, with the feature `schedule`.

use super::Job;

impl Job {
    /// Sets the times at which runs start: a cron expression with five fields, or a short form such as `@daily`.
    ///
    /// The fields are minute, hour, day of the month, month and day of the week. Each contains numbers, names such as
    /// `FRI`, ranges, steps and lists. A run exports the next of these times, and a success exports its deadline: the
    /// second scheduled time after it, plus [`max_runtime`](Self::max_runtime), or without one twice the duration of
    /// the run, but at least a minute. So one run may fail. Replaces [`every`](Self::every).
    ///
    /// If a time does not exist on a day on which the clocks change, the run is due at the next time that does. If it
    /// exists twice, the run is due once. An invalid expression is logged when a run starts, and the run continues without
    /// a schedule.
    ///
    /// ```
    /// use metrics_push::Job;
    /// use std::time::Duration;
    ///
    /// static REPORT: Job = Job::new("report")
    ///     .schedule("0 3 * * 1-5")
    ///     .timezone("Europe/Berlin")
    ///     .grace(Duration::from_secs(600));
    /// # let _ = REPORT.name();
    /// ```
    #[must_use]
    pub const fn schedule(mut self, expression: &'static str) -> Self {
        self.spec.schedule = Some(expression);
        self.spec.every = None;
        self
    }

    /// Sets the time zone of the [schedule](Self::schedule) by its name in the time zone database. The default is the time
    /// zone of the machine.
    ///
    /// The names are those of the machine. If the machine has no time zone database, those that this crate contains.
    #[must_use]
    pub const fn timezone(mut self, name: &'static str) -> Self {
        self.spec.timezone = name;
        self
    }
}
