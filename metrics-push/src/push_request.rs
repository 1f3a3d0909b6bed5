//! `PushRequest`: a verb, a grouping key and encoded families. It is sent, stored on disk and merged with others.
//!
//! Merging follows the Pushgateway's own rules: sending the merged request leaves a group as sending both in turn
//! would. This file is the only one that implements the rule; the dispatcher, the batch buffer and the spool use it.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::checksum::checksum_of;
use crate::clock::Moment;
use crate::error::{Error, Kind};
use crate::finished_run::FinishedRun;
use crate::labels::GroupingKey;
use crate::metrics::{Registry, RegistrySource, Snapshot, gauge_text};
use crate::ordered_map::ordered_map;

/// How a request changes its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Replaces the whole group.
    Push,
    /// Replaces the families of the same name and leaves the others.
    Add,
    /// Deletes the group.
    Delete,
}

impl Verb {
    /// Returns the verb as one lowercase word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Add => "add",
            Self::Delete => "delete",
        }
    }

    /// Returns the verb with this word, the reverse of [`as_str`](Self::as_str).
    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Push, Self::Add, Self::Delete].into_iter().find(|verb| verb.as_str() == word)
    }

    /// Returns the verb of two requests merged into one, and which families the merged request has.
    const fn merge(self, later: Self) -> (Self, MergedFamilies) {
        match (self, later) {
            (Self::Push | Self::Add, Self::Add) => (self, MergedFamilies::Both),
            (Self::Delete, Self::Add) => (Self::Push, MergedFamilies::LaterOnly),
            (_, Self::Push | Self::Delete) => (later, MergedFamilies::LaterOnly),
        }
    }
}

/// The families of two requests merged into one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MergedFamilies {
    /// The families of both requests. Of two families with the same name, the later one.
    Both,
    LaterOnly,
}

/// Complete metric families in the text format, by name.
pub(crate) type Families = BTreeMap<String, String>;

/// Adds a gauge with one series and no labels. The name must be valid.
pub(crate) fn insert_gauge(families: &mut Families, name: &str, help: &str, value: f64) {
    families.insert(name.to_owned(), gauge_text(name, help, value));
}

/// Gathers registries within half of `timeout`. The other half remains for the delivery.
pub(crate) fn gather_within(
    timeout: Duration,
    registries: impl IntoIterator<Item = RegistrySource>,
) -> Snapshot {
    let deadline = Moment::now().after(timeout / 2);
    let mut snapshot = Snapshot::default();
    for registry in registries {
        // A registry that takes too long leaves time for the others.
        snapshot.merge(Snapshot::gather(&registry, deadline.remaining() / 2));
    }
    snapshot
}

/// Gathers registries for a push to the group of `key`.
///
/// # Errors
/// `is_metric` if a metric cannot be encoded, a registry cannot be gathered in time, or no registry has a metric.
pub(crate) fn gather<'a>(
    key: &GroupingKey,
    registries: impl IntoIterator<Item = &'a Registry>,
    timeout: Duration,
) -> Result<Snapshot, Error> {
    let registries = registries.into_iter().cloned().map(RegistrySource::Own);
    let mut snapshot = gather_within(timeout, registries);
    snapshot.reject_labels_of(key);
    if let Some(rejection) = snapshot.rejections().first() {
        return Err(Error::from(rejection.clone()).at("group", key));
    }
    if snapshot.is_empty() {
        // A push without a body silently deletes all metrics of the group.
        return Err(Error::new(Kind::Metric, "the push has no metrics")
            .at("group", key)
            .remedy("register a metric first; to empty a group, delete it"));
    }
    Ok(snapshot)
}

/// The prefix of the families that describe a run. All others are the program's own.
const OUTCOME_PREFIX: &str = "batch_job_";

/// Returns true if this library exports the family about a run; false for the program's own metrics.
pub(crate) fn is_outcome_family(name: &str) -> bool {
    name.starts_with(OUTCOME_PREFIX)
}

/// Returns true if the family is about the delivery of a request. Its value can differ between two attempts.
pub(crate) fn is_delivery_family(name: &str) -> bool {
    ["batch_job_push_", "batch_job_spool_"].iter().any(|prefix| name.starts_with(prefix))
}
pub(crate) const LAST_START: &str = "batch_job_last_start_timestamp_seconds";
pub(crate) const LAST_COMPLETION: &str = "batch_job_last_completion_timestamp_seconds";
pub(crate) const LAST_SUCCESS: &str = "batch_job_last_success_timestamp_seconds";
pub(crate) const LAST_FAILURE: &str = "batch_job_last_failure_timestamp_seconds";
pub(crate) const LAST_ABANDONED: &str = "batch_job_last_abandoned_timestamp_seconds";
pub(crate) const LAST_SKIPPED: &str = "batch_job_last_skipped_timestamp_seconds";

/// When the first run started that has failed since the last success.
pub(crate) const FAILING_SINCE: &str = "batch_job_failing_since_timestamp_seconds";

/// Returns true if the family is the time of an event of a run, which only increases. The time when the next run is due is
/// in the future, and a changed schedule can make it earlier. A success removes the start of a streak of failures.
pub(crate) fn is_event_time(name: &str) -> bool {
    is_outcome_family(name)
        && name.ends_with("_timestamp_seconds")
        && ![FAILING_SINCE, "batch_job_next_run_timestamp_seconds"].contains(&name)
}

/// Returns true if the family describes details of a run, such as its stages. Its size depends on the program.
fn is_detail(name: &str) -> bool {
    is_outcome_family(name) && !is_event_time(name) && !name.starts_with("batch_job_last_run_")
}

/// The timestamps of a group that outlive its pushes.
pub(crate) const RETAINED_FAMILIES: [&str; 4] =
    [LAST_SUCCESS, LAST_FAILURE, LAST_ABANDONED, LAST_SKIPPED];

/// Returns true if a push that does not contain the family must not remove it.
pub(crate) fn is_retained_family(name: &str) -> bool {
    RETAINED_FAMILIES.contains(&name)
}

/// The total of one family over all runs of a group.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Total {
    /// When the total was zero, in milliseconds since the Unix epoch.
    pub(crate) since: u64,
    /// The family in the text format.
    pub(crate) text: String,
}

/// Totals over runs, by family.
pub(crate) type Totals = BTreeMap<String, Total>;

/// Returns totals with the same names whose values are unknown.
pub(crate) fn unknown_totals(totals: &Totals) -> Totals {
    ordered_map(
        totals
            .iter()
            .map(|(name, total)| (name.clone(), Total { since: total.since, text: String::new() })),
    )
}

/// A run that a request reports, for the history of its group.
#[derive(Debug, PartialEq)]
pub(crate) struct RunEnding {
    pub(crate) run: FinishedRun,
    /// What the run has counted: the families that add up over runs.
    pub(crate) counted: Families,
}

/// One request to a sink. Clones share the families.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PushRequest {
    verb: Verb,
    key: GroupingKey,
    families: Arc<Families>,
    /// When the newest part was created, in milliseconds since the Unix epoch.
    created_at: u64,
    /// The runs that the request reports, in the order of their ends. They are not stored in the spool.
    endings: Vec<Arc<RunEnding>>,
    /// The times of earlier runs, for a group that has no newer ones. They are not stored in the spool.
    retained: Families,
}

impl PushRequest {
    pub(crate) fn push(key: GroupingKey, families: Families) -> Self {
        Self::with_created_at(Moment::now().unix_millis(), Verb::Push, key, families)
    }

    pub(crate) fn add(key: GroupingKey, families: Families) -> Self {
        Self::with_created_at(Moment::now().unix_millis(), Verb::Add, key, families)
    }

    pub(crate) fn delete(key: GroupingKey) -> Self {
        Self::with_created_at(Moment::now().unix_millis(), Verb::Delete, key, Families::new())
    }

    /// Restores a request that was created earlier.
    pub(crate) fn with_created_at(
        created_at: u64,
        verb: Verb,
        key: GroupingKey,
        families: Families,
    ) -> Self {
        let (families, endings, retained) = (Arc::new(families), Vec::new(), Families::new());
        Self { verb, key, families, created_at, endings, retained }
    }

    /// Sets the times of earlier runs.
    #[cfg_attr(not(feature = "kafka"), expect(dead_code, reason = "only messages contain them"))]
    pub(crate) fn set_retained(&mut self, retained: Families) {
        self.retained = retained;
    }

    /// Takes the times of earlier runs.
    #[cfg_attr(not(feature = "kafka"), expect(dead_code, reason = "only messages contain them"))]
    pub(crate) fn take_retained(&mut self) -> Families {
        std::mem::take(&mut self.retained)
    }

    /// Returns the times of earlier runs.
    pub(crate) fn retained(&self) -> &Families {
        &self.retained
    }

    /// Adds a run that the request reports.
    pub(crate) fn reporting(mut self, ending: Arc<RunEnding>) -> Self {
        self.endings.push(ending);
        self
    }

    pub(crate) fn endings(&self) -> &[Arc<RunEnding>] {
        &self.endings
    }

    /// Adds families and replaces those with the same name.
    pub(crate) fn insert(&mut self, families: Families) {
        if families.is_empty() {
            // The families may be shared; a change would copy all of them.
            return;
        }
        Arc::make_mut(&mut self.families).extend(families);
    }

    /// Adds the families whose name the request does not have yet.
    pub(crate) fn insert_missing(&mut self, families: &Families) {
        let missing = families.iter().filter(|(name, _)| !self.families.contains_key(*name));
        self.insert(ordered_map(missing.map(|(name, text)| (name.clone(), text.clone()))));
    }

    pub(crate) fn verb(&self) -> Verb {
        self.verb
    }

    pub(crate) fn key(&self) -> &GroupingKey {
        &self.key
    }

    pub(crate) fn families(&self) -> &Families {
        &self.families
    }

    pub(crate) fn created_at(&self) -> u64 {
        self.created_at
    }

    /// Returns the size of the metrics in bytes.
    pub(crate) fn size(&self) -> usize {
        self.families.values().map(String::len).sum()
    }

    /// Turns the request into an add of the families that `keep` selects; `None` if it selects none.
    pub(crate) fn retain_as_add(
        mut self,
        mut keep: impl FnMut(&str, &str) -> bool,
    ) -> Option<Self> {
        Arc::make_mut(&mut self.families).retain(|name, text| keep(name, text));
        (!self.families.is_empty()).then_some(Self { verb: Verb::Add, ..self })
    }

    /// Returns an add of only the outcome families; `None` if the request has no outcome families or no others.
    pub(crate) fn outcome_only(&self) -> Option<Self> {
        let is_mixed = self.families.keys().any(|name| !is_outcome_family(name));
        is_mixed.then(|| self.clone().retain_as_add(|name, _| is_outcome_family(name))).flatten()
    }

    pub(crate) fn has_outcome(&self) -> bool {
        self.families.keys().any(|name| is_outcome_family(name))
    }

    /// Returns the request without the program's own metrics; `None` if it has no outcome families.
    pub(crate) fn outcome(&self) -> Option<Self> {
        self.outcome_only().or_else(|| self.has_outcome().then(|| self.clone()))
    }

    /// Returns the exposition: all families, ordered by name.
    pub(crate) fn body(&self) -> String {
        Payload::from(self).body()
    }

    /// Merges `later` into this request. Both are for the same group.
    pub(crate) fn merge(&mut self, mut later: Self) {
        debug_assert_eq!(self.key, later.key);
        self.created_at = self.created_at.max(later.created_at);
        self.endings.append(&mut later.endings);
        let (verb, families) = self.verb.merge(later.verb);
        self.verb = verb;
        match families {
            MergedFamilies::Both => {
                Arc::make_mut(&mut self.families).append(Arc::make_mut(&mut later.families));
                self.retained.append(&mut later.retained);
            }
            MergedFamilies::LaterOnly => {
                (self.families, self.retained) = (later.families, later.retained);
            }
        }
    }

    /// Returns true if a group is the same after both requests, whichever of them the sink applies last.
    pub(crate) fn commutes(&self, other: &Self) -> bool {
        let one_last = other.clone().merged_with(self.clone());
        let other_last = self.clone().merged_with(other.clone());
        (one_last.verb, one_last.families) == (other_last.verb, other_last.families)
    }

    /// Returns this request with `later` [merged](Self::merge) into it.
    pub(crate) fn merged_with(mut self, later: Self) -> Self {
        self.merge(later);
        self
    }
}

/// The text of a family, and the families of a request that contain it.
#[derive(Clone, Copy, Debug)]
struct FamilyText<'a> {
    text: &'a str,
    owner: Option<&'a Arc<Families>>,
}

/// Families smaller than this are copied to the body of a request, so that they are sent together.
const MIN_SHARED_SIZE: usize = 64 * 1024;

/// A part of an exposition, for a thread that outlives the payload.
#[derive(Debug)]
pub(crate) enum BodyPart {
    Copied(String),
    /// The text of a family that is also in a request.
    Shared {
        families: Arc<Families>,
        name: String,
    },
}

impl AsRef<[u8]> for BodyPart {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Copied(text) => text.as_bytes(),
            Self::Shared { families, name } => {
                families.get(name).map(String::as_bytes).unwrap_or_default()
            }
        }
    }
}

/// The content of one attempt: families from several requests, with one verb and key. It borrows the text of all
/// families.
#[derive(Clone, Debug)]
pub(crate) struct Payload<'a> {
    verb: Verb,
    key: &'a GroupingKey,
    families: BTreeMap<&'a str, FamilyText<'a>>,
    /// The names of the families that are not part of a request.
    added: BTreeSet<&'a str>,
    created_at: u64,
    /// The earliest time of samples, in milliseconds since the Unix epoch.
    earliest: u64,
    totals_before: Option<&'a Totals>,
}

impl<'a> From<&'a PushRequest> for Payload<'a> {
    fn from(request: &'a PushRequest) -> Self {
        Self {
            verb: request.verb,
            key: &request.key,
            families: ordered_map(shared(&request.families)),
            added: BTreeSet::new(),
            created_at: request.created_at,
            earliest: 0,
            totals_before: None,
        }
    }
}

impl<'a> Payload<'a> {
    /// Sets the earliest time of the samples: they are newer than this moment.
    pub(crate) fn after(self, moment: Option<Moment>) -> Self {
        Self { earliest: moment.map_or(0, |moment| moment.unix_millis() + 1), ..self }
    }

    /// Sets the totals over runs as they were before the runs that the payload reports.
    pub(crate) fn with_totals_before(self, totals: &'a Totals) -> Self {
        Self { totals_before: Some(totals), ..self }
    }

    /// Returns the total over runs of a family as it was before the runs that the payload reports; `None` if the family is
    /// not a total. The text is empty if the total is unknown.
    pub(crate) fn total_before(&self, name: &str) -> Option<&'a Total> {
        self.totals_before?.get(name)
    }

    /// Returns true if the total before the runs is known for a family of the payload.
    pub(crate) fn has_totals_before(&self) -> bool {
        let mut totals = self.families.keys().filter_map(|name| self.total_before(name));
        totals.any(|total| !total.text.is_empty())
    }

    /// Returns the totals of the payload, as if they were unknown before the runs.
    pub(crate) fn unknown_totals_before(&self) -> Totals {
        self.totals_before.map(unknown_totals).unwrap_or_default()
    }

    pub(crate) fn verb(&self) -> Verb {
        self.verb
    }

    pub(crate) fn key(&self) -> &'a GroupingKey {
        self.key
    }

    /// Returns name and text of each family, ordered by name.
    pub(crate) fn families(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.families.iter().map(|(name, family)| (*name, family.text))
    }

    pub(crate) fn has_family(&self, name: &str) -> bool {
        self.families.contains_key(name)
    }

    pub(crate) fn has_outcome(&self) -> bool {
        self.families.keys().any(|name| is_outcome_family(name))
    }

    pub(crate) fn created_at(&self) -> u64 {
        self.created_at
    }

    /// Returns the earliest time of samples, in milliseconds since the Unix epoch.
    pub(crate) fn earliest(&self) -> u64 {
        self.earliest
    }

    /// Merges a request by the rules of [`PushRequest::merge`], without copying its families.
    pub(crate) fn merge(&mut self, later: &'a PushRequest) {
        self.created_at = self.created_at.max(later.created_at);
        let (verb, families) = self.verb.merge(later.verb);
        self.verb = verb;
        if families == MergedFamilies::LaterOnly {
            self.families.clear();
        }
        self.families.extend(shared(&later.families));
    }

    /// Adds families and replaces those with the same name.
    pub(crate) fn insert(&mut self, families: &'a Families) {
        self.families.extend(borrow(families));
        self.added.extend(families.keys().map(String::as_str));
    }

    /// Adds the families whose name the payload does not have yet.
    pub(crate) fn insert_missing(&mut self, families: &'a Families) {
        for (name, text) in borrow(families) {
            if let Entry::Vacant(entry) = self.families.entry(name) {
                entry.insert(text);
                self.added.insert(name);
            }
        }
    }

    /// Returns the names of the times of earlier runs that were added to the payload.
    #[cfg_attr(not(feature = "kafka"), expect(dead_code, reason = "only messages contain them"))]
    pub(crate) fn retained_names(&self) -> impl Iterator<Item = &'a str> {
        let is_present = |name: &&str| self.families.contains_key(name);
        self.added.iter().copied().filter(is_present).filter(|name| is_retained_family(name))
    }

    /// Returns a number that identifies the request: the same for each attempt to send it, in every process. If it contains
    /// only the end of a run, this is [`run_id`](Self::run_id).
    #[cfg_attr(not(feature = "kafka"), expect(dead_code, reason = "only messages have ids"))]
    pub(crate) fn id(&self) -> u128 {
        let has_others = || self.own_families().any(|(name, _)| !is_outcome_family(name));
        self.run_id().filter(|_| !has_others()).unwrap_or_else(|| {
            let (path, created_at) = (self.key.url_path(), self.created_at.to_string());
            let own = self.own_families().flat_map(|(name, text)| [name, text]);
            id_of([self.verb.as_str(), &path, &created_at].into_iter().chain(own))
        })
    }

    /// Returns a number that identifies the run whose end the payload reports; `None` if it reports none. If a process is killed
    /// before it receives the response of the sink, the next one reports the end again, without the program's own metrics.
    pub(crate) fn run_id(&self) -> Option<u128> {
        let own = |name| self.families.get(name).filter(|_| !self.added.contains(name));
        let (started, completed) = (own(LAST_START)?.text, own(LAST_COMPLETION)?.text);
        Some(id_of([&*self.key.url_path(), started, completed]))
    }

    /// Returns the families of requests.
    fn own_families(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.families().filter(|(name, _)| !self.added.contains(name))
    }

    /// Returns an add of only the outcome families; `None` if the payload has no outcome families or no others.
    pub(crate) fn outcome_only(&self) -> Option<Self> {
        let outcome = self.selected(|name, _| is_outcome_family(name));
        let is_mixed = !outcome.is_empty() && outcome.len() < self.families.len();
        is_mixed.then(|| Self { verb: Verb::Add, families: outcome, ..self.clone() })
    }

    /// Returns true if the payload has no family of the program.
    pub(crate) fn has_only_outcome(&self) -> bool {
        self.families.keys().all(|name| is_outcome_family(name))
    }

    /// Returns the payload without its largest family that describes details of a run; `None` if it has none.
    pub(crate) fn without_largest_detail(mut self) -> Option<Self> {
        let details = self.families.iter().filter(|(name, _)| is_detail(name));
        let (largest, _) = details.max_by_key(|(_, family)| family.text.len())?;
        let largest = *largest;
        self.families.remove(largest);
        Some(self)
    }

    /// Splits the payload, which has several families, into two adds: of the program's own metrics and of the outcome, else
    /// in the middle.
    pub(crate) fn split(self) -> [Self; 2] {
        let is_mixed =
            self.has_outcome() && self.families().any(|(name, _)| !is_outcome_family(name));
        let middle = self.families.keys().nth(self.families.len() / 2).copied().unwrap_or_default();
        let is_last = |name: &str| if is_mixed { is_outcome_family(name) } else { name < middle };
        let (last, first) = self.families.iter().partition(|(name, _)| is_last(name));
        [first, last].map(|families| Self { verb: Verb::Add, families, ..self.clone() })
    }

    /// Returns an add of the families that `keep` selects, as if it was created at this time; `None` if it selects none.
    pub(crate) fn retain_at(
        &self,
        created_at: u64,
        keep: impl Fn(&str, &str) -> bool,
    ) -> Option<Self> {
        let families = self.selected(keep);
        let is_empty = families.is_empty();
        (!is_empty).then(|| Self { verb: Verb::Add, families, created_at, ..self.clone() })
    }

    fn selected(&self, keep: impl Fn(&str, &str) -> bool) -> BTreeMap<&'a str, FamilyText<'a>> {
        let families = self.families.iter().map(|(name, family)| (*name, *family));
        ordered_map(families.filter(|(name, family)| keep(name, family.text)))
    }

    /// Copies the payload to a request.
    pub(crate) fn to_request(&self) -> PushRequest {
        let families = ordered_map(self.families().map(|(name, text)| (name.into(), text.into())));
        PushRequest::with_created_at(self.created_at, self.verb, self.key.clone(), families)
    }

    /// Returns the exposition: all families, ordered by name.
    pub(crate) fn body(&self) -> String {
        let mut body = String::with_capacity(self.families().map(|(_, text)| text.len()).sum());
        for (_, text) in self.families() {
            body.push_str(text);
        }
        body
    }

    /// Returns the exposition in parts. The large families of requests are not copied.
    pub(crate) fn body_parts(&self) -> Vec<BodyPart> {
        let (mut parts, mut copied) = (Vec::new(), String::new());
        for (name, FamilyText { text, owner }) in &self.families {
            match owner {
                Some(families) if text.len() >= MIN_SHARED_SIZE => {
                    parts.push(BodyPart::Copied(std::mem::take(&mut copied)));
                    let (families, name) = (Arc::clone(families), (*name).to_owned());
                    parts.push(BodyPart::Shared { families, name });
                }
                _ => copied.push_str(text),
            }
        }
        parts.push(BodyPart::Copied(copied));
        parts.retain(|part| !part.as_ref().is_empty());
        parts
    }
}

fn borrow(families: &Families) -> impl Iterator<Item = (&str, FamilyText<'_>)> {
    families.iter().map(|(name, text)| (name.as_str(), FamilyText { text, owner: None }))
}

/// Borrows the families of a request.
fn shared(families: &Arc<Families>) -> impl Iterator<Item = (&str, FamilyText<'_>)> {
    borrow(families)
        .map(move |(name, family)| (name, FamilyText { owner: Some(families), ..family }))
}

/// Returns the checksum of texts.
fn id_of<'a>(texts: impl IntoIterator<Item = &'a str>) -> u128 {
    // No text contains the separator.
    let parts: Vec<_> = texts.into_iter().flat_map(|it| [it.as_bytes(), &b"\0"[..]]).collect();
    checksum_of(&parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A group as the gateway stores it; absent before the first push and after a delete.
    type Group = Option<Families>;

    fn apply(group: Group, request: &PushRequest) -> Group {
        match request.verb {
            Verb::Push => Some(request.families().clone()),
            Verb::Add => {
                let mut families = group.unwrap_or_default();
                families.extend(request.families().clone());
                Some(families)
            }
            Verb::Delete => None,
        }
    }

    fn key() -> GroupingKey {
        GroupingKey::new("job").unwrap()
    }

    fn any_families() -> impl Strategy<Value = Families> {
        proptest::collection::btree_map("[abc]", "[0-9]", 1..4)
    }

    fn any_request() -> impl Strategy<Value = PushRequest> {
        prop_oneof![
            any_families().prop_map(|families| PushRequest::push(key(), families)),
            any_families().prop_map(|families| PushRequest::add(key(), families)),
            Just(PushRequest::delete(key())),
        ]
    }

    proptest! {
        #[test]
        fn merge_has_the_effect_of_both_requests_in_turn(
            group in proptest::option::of(any_families()),
            requests in proptest::collection::vec(any_request(), 1..8),
        ) {
            let in_turn = requests.iter().fold(group.clone(), apply);
            let merged = requests.into_iter().reduce(PushRequest::merged_with).unwrap();
            prop_assert_eq!(apply(group, &merged), in_turn);
        }

        #[test]
        fn requests_that_commute_have_one_result(
            group in proptest::option::of(any_families()),
            one in any_request(),
            other in any_request(),
        ) {
            let one_last = apply(apply(group.clone(), &other), &one);
            let other_last = apply(apply(group, &one), &other);
            prop_assert!(!one.commutes(&other) || one_last == other_last);
            prop_assert_eq!(one.commutes(&other), other.commutes(&one));
            prop_assert!(one.commutes(&one));
        }

        #[test]
        fn payload_merges_like_a_request(earlier in any_request(), later in any_request()) {
            let mut payload = Payload::from(&earlier);
            payload.merge(&later);
            let merged = earlier.clone().merged_with(later.clone());
            prop_assert_eq!((payload.verb(), payload.body()), (merged.verb(), merged.body()));
        }
    }

    fn named(names: &[&str]) -> Families {
        names.iter().map(|name| ((*name).to_owned(), format!("{name} 1\n"))).collect()
    }

    #[test]
    fn outcome_only_drops_the_metrics_of_the_program() {
        let mixed = PushRequest::push(key(), named(&["batch_job_info", "rows"]));
        let alone = mixed.outcome_only().unwrap();
        assert_eq!((alone.verb(), alone.body().as_str()), (Verb::Add, "batch_job_info 1\n"));
        let payload = Payload::from(&mixed).outcome_only().unwrap();
        assert_eq!((payload.verb(), payload.body().as_str()), (Verb::Add, "batch_job_info 1\n"));
        for names in [&["batch_job_info"][..], &["rows"]] {
            let request = PushRequest::push(key(), named(names));
            assert_eq!(request.outcome_only(), None);
            assert!(Payload::from(&request).outcome_only().is_none());
        }
    }

    #[test]
    fn payload_inserts_over_and_under_its_families() {
        let (over, under) = (named(&["b"]), [("a".to_owned(), "a 2\n".to_owned())].into());
        let request = PushRequest::push(
            key(),
            [("a", "a 1\n"), ("b", "b 0\n")].map(|(n, t)| (n.into(), t.into())).into(),
        );
        let mut payload = Payload::from(&request);
        payload.insert(&over);
        payload.insert_missing(&under);
        assert_eq!(payload.body(), "a 1\nb 1\n");
    }

    #[test]
    fn body_parts_share_large_families() {
        let large = format!("b{{v=\"{}\"}} 1\n", "x".repeat(MIN_SHARED_SIZE));
        let families = [("a", "a 1\n"), ("b", &large), ("c", "c 1\n"), ("d", "d 1\n")];
        let families = families.map(|(name, text)| (name.to_owned(), text.to_owned()));
        let request = PushRequest::push(key(), families.into());
        let payload = Payload::from(&request);
        let parts = payload.body_parts();
        let texts: Vec<&[u8]> = parts.iter().map(AsRef::as_ref).collect();
        assert_eq!(texts.concat(), request.body().as_bytes());
        assert_eq!(texts.iter().map(|text| text.len()).collect::<Vec<_>>(), [4, large.len(), 8]);
        assert_eq!(texts[1].as_ptr(), request.families()["b"].as_ptr());
        let (added, empty) = (request.families().clone(), PushRequest::delete(key()));
        let mut copied = Payload::from(&empty);
        assert!(copied.body_parts().is_empty());
        copied.insert(&added);
        assert_eq!(copied.body_parts().len(), 1);
    }

    #[test]
    fn body_has_the_families_ordered_by_name() {
        let families = [("b", "b 1\n"), ("a", "a 1\n")].map(|(n, t)| (n.into(), t.into()));
        assert_eq!(PushRequest::push(key(), families.into()).body(), "a 1\nb 1\n");
    }
}
