//! Finds the functions of a library and writes its sources with an attribute above each of them.
//!
//! A function without a body, a `const fn` and the text of a `macro_rules!` have no attribute.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use proc_macro2::LineColumn;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use syn::{Attribute, Block, ImplItemFn, ItemFn, ItemMod, Signature, TraitItemFn, Visibility};

use crate::library::{Library, read, write};

/// A function that can have an attribute.
pub(crate) struct Function {
    pub(crate) file: PathBuf,
    /// The place of the attribute.
    start: LineColumn,
    pub(crate) lines: RangeInclusive<usize>,
}

/// Returns the functions in all source files of the library.
pub(crate) fn functions(library: &Library) -> Result<Vec<Function>, String> {
    let mut functions = Vec::new();
    let sources = library.root.parent().ok_or("the root module has no folder")?;
    for file in source_files(sources)? {
        // Templates and test data may have the extension of a source file.
        if let Ok(syntax) = syn::parse_file(&read(&file)?) {
            let mut finder = Finder { file: &file, functions: &mut functions };
            finder.visit_file(&syntax);
        }
    }
    Ok(functions)
}

/// Returns the text of each source file. The root module declares the library of this project, also without an attribute:
/// in edition 2015, a path finds only declared dependencies, and the library's own dependencies have trait
/// implementations that make the types in some tests ambiguous.
pub(crate) fn originals(library: &Library) -> Result<BTreeMap<PathBuf, String>, String> {
    let sources = library.root.parent().ok_or("the root module has no folder")?;
    let mut originals = BTreeMap::new();
    for file in source_files(sources)? {
        let mut text = read(&file)?;
        if file == library.root {
            text += "\nextern crate metrics_push;\n";
        }
        originals.insert(file, text);
    }
    Ok(originals)
}

/// Writes the sources with the attribute, except for the functions with the indexes in `excluded`.
pub(crate) fn write_sources(
    functions: &[Function],
    originals: &BTreeMap<PathBuf, String>,
    attribute: &str,
    excluded: &BTreeSet<usize>,
) -> Result<(), String> {
    for (file, original) in originals {
        let mut lines: Vec<String> = original.split('\n').map(str::to_owned).collect();
        let mut annotated: Vec<&Function> = functions
            .iter()
            .enumerate()
            .filter(|(index, function)| function.file == *file && !excluded.contains(index))
            .map(|(_, function)| function)
            .collect();
        // From the end, so that the columns before it stay valid.
        annotated.sort_by_key(|function| std::cmp::Reverse(function.start));
        for Function { start, .. } in annotated {
            let line = &mut lines[start.line - 1];
            let position =
                line.char_indices().nth(start.column).map_or(line.len(), |(byte, _)| byte);
            line.insert_str(position, &format!("#[{attribute}] "));
        }
        let text = lines.join("\n");
        // Cargo compiles a library again if a file is written.
        if read(file)? != text {
            write(file, &text)?;
        }
    }
    Ok(())
}

/// Returns the source files below a folder.
pub(crate) fn source_files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.is_dir() {
            files.extend(source_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}

struct Finder<'a> {
    file: &'a Path,
    functions: &'a mut Vec<Function>,
}

impl Finder<'_> {
    fn add(
        &mut self,
        visibility: Option<&Visibility>,
        signature: &Signature,
        block: &Block,
        attributes: &[Attribute],
    ) {
        let is_special = attributes.iter().any(|attribute| {
            ["test", "bench", "naked", "proc_macro", "proc_macro_derive", "proc_macro_attribute"]
                .iter()
                .any(|name| attribute.path().is_ident(name))
        });
        if signature.constness.is_some() || is_special {
            return;
        }
        let signature_start = signature.span().start();
        let start = match visibility {
            Some(visibility) if !matches!(visibility, Visibility::Inherited) => {
                visibility.span().start()
            }
            _ => signature_start,
        };
        self.functions.push(Function {
            file: self.file.to_owned(),
            start,
            lines: start.line..=block.span().end().line,
        });
    }
}

impl<'a> Visit<'a> for Finder<'_> {
    fn visit_item_fn(&mut self, function: &'a ItemFn) {
        self.add(Some(&function.vis), &function.sig, &function.block, &function.attrs);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'a ImplItemFn) {
        self.add(Some(&function.vis), &function.sig, &function.block, &function.attrs);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'a TraitItemFn) {
        if let Some(block) = &function.default {
            self.add(None, &function.sig, block, &function.attrs);
        }
        visit::visit_trait_item_fn(self, function);
    }

    fn visit_item_mod(&mut self, module: &'a ItemMod) {
        let is_test = module.attrs.iter().any(|attribute| {
            attribute.path().is_ident("cfg")
                && attribute.parse_args::<syn::Ident>().is_ok_and(|word| word == "test")
        });
        if !is_test {
            visit::visit_item_mod(self, module);
        }
    }
}
