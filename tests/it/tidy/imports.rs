//! Which file imports which: no cycles between files, and no imports from a higher layer.
//!
//! An import leads to the file that declares the item, also if the path names a re-export. A module file that only
//! declares and re-exports its children does not import them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::source::{Crate, File, Import, Module};

/// A layer: its modules, each with the modules of the same layer that it may import.
pub(super) type Layer = &'static [(&'static str, &'static [&'static str])];

/// The files that each file imports, with a path that causes the import.
type Graph = BTreeMap<usize, BTreeMap<usize, String>>;

fn graph(parsed: &Crate) -> Graph {
    let mut graph = Graph::new();
    for (from, file) in parsed.files.iter().enumerate() {
        let imports = file.imports.iter().filter(|import| !is_reexport(parsed, file, import));
        for path in imports.map(|import| &import.target).chain(&file.paths) {
            let to = parsed.declaring_file(path);
            if to != from {
                graph.entry(from).or_default().entry(to).or_insert_with(|| path.join("::"));
            }
        }
    }
    graph
}

/// Returns true if a module file exports an item of one of its children and does not use the item.
fn is_reexport(parsed: &Crate, file: &File, import: &Import) -> bool {
    let target = &parsed.files[parsed.declaring_file(&import.target)];
    import.is_exported
        && target.module.starts_with(&file.module)
        && import.name.as_ref().is_none_or(|name| !file.identifiers.contains(name))
}

/// The shortest cycle through each group of files that import each other, one edge per line.
pub(super) fn cycles(parsed: &Crate) -> Vec<String> {
    let graph = graph(parsed);
    let mut seen = BTreeSet::<usize>::new();
    let mut cycles = Vec::new();
    for start in 0..parsed.files.len() {
        if seen.contains(&start) {
            continue;
        }
        let reached = reachable(&graph, start);
        let together: BTreeSet<_> = reached
            .iter()
            .copied()
            .filter(|file| reachable(&graph, *file).contains(&start))
            .collect();
        if !together.contains(&start) {
            continue;
        }
        seen.extend(&together);
        let shortest = together
            .iter()
            .filter_map(|file| cycle_through(&graph, *file))
            .min_by_key(Vec::len)
            .expect("the files import each other");
        let mut text = format!("a cycle in {} files that import each other:", together.len());
        for edge in shortest.windows(2) {
            let (from, to) = (edge[0], edge[1]);
            let path = &graph[&from][&to];
            text.push_str(&format!("\n    {} imports {path}", parsed.files[from].path));
        }
        cycles.push(text);
    }
    cycles
}

/// The files that can be reached with at least one step.
fn reachable(graph: &Graph, start: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut queue = vec![start];
    while let Some(file) = queue.pop() {
        for next in graph.get(&file).into_iter().flat_map(BTreeMap::keys) {
            if reached.insert(*next) {
                queue.push(*next);
            }
        }
    }
    reached
}

/// The shortest path of imports from a file back to itself.
fn cycle_through(graph: &Graph, start: usize) -> Option<Vec<usize>> {
    let mut queue = VecDeque::from([vec![start]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = queue.pop_front() {
        let last = *way.last()?;
        for next in graph.get(&last).into_iter().flat_map(BTreeMap::keys) {
            let longer = [&way[..], &[*next]].concat();
            if *next == start {
                return Some(longer);
            }
            if seen.insert(*next) {
                queue.push_back(longer);
            }
        }
    }
    None
}

/// The imports that `layers` does not allow. A module may import from lower layers, and from those modules of its own
/// layer that are listed after its name. Modules in `exempt` may import anything.
pub(super) fn layer_violations(parsed: &Crate, layers: &[Layer], exempt: &[&str]) -> Vec<String> {
    let mut allowed: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut below = BTreeSet::new();
    for layer in layers {
        for (module, beside) in *layer {
            allowed.insert(module, below.iter().chain(*beside).copied().collect());
        }
        below.extend(layer.iter().map(|(module, _)| *module));
    }
    let mut violations = BTreeSet::new();
    for (from, edges) in graph(parsed) {
        let file = &parsed.files[from];
        let Some(module) = top(&file.module) else { continue };
        if exempt.contains(&module) {
            continue;
        }
        let Some(allowed) = allowed.get(module) else {
            violations.insert(format!("the module {module} is in no layer"));
            continue;
        };
        for (to, path) in edges {
            let imported = top(&parsed.files[to].module).unwrap_or("the root of the crate");
            if imported != module && !allowed.contains(imported) {
                violations.insert(format!(
                    "{} imports {path}: {imported} is not below {module}",
                    file.path
                ));
            }
        }
    }
    violations.into_iter().collect()
}

fn top(module: &Module) -> Option<&str> {
    module.first().map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(files: &[(&str, &str)]) -> Crate {
        let files: Vec<_> =
            files.iter().map(|(path, text)| (format!("src/{path}"), (*text).to_owned())).collect();
        Crate::parse(&files)
    }

    fn edges(files: &[(&str, &str)]) -> Vec<String> {
        let parsed = parse(files);
        let name = |index: usize| parsed.files[index].path.trim_start_matches("src/").to_owned();
        graph(&parsed)
            .into_iter()
            .flat_map(|(from, to)| to.into_keys().map(move |to| (from, to)).collect::<Vec<_>>())
            .map(|(from, to)| format!("{} -> {}", name(from), name(to)))
            .collect()
    }

    const LIB: (&str, &str) = ("lib.rs", "mod a; mod b; mod c;");

    #[test]
    fn edges_lead_to_the_declaring_file() {
        let files = [
            LIB,
            ("a/mod.rs", "mod inner; mod other; pub(crate) use inner::{Thing as Renamed, *};"),
            ("a/inner.rs", "pub(crate) struct Thing; pub(crate) fn make() {}"),
            ("a/other.rs", "fn f() { super::inner::make(); }"),
            ("b.rs", "use crate::a::Renamed;"),
            ("c.rs", "use crate::a; fn f() { println!(\"{:?}\", crate::a::make()); }"),
        ];
        let expected = [
            "a/other.rs -> a/inner.rs",
            "b.rs -> a/inner.rs",
            "c.rs -> a/mod.rs",
            "c.rs -> a/inner.rs",
        ];
        assert_eq!(edges(&files), expected);
    }

    #[test]
    fn reexport_is_an_edge_only_if_the_file_uses_it() {
        let child = ("a/inner.rs", "pub(crate) struct Thing;");
        let unused = [LIB, ("a/mod.rs", "mod inner; pub(crate) use inner::Thing;"), child];
        assert_eq!(edges(&unused), [""; 0]);
        let used =
            [LIB, ("a/mod.rs", "mod inner; pub(crate) use inner::Thing; fn f(_: Thing) {}"), child];
        assert_eq!(edges(&used), ["a/mod.rs -> a/inner.rs"]);
        let private = [LIB, ("a/mod.rs", "mod inner; use inner::Thing;"), child];
        assert_eq!(edges(&private), ["a/mod.rs -> a/inner.rs"]);
    }

    #[test]
    fn child_and_module_file_that_use_each_other_are_a_cycle() {
        let files = [
            LIB,
            ("a/mod.rs", "mod inner; struct Own; fn f() { inner::make(); }"),
            ("a/inner.rs", "use super::Own; pub(super) fn make() {}"),
        ];
        let found = cycles(&parse(&files));
        assert_eq!(
            found,
            [
                "a cycle in 2 files that import each other:\n    src/a/mod.rs imports a::inner::make\n    src/a/inner.rs imports a::Own"
            ]
        );
        let through_private_import = [
            LIB,
            ("a/mod.rs", "mod inner; mod other; use other::Own; fn f() { inner::make(); }"),
            ("a/inner.rs", "use super::Own; pub(super) fn make() {}"),
            ("a/other.rs", "pub(super) struct Own;"),
        ];
        assert_eq!(cycles(&parse(&through_private_import)), [""; 0]);
    }

    #[test]
    fn cycle_of_three_files_is_found_once() {
        let files = [
            LIB,
            ("a.rs", "use crate::b::B; pub(crate) struct A;"),
            ("b.rs", "use crate::c::C; pub(crate) struct B;"),
            ("c.rs", "fn f() { use crate::a::{self, A}; } pub(crate) struct C;"),
        ];
        let found = cycles(&parse(&files));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].lines().count(), 4, "{found:?}");
    }

    #[test]
    fn restricted_visibility_is_not_an_import() {
        let files = [LIB, ("a.rs", "pub(in crate::b) fn f() {}"), ("b.rs", ""), ("c.rs", "")];
        assert_eq!(edges(&files), [""; 0]);
    }

    #[test]
    fn tests_may_import_anything() {
        let files = [
            LIB,
            ("a.rs", "#[cfg(test)] mod tests; #[cfg(test)] use crate::b::B; pub(crate) struct A;"),
            ("a/tests.rs", "use crate::b::B;"),
            (
                "b.rs",
                "use crate::a::A; pub(crate) struct B; #[cfg(test)] mod tests { use crate::c::C; }",
            ),
            ("c.rs", "use crate::b::B; pub(crate) struct C;"),
        ];
        assert_eq!(edges(&files), ["b.rs -> a.rs", "c.rs -> b.rs"]);
    }

    #[test]
    fn import_from_a_higher_or_the_same_layer_is_a_violation() {
        const LAYERS: [Layer; 2] = [&[("a", &[])], &[("b", &["c"]), ("c", &[])]];
        let text = |imports: &str| format!("{imports} pub(crate) struct X;");
        let check = |a: &str, b: &str, c: &str| {
            let (a, b, c) = (text(a), text(b), text(c));
            layer_violations(&parse(&[LIB, ("a.rs", &a), ("b.rs", &b), ("c.rs", &c)]), &LAYERS, &[])
        };
        assert_eq!(check("", "use crate::{a::X, c::X as C};", "use crate::a;"), [""; 0]);
        assert_eq!(check("use crate::b::X;", "", ""), ["src/a.rs imports b::X: b is not below a"]);
        assert_eq!(check("", "", "use crate::b;"), ["src/c.rs imports b: b is not below c"]);
        let unknown = layer_violations(
            &parse(&[("lib.rs", "mod d;"), ("d.rs", "use crate::e;"), ("e.rs", "")]),
            &LAYERS,
            &[],
        );
        assert_eq!(unknown, ["the module d is in no layer"]);
        let exempt = layer_violations(
            &parse(&[("lib.rs", "mod d;"), ("d.rs", "use crate::e;"), ("e.rs", "")]),
            &LAYERS,
            &["d"],
        );
        assert_eq!(exempt, [""; 0]);
    }
}
