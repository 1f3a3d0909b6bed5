//! The files of a crate, parsed: modules, declared names, `use` lines and paths. Code for tests is left out.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens as _;
use syn::{Attribute, Item, UseTree, Visibility};

/// A path from the root of the crate, without `crate`.
pub(super) type Module = Vec<String>;

pub(super) struct Crate {
    pub(super) files: Vec<File>,
    by_module: BTreeMap<Module, usize>,
}

pub(super) struct File {
    /// The path below the root of the repository.
    pub(super) path: String,
    pub(super) module: Module,
    /// All items except those for tests; items of inline modules follow their module.
    pub(super) items: Vec<Item>,
    /// The names of the items that this file declares.
    declared: BTreeSet<String>,
    pub(super) imports: Vec<Import>,
    /// The paths outside of `use` lines that start with `crate`, `self`, `super` or a child module.
    pub(super) paths: Vec<Module>,
    /// All identifiers outside of `use` lines.
    pub(super) identifiers: BTreeSet<String>,
}

/// One name that a `use` line brings into scope; a glob has no name.
pub(super) struct Import {
    pub(super) name: Option<String>,
    pub(super) target: Module,
    /// Visible outside of its module.
    pub(super) is_exported: bool,
}

impl Crate {
    /// Parses the files of a crate: paths that contain `src/`, each with its text.
    pub(super) fn parse(files: &[(String, String)]) -> Self {
        let parsed: Vec<_> = files
            .iter()
            .map(|(path, text)| {
                let file = syn::parse_file(text).unwrap_or_else(|why| panic!("{path}: {why}"));
                (path.clone(), module_of(path), file.items)
            })
            .collect();
        let tests: Vec<Module> = parsed
            .iter()
            .flat_map(|(_, module, items)| {
                items.iter().filter_map(|item| test_module(module, item))
            })
            .collect();
        let parsed: Vec<_> = parsed
            .into_iter()
            .filter(|(_, module, _)| !tests.iter().any(|test| module.starts_with(test)))
            .collect();
        let modules: BTreeMap<_, _> = parsed
            .iter()
            .enumerate()
            .map(|(index, (_, module, _))| (module.clone(), index))
            .collect();
        let files = parsed
            .into_iter()
            .map(|(path, module, items)| File::new(path, module, items, &modules))
            .collect();
        Self { files, by_module: modules }
    }

    /// Returns the file that declares the item of a path, or the file of the module if the path names a module.
    ///
    /// Follows re-exports. An item that a macro declares counts as declared by the module in the path.
    pub(super) fn declaring_file(&self, path: &[String]) -> usize {
        self.resolve(path, 0).unwrap_or_else(|module_file| module_file)
    }

    /// Returns the file of the module as the error if the item is not found.
    fn resolve(&self, path: &[String], depth: usize) -> Result<usize, usize> {
        let mut length = 0;
        while length < path.len() && self.by_module.contains_key(&path[..=length]) {
            length += 1;
        }
        let module_file = self.by_module[&path[..length]];
        let Some(item) = path.get(length) else { return Ok(module_file) };
        let file = &self.files[module_file];
        if file.declared.contains(item) {
            return Ok(module_file);
        }
        // More re-exports than this are a cycle of globs.
        if depth == 16 {
            return Err(module_file);
        }
        let join = |target: &[String], rest: &[String]| [target, rest].concat();
        let named = file.imports.iter().find(|import| import.name.as_ref() == Some(item));
        if let Some(import) = named {
            return self.resolve(&join(&import.target, &path[length + 1..]), depth + 1);
        }
        let globs = file.imports.iter().filter(|import| import.name.is_none());
        globs
            .filter_map(|glob| self.resolve(&join(&glob.target, &path[length..]), depth + 1).ok())
            .next()
            .ok_or(module_file)
    }
}

impl File {
    fn new(
        path: String,
        module: Module,
        items: Vec<Item>,
        modules: &BTreeMap<Module, usize>,
    ) -> Self {
        let mut file = Self {
            path,
            module: module.clone(),
            items: Vec::new(),
            declared: BTreeSet::new(),
            imports: Vec::new(),
            paths: Vec::new(),
            identifiers: BTreeSet::new(),
        };
        let scope = Scope { module, modules };
        file.add(items, &scope);
        file
    }

    fn add(&mut self, items: Vec<Item>, scope: &Scope<'_>) {
        for item in items {
            if attributes(&item).is_some_and(is_for_tests) {
                continue;
            }
            match item {
                Item::Use(item) => scope.add_imports(&item, &mut self.imports),
                Item::Mod(mut item) => {
                    let Some((_, inner)) = item.content.take() else { continue };
                    self.declared.insert(item.ident.to_string());
                    let module = [&scope.module[..], &[item.ident.to_string()]].concat();
                    self.add(inner, &Scope { module, modules: scope.modules });
                }
                item => {
                    self.declared.extend(declared_name(&item));
                    let mut scan = Scan { scope, file: self };
                    scan.tokens(item.to_token_stream());
                    self.items.push(item);
                }
            }
        }
    }
}

/// Makes paths absolute.
struct Scope<'a> {
    module: Module,
    modules: &'a BTreeMap<Module, usize>,
}

impl Scope<'_> {
    /// Returns `None` for a path into another crate, or relative to an import.
    fn absolute(&self, path: &[String]) -> Option<Module> {
        let mut module = self.module.clone();
        let mut rest = path;
        match rest.first()?.as_str() {
            "crate" => {
                module.clear();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            "super" => {}
            first => {
                module.push(first.to_owned());
                rest = &rest[1..];
                if !self.modules.contains_key(&module) {
                    return None;
                }
            }
        }
        while rest.first().is_some_and(|segment| segment == "super") {
            module.pop();
            rest = &rest[1..];
        }
        module.extend(rest.iter().cloned());
        Some(module)
    }

    fn add_imports(&self, item: &syn::ItemUse, imports: &mut Vec<Import>) {
        if item.leading_colon.is_some() {
            return;
        }
        let is_exported = !matches!(item.vis, Visibility::Inherited);
        let mut leaves = Vec::new();
        push_leaves(&item.tree, &mut Vec::new(), &mut leaves);
        for (path, name) in leaves {
            if let Some(target) = self.absolute(&path) {
                imports.push(Import { name, target, is_exported });
            }
        }
    }
}

/// The paths of a `use` line, each with the name that it declares.
fn push_leaves(
    tree: &UseTree,
    prefix: &mut Vec<String>,
    leaves: &mut Vec<(Vec<String>, Option<String>)>,
) {
    match tree {
        UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            push_leaves(&path.tree, prefix, leaves);
            prefix.pop();
        }
        UseTree::Group(group) => {
            group.items.iter().for_each(|tree| push_leaves(tree, prefix, leaves));
        }
        UseTree::Glob(_) => leaves.push((prefix.clone(), None)),
        UseTree::Name(name) if name.ident == "self" => {
            leaves.push((prefix.clone(), prefix.last().cloned()));
        }
        UseTree::Name(name) => {
            let name = name.ident.to_string();
            leaves.push(([&prefix[..], std::slice::from_ref(&name)].concat(), Some(name)));
        }
        UseTree::Rename(rename) => {
            let mut path = prefix.clone();
            if rename.ident != "self" {
                path.push(rename.ident.to_string());
            }
            leaves.push((path, Some(rename.rename.to_string())));
        }
    }
}

/// Collects identifiers and paths, also inside of macro invocations.
struct Scan<'a, 'b> {
    scope: &'a Scope<'b>,
    file: &'a mut File,
}

impl Scan<'_, '_> {
    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Ident(word) if word == "use" => {
                    let end = tokens[at..].iter().position(|token| is_punct(token, ';'));
                    let statement = tokens[at..].iter().take(end.map_or(0, |end| end + 1));
                    if let Ok(item) = syn::parse2(statement.cloned().collect()) {
                        self.scope.add_imports(&item, &mut self.file.imports);
                        at += end.unwrap_or(0);
                    }
                }
                // `pub(in crate::a)` names a module, but imports nothing.
                TokenTree::Ident(word) if word == "pub" => {
                    at += usize::from(matches!(tokens.get(at + 1), Some(TokenTree::Group(_))));
                }
                TokenTree::Ident(_) => at += self.path(&tokens[at..]),
                TokenTree::Group(group) => self.tokens(group.stream()),
                _ => {}
            }
            at += 1;
        }
    }

    /// Reads the path that the tokens start with. Returns how many tokens to skip.
    fn path(&mut self, tokens: &[TokenTree]) -> usize {
        let mut path = Vec::new();
        let mut at = 0;
        while let Some(TokenTree::Ident(word)) = tokens.get(at) {
            path.push(word.to_string());
            let is_followed = tokens.get(at + 1).is_some_and(|token| is_punct(token, ':'))
                && tokens.get(at + 2).is_some_and(|token| is_punct(token, ':'));
            if !is_followed {
                break;
            }
            at += 3;
        }
        self.file.identifiers.extend(path.iter().cloned());
        if path.len() > 1 {
            self.file.paths.extend(self.scope.absolute(&path));
        }
        // The last token of the path, or the second colon before another token.
        at.min(tokens.len() - 1)
    }
}

fn is_punct(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character)
}

/// `src/a/b.rs` and `src/a/b/mod.rs` are both the module `a::b`.
fn module_of(path: &str) -> Module {
    let (_, inner) = path.rsplit_once("src/").unwrap_or_else(|| panic!("{path} is not in src/"));
    let mut module: Module = inner.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| ["lib", "main", "mod"].contains(&last.as_str())) {
        module.pop();
    }
    module
}

fn test_module(parent: &Module, item: &Item) -> Option<Module> {
    let Item::Mod(item) = item else { return None };
    (item.content.is_none() && is_for_tests(&item.attrs))
        .then(|| [&parent[..], &[item.ident.to_string()]].concat())
}

/// Returns true for `#[cfg(test)]`, `#[cfg(all(test, ..))]` and `#[test]`.
pub(super) fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let words = words(attribute.meta.to_token_stream());
        words.contains("test") && !words.contains("not")
    })
}

fn words(tokens: TokenStream) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for token in tokens {
        match token {
            TokenTree::Ident(word) => drop(found.insert(word.to_string())),
            TokenTree::Group(group) if group.delimiter() != Delimiter::Bracket => {
                found.extend(words(group.stream()));
            }
            _ => {}
        }
    }
    found
}

fn attributes(item: &Item) -> Option<&[Attribute]> {
    Some(match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => return None,
    })
}

fn declared_name(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        item => return type_name(item),
    };
    Some(name.to_string())
}

/// The name of the type or trait that an item declares.
pub(super) fn type_name(item: &Item) -> Option<String> {
    let name = match item {
        Item::Enum(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}
