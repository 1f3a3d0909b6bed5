//! Settling: what happens on disk and on stderr when a delivery is over.

use std::fmt;

use super::tally::{self, Fate};
use super::{Delivery, Receipt, Urgency, Waited};
use crate::error::Error;
use crate::notice;

impl Delivery {
    /// Says what became of the parcel, and keeps or forgets what is on disk accordingly. Blocks.
    pub(crate) fn settle(mut self) -> Receipt {
        let receipt = match self.end.take() {
            Some(Ok(acceptance)) => {
                self.forget_waited();
                self.remember();
                let attempts = self.attempts;
                Receipt::Delivered { acceptance, attempts, refused: self.refused.take() }
            }
            Some(Err(error)) => self.keep(error),
            None => self.keep(self.refuse("the delivery was not finished")),
        };
        self.tell(&receipt);
        receipt
    }

    fn keep(&mut self, error: Error) -> Receipt {
        let attempts = self.attempts;
        if self.must_not_repeat(&error) {
            self.forget_waited();
            return Receipt::Unsure { error, attempts };
        }
        if error.is_rejected() || error.is_metric() {
            // It would be refused again, and stand in the way of what comes after it.
            if matches!(self.waited, Waited::Checked(Some(_), _)) {
                self.forget_waited();
            }
            return Receipt::Dropped { error, attempts };
        }
        let spool = self.route.spool().filter(|_| self.urgency > Urgency::Passing);
        let (Some(spool), Some(fresh)) = (spool, &self.fresh) else {
            if let (Some(spool), None) = (self.route.spool(), &self.fresh) {
                // What waited goes on waiting.
                let folder = spool.folder();
                return Receipt::Spooled { error, attempts, folder };
            }
            return Receipt::Dropped { error, attempts };
        };
        self.route.expect_drain();
        match spool.keep(fresh) {
            Ok(folder) => Receipt::Spooled { error, attempts, folder: folder.to_owned() },
            Err(disk) => {
                spool.warn(&format_args!("{disk:?}"));
                Receipt::Dropped { error, attempts }
            }
        }
    }

    fn forget_waited(&mut self) {
        if let (Waited::Checked(_, spooled), Some(spool)) = (&self.waited, self.route.spool()) {
            spool.remove(spooled);
        }
    }

    fn tell(&self, receipt: &Receipt) {
        let key = &self.key;
        if let Some(refused) = &self.refused {
            self.say(
                Fate::Reduced,
                format_args!("{refused:?}; {key} goes on without the program's own metrics"),
            );
        }
        match receipt {
            Receipt::Delivered { refused: Some(error), .. } => tally::tell(Fate::Reduced, format_args!(
                "{error:?}; the outcome of {key} was pushed without the program's own metrics"
            )),
            Receipt::Spooled { error, attempts, folder } => self.say(Fate::Waits, format_args!(
                "the outcome of {key} is not delivered yet after {}: {error:?}; it waits in {} and the next run \
                 delivers it",
                Count(*attempts),
                folder.display()
            )),
            Receipt::Unsure { error, attempts } => self.say(Fate::Lost, format_args!(
                "the outcome of {key} may not have arrived after {}: {error:?}; it is not sent again, since its gateway \
                 would add it up",
                Count(*attempts)
            )),
            Receipt::Dropped { error, attempts } => {
                let could_wait = self.has_spool() || error.is_rejected() || error.is_metric();
                let hint =
                    if could_wait { "" } else { "; METRICS_PUSH_STATE_DIR lets outcomes wait on disk" };
                self.say(Fate::Lost, format_args!(
                    "the outcome of {key} is lost after {}: {error:?}{hint}",
                    Count(*attempts)
                ));
            }
            Receipt::Delivered { attempts, .. } => {
                self.trace(&format!("acknowledged after {}", Count(*attempts)));
            }
        }
    }

    /// A person wants to know of outcomes, but not of each while a gateway is known to be down; of the rest, only who
    /// looks for it.
    fn say(&self, fate: Fate, line: fmt::Arguments<'_>) {
        let is_known = self.attempts == 0 && self.urgency < Urgency::LastWord;
        if self.urgency > Urgency::Passing && !is_known {
            tally::tell(fate, line);
        } else {
            notice::debug(line);
        }
    }
}

struct Count(u32);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("no attempt"),
            1 => f.write_str("1 attempt"),
            many => write!(f, "{many} attempts"),
        }
    }
}
