//! Rules about names: `is_*` and `has_*` functions change nothing, constants have the usual prefixes, and type names are
//! unique in a crate.

use std::collections::BTreeMap;

use quote::ToTokens as _;
use syn::{Block, ImplItem, Item, Signature, TraitItem};

use super::source::{Crate, is_for_tests, type_name};

/// Calls that change a value, and arguments that allow it.
const CHANGES: [&str; 6] = [".store(", ".swap(", "fetch_", "take(", "get_or_init", "&mutself"];

const OLD_PREFIXES: [&str; 4] = ["MOST_", "LONGEST_", "SHORTEST_", "LARGEST_"];
const OLD_SUFFIX: &str = "PATIENCE";

/// The functions `is_*` and `has_*` that change something.
pub(super) fn predicates_with_effects(parsed: &Crate) -> Vec<String> {
    let mut found = Vec::new();
    for file in &parsed.files {
        for item in &file.items {
            for (signature, body) in functions(item) {
                let name = signature.ident.to_string();
                let is_predicate = name.starts_with("is_") || name.starts_with("has_");
                let mut text = signature.to_token_stream().to_string();
                text.extend(body.map(|body| body.to_token_stream().to_string()));
                text.retain(|character| !character.is_whitespace());
                for change in
                    CHANGES.iter().filter(|change| is_predicate && text.contains(**change))
                {
                    found.push(format!("{}: {name} contains {change}", file.path));
                }
            }
        }
    }
    found
}

/// All functions of an item except those for tests.
fn functions(item: &Item) -> Vec<(&Signature, Option<&Block>)> {
    match item {
        Item::Fn(item) => vec![(&item.sig, Some(&*item.block))],
        Item::Impl(item) => item
            .items
            .iter()
            .filter_map(|item| match item {
                ImplItem::Fn(item) if !is_for_tests(&item.attrs) => {
                    Some((&item.sig, Some(&item.block)))
                }
                _ => None,
            })
            .collect(),
        Item::Trait(item) => item
            .items
            .iter()
            .filter_map(|item| match item {
                TraitItem::Fn(item) => Some((&item.sig, item.default.as_ref())),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// The constants with an old prefix or suffix.
pub(super) fn constants_with_old_names(parsed: &Crate) -> Vec<String> {
    let is_old = |name: &String| {
        OLD_PREFIXES.iter().any(|old| name.starts_with(old)) || name.ends_with(OLD_SUFFIX)
    };
    let mut found = Vec::new();
    for file in &parsed.files {
        let names = file.items.iter().flat_map(constants).filter(is_old);
        found.extend(names.map(|name| format!("{}: {name}", file.path)));
    }
    found
}

fn constants(item: &Item) -> Vec<String> {
    match item {
        Item::Const(item) => vec![item.ident.to_string()],
        Item::Static(item) => vec![item.ident.to_string()],
        Item::Impl(item) => item
            .items
            .iter()
            .filter_map(|item| match item {
                ImplItem::Const(item) => Some(item.ident.to_string()),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// The type names that a crate declares more than once. `accepted` lists names with the reason for each.
///
/// The module `testing` is compared with itself only, because it shares no code with the library.
pub(super) fn repeated_types(parsed: &Crate, accepted: &[(&str, &str)]) -> Vec<String> {
    let mut places: BTreeMap<(bool, String), Vec<&str>> = BTreeMap::new();
    for file in &parsed.files {
        let is_testing = file.module.first().is_some_and(|module| module == "testing");
        for name in file.items.iter().filter_map(type_name) {
            places.entry((is_testing, name)).or_default().push(&file.path);
        }
    }
    places
        .into_iter()
        .filter(|((_, name), places)| {
            places.len() > 1 && !accepted.iter().any(|(accepted, _)| accepted == name)
        })
        .map(|((_, name), places)| format!("{name} is declared in {}", places.join(" and ")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Crate {
        Crate::parse(&[("src/lib.rs".to_owned(), text.to_owned())])
    }

    #[test]
    fn predicate_with_an_effect_is_found() {
        for (text, count) in [
            ("fn is_open(x: &AtomicBool) -> bool { x.load(Relaxed) }", 0),
            ("fn is_open(x: &AtomicBool) -> bool { x.swap(true, Relaxed) }", 1),
            ("fn open(x: &AtomicBool) -> bool { x.swap(true, Relaxed) }", 0),
            ("impl X { fn has_room(&mut self) -> bool { true } }", 1),
            ("impl X { fn has_room(&self) -> bool { self.x.fetch_add(1, Relaxed) > 0 } }", 1),
            ("trait X { fn is_new(&self) -> bool { std::mem::take(self.x) } }", 1),
            ("impl X { #[cfg(test)] fn is_new(&mut self) -> bool { true } }", 0),
            ("#[cfg(test)] fn is_new(x: &mut X) -> bool { x.store(1) }", 0),
        ] {
            assert_eq!(predicates_with_effects(&parse(text)).len(), count, "{text}");
        }
    }

    #[test]
    fn constant_with_an_old_name_is_found() {
        let text = "const MOST_KEYS: u8 = 1; const MAX_KEYS: u8 = 1; const ALMOST_ALL: u8 = 1;
                    static START_PATIENCE: u8 = 1; impl X { const LONGEST_NAME: u8 = 1; }";
        let found = constants_with_old_names(&parse(text));
        let expected = ["MOST_KEYS", "START_PATIENCE", "LONGEST_NAME"];
        assert_eq!(found, expected.map(|name| format!("src/lib.rs: {name}")));
    }

    #[test]
    fn repeated_type_is_found() {
        let text =
            "struct A; mod inner { enum A {} trait B {} } #[cfg(test)] mod tests { struct B; }";
        assert_eq!(repeated_types(&parse(text), &[]).len(), 1);
        assert_eq!(repeated_types(&parse(text), &[("A", "a fixture")]), [""; 0]);
    }
}
