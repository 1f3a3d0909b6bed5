//! Parcel: verb, grouping key and encoded families; what is sent, waits and is merged.
//!
//! The merge rule is the gateway's own: applying the merged parcel leaves a group as applying both in
//! turn would. It is the one place that knows it; everything that lets parcels wait uses it.

use std::collections::BTreeMap;

use crate::clock::Moment;
use crate::error::{Error, Kind};
use crate::labels::GroupingKey;
use crate::metrics::{Registry, Snapshot, write_family};

/// What a parcel does to its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Replaces the whole group.
    Push,
    /// Replaces the families of the same name and keeps the others.
    Add,
    /// Removes the group.
    Delete,
}

impl Verb {
    /// The verb in one lowercase word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Add => "add",
            Self::Delete => "delete",
        }
    }
}

/// Families by name, each whole and in the text format.
pub(crate) type Families = BTreeMap<String, String>;

/// The families of a snapshot, each in the text format.
pub(crate) fn encode(snapshot: &Snapshot) -> Families {
    let encoded = snapshot.families().map(|family| {
        let mut text = String::new();
        write_family(family, &mut text);
        (family.name().to_owned(), text)
    });
    encoded.collect()
}

/// What a push of these registries has to tell this group, or why it can't.
///
/// # Errors
/// `is_metric`, if a metric can't go on the wire, or there is none.
pub(crate) fn gather<'a>(
    key: &GroupingKey,
    registries: impl IntoIterator<Item = &'a Registry>,
) -> Result<Snapshot, Error> {
    let mut snapshot = Snapshot::default();
    for registry in registries {
        snapshot.merge(Snapshot::gather(registry));
    }
    snapshot.reject_labels_of(key);
    if let Some(rejection) = snapshot.rejections().first() {
        return Err(Error::from(rejection.clone()).at("group", key));
    }
    if snapshot.families().len() == 0 {
        // An empty push is a silent deletion.
        return Err(Error::new(Kind::Metric, "there is nothing to push")
            .at("group", key)
            .remedy("give it a metric; to empty a group, delete it"));
    }
    Ok(snapshot)
}

/// What the names of the families that tell a run's outcome begin with.
const OUTCOME_PREFIX: &str = "batch_job_";

/// Whether a family tells of a run, and not of what the run did.
pub(crate) fn tells_outcome(family: &str) -> bool {
    family.starts_with(OUTCOME_PREFIX)
}

/// One request to a sink, not yet sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parcel {
    verb: Verb,
    key: GroupingKey,
    families: Families,
    /// When its newest part was made, in milliseconds since the Unix epoch.
    made: u64,
}

impl Parcel {
    pub(crate) fn push(key: GroupingKey, families: Families) -> Self {
        Self::made_at(Moment::now().unix_millis(), Verb::Push, key, families)
    }

    pub(crate) fn add(key: GroupingKey, families: Families) -> Self {
        Self::made_at(Moment::now().unix_millis(), Verb::Add, key, families)
    }

    pub(crate) fn delete(key: GroupingKey) -> Self {
        Self::made_at(Moment::now().unix_millis(), Verb::Delete, key, Families::new())
    }

    /// A parcel as it was once made.
    pub(crate) fn made_at(made: u64, verb: Verb, key: GroupingKey, families: Families) -> Self {
        Self { verb, key, families, made }
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

    pub(crate) fn made(&self) -> u64 {
        self.made
    }

    /// The same, with these families in place of those of the same name.
    pub(crate) fn with(mut self, families: Families) -> Self {
        self.families.extend(families);
        self
    }

    /// An addition of those families that pass; `None`, if nothing is left to add.
    pub(crate) fn adding_only(mut self, mut keep: impl FnMut(&str, &str) -> bool) -> Option<Self> {
        self.families.retain(|name, text| keep(name, text));
        (!self.families.is_empty()).then_some(Self { verb: Verb::Add, ..self })
    }

    pub(crate) fn tells_outcome(&self) -> bool {
        self.families.keys().any(|name| tells_outcome(name))
    }

    /// What tells the outcome, without anything that could keep it from being accepted; `None`, if there is no
    /// outcome, or nothing else.
    pub(crate) fn outcome_alone(&self) -> Option<Self> {
        let is_mixed = self.families.keys().any(|name| !tells_outcome(name));
        is_mixed.then(|| self.clone().adding_only(|name, _| tells_outcome(name))).flatten()
    }

    /// The exposition: all families, in the order of their names.
    pub(crate) fn body(&self) -> String {
        let mut body = String::with_capacity(self.families.values().map(String::len).sum());
        for family in self.families.values() {
            body.push_str(family);
        }
        body
    }

    /// The one parcel that does what `self` and then `later` would.
    ///
    /// Both are for the same group.
    pub(crate) fn then(mut self, later: Self) -> Self {
        self.join(later);
        self
    }

    /// [`then`](Self::then), in place.
    pub(crate) fn join(&mut self, mut later: Self) {
        debug_assert_eq!(self.key, later.key);
        self.made = self.made.max(later.made);
        match (self.verb, later.verb) {
            (Verb::Push | Verb::Add, Verb::Add) => self.families.append(&mut later.families),
            (Verb::Delete, Verb::Add) => (self.verb, self.families) = (Verb::Push, later.families),
            (_, Verb::Push | Verb::Delete) => {
                (self.verb, self.families) = (later.verb, later.families);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A group as the gateway keeps it; absent before the first push and after a delete.
    type Group = Option<Families>;

    fn apply(group: Group, parcel: &Parcel) -> Group {
        match parcel.verb {
            Verb::Push => Some(parcel.families.clone()),
            Verb::Add => {
                let mut families = group.unwrap_or_default();
                families.extend(parcel.families.clone());
                Some(families)
            }
            Verb::Delete => None,
        }
    }

    fn families() -> impl Strategy<Value = Families> {
        proptest::collection::btree_map("[abc]", "[0-9]", 1..4)
    }

    fn parcel() -> impl Strategy<Value = Parcel> {
        let key = || GroupingKey::new("job").unwrap();
        prop_oneof![
            families().prop_map(move |families| Parcel::push(key(), families)),
            families().prop_map(move |families| Parcel::add(key(), families)),
            Just(Parcel::delete(key())),
        ]
    }

    proptest! {
        #[test]
        fn merged_parcels_do_what_they_would_do_in_turn(
            group in proptest::option::of(families()),
            parcels in proptest::collection::vec(parcel(), 1..8),
        ) {
            let in_turn = parcels.iter().fold(group.clone(), apply);
            let merged = parcels.into_iter().reduce(Parcel::then).unwrap();
            prop_assert_eq!(apply(group, &merged), in_turn);
        }
    }

    #[test]
    fn the_outcome_can_go_alone() {
        let key = || GroupingKey::new("job").unwrap();
        let families = |names: &[&str]| -> Families {
            names.iter().map(|name| ((*name).to_owned(), format!("{name} 1\n"))).collect()
        };
        let mixed = Parcel::push(key(), families(&["batch_job_info", "rows"]));
        let alone = mixed.outcome_alone().unwrap();
        assert_eq!((alone.verb(), alone.body().as_str()), (Verb::Add, "batch_job_info 1\n"));
        for names in [&["batch_job_info"][..], &["rows"]] {
            assert_eq!(Parcel::push(key(), families(names)).outcome_alone(), None);
        }
    }

    #[test]
    fn a_body_is_its_families_in_order() {
        let key = GroupingKey::new("job").unwrap();
        let families = [("b", "b 1\n"), ("a", "a 1\n")].map(|(n, t)| (n.into(), t.into()));
        assert_eq!(Parcel::push(key, families.into()).body(), "a 1\nb 1\n");
    }
}
