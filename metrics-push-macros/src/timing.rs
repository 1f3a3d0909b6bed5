//! `TimingArgs`: the arguments of `#[push_job]` that declare when its runs are due.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote_spanned};

use crate::arguments::{Arguments, StringValue};
use crate::cron;
use crate::duration::DurationValue;
use crate::errors::Errors;
use crate::tokens::generated;

pub(crate) struct TimingArgs {
    every: Option<DurationValue>,
    schedule: Option<StringValue>,
    timezone: Option<StringValue>,
    grace: Option<DurationValue>,
}

impl TimingArgs {
    pub(crate) fn parse(arguments: &mut Arguments) -> Self {
        Self {
            every: arguments.duration("every", "every = \"24h\""),
            schedule: arguments.string("schedule", "schedule = \"0 3 * * 1-5\""),
            timezone: arguments.string("timezone", "timezone = \"Europe/Berlin\""),
            grace: arguments.duration("grace", "grace = \"10m\""),
        }
    }

    pub(crate) fn check(&self, errors: &mut Errors) {
        if let Some(schedule) = &self.schedule
            && let Err(message) = cron::check(schedule.literal().as_deref())
        {
            errors.at(schedule, message);
        }
        if let (Some(schedule), Some(_)) = (&self.schedule, &self.every) {
            errors.at(schedule, "`schedule` and `every` exclude each other; remove one of the two");
        }
        if let Some(timezone) = &self.timezone {
            if self.schedule.is_none() {
                errors.at(
                    timezone,
                    "`timezone` needs `schedule`; write for example `schedule = \"0 3 * * 1-5\", timezone = \"Europe/Berlin\"`",
                );
            } else if timezone.literal().is_some_and(|name| name.trim().is_empty()) {
                errors.at(
                    timezone,
                    "invalid time zone \"\": it must not be empty; write for example `timezone = \"Europe/Berlin\"`",
                );
            }
        }
        if let (Some(grace), None, None) = (&self.grace, &self.every, &self.schedule) {
            errors.at(
                grace.written(),
                "`grace` needs `every` or `schedule`; write for example `every = \"24h\", grace = \"10m\"`",
            );
        }
    }
}

impl ToTokens for TimingArgs {
    /// Emits the calls of the methods of `Job`.
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let span = generated();
        let every = self.every.as_ref().map(|every| quote_spanned!(span=> .every(#every)));
        let schedule =
            self.schedule.as_ref().map(|schedule| quote_spanned!(span=> .schedule(#schedule)));
        let timezone = self.timezone.as_ref().map(|name| quote_spanned!(span=> .timezone(#name)));
        let grace = self.grace.as_ref().map(|grace| quote_spanned!(span=> .grace(#grace)));
        tokens.extend(quote_spanned!(span=> #every #schedule #timezone #grace));
    }
}
