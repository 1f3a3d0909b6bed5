//! Names, hygiene, and arguments that depend on the context of a function.

use std::sync::LazyLock;

use metrics_push::{counted, timed};
use prometheus::Registry;

use super::{block_on, calls, series, value};

#[test]
fn expansions_ignore_shadowed_names() {
    mod hostile {
        #![allow(dead_code, unused_imports, non_camel_case_types)]
        mod metrics {}
        mod metrics_push {}
        mod prometheus {}
        mod std {}
        mod core {}
        struct Box;
        struct Result;
        enum Variants {
            Ok,
            Err,
            Some,
            None,
        }
        use Variants::*;
        trait Fn {}
        type u32 = ();
        type bool = ();

        #[::metrics_push::counted]
        #[::metrics_push::timed(outcome, name = "hostile_seconds")]
        pub(super) fn sync() -> u32 {}
        #[::metrics_push::counted]
        pub(super) async fn later(n: u32) -> u32 {
            n
        }
        #[::metrics_push::push_job(grouping(a = 1), instance, every = "1h", run = run)]
        pub(super) fn job() {
            run.add_processed(1);
        }
    }
    hostile::sync();
    block_on(hostile::later(()));
    hostile::job();
    let module = concat!(module_path!(), "::hostile");
    assert_eq!(super::recorded("function_calls_total", module, "later"), "success 1");
}

#[test]
fn body_scope_is_unchanged() {
    type Declared = ();
    #[expect(dead_code, reason = "part of the case")]
    enum Bar {
        Declared,
    }
    #[counted]
    fn shadowing() -> Declared {
        #[expect(unused_imports, reason = "part of the case")]
        use Bar::*;
    }
    #[counted]
    fn with_items(n: u32) -> u32 {
        const ONE: u32 = 1;
        use std::cmp::max;
        macro_rules! more {
            ($n:expr) => {
                $n + ONE
            };
        }
        #[timed]
        fn nested(n: u32) -> u32 {
            n
        }
        max(more!(nested(n)), 1)
    }
    shadowing();
    assert_eq!(with_items(2), 3);
    assert_eq!(super::timings!("nested"), "calls 1");
}

#[test]
fn name_and_registry_may_be_expressions() {
    const NAME: &str = "constant_total";
    static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::new);
    fn registry() -> &'static Registry {
        &REGISTRY
    }
    const BUCKETS: &[f64] = &[1.0, 2.0];
    #[counted(name = NAME, registry = REGISTRY)]
    fn elsewhere() {}
    #[timed(registry = registry(), buckets = BUCKETS)]
    fn timed_elsewhere() {}
    elsewhere();
    timed_elsewhere();
    let mut names: Vec<_> =
        REGISTRY.gather().iter().map(|family| family.name().to_owned()).collect();
    names.sort();
    assert_eq!(names, ["constant_total", "function_duration_seconds"]);
    assert!(series("constant_total", &[]).is_empty());
}

mod facade {
    pub(crate) mod deep {
        pub(crate) use metrics_push as runtime;
    }
}

#[test]
fn crate_argument_sets_the_runtime_path() {
    #[counted(crate = crate::attributes::names::facade::deep::runtime)]
    fn elsewhere_reached() {}
    elsewhere_reached();
    assert_eq!(calls!("elsewhere_reached"), "success 1");
}

#[test]
fn non_ascii_function_names_are_label_values() {
    #[counted]
    fn äther() {}
    äther();
    assert_eq!(calls!("äther"), "success 1");
}

#[test]
fn help_is_the_first_paragraph_of_the_doc_comment() {
    /// Loads *everything*, even `C:\new`,
    /// slowly.
    ///
    /// A second paragraph.
    #[counted(name = "documented_total")]
    fn documented() {}
    #[counted(name = "undocumented_total")]
    #[doc = concat!("not ", "known")]
    fn undocumented() {}
    /** A block comment
     * of two lines.
     */
    #[timed(name = "block_documented_seconds")]
    fn block_documented() {}
    /// Not used.
    #[timed(name = "helped_seconds", help = "This.")]
    fn helped() {}
    /// Not used for a shared metric.
    #[counted]
    fn shared() {}
    macro_rules! with_attributes {
        ($(#[$attribute:meta])* $name:ident) => {
            $(#[$attribute])*
            fn $name() {}
        };
    }
    with_attributes!(
        /// Documented in a macro.
        #[counted(name = "macro_documented_total")]
        macro_documented
    );
    macro_documented();
    documented();
    undocumented();
    block_documented();
    helped();
    shared();
    let help = |name: &str| {
        let families = prometheus::gather();
        families.iter().find(|family| family.name() == name).map(|family| family.help().to_owned())
    };
    for (name, expected) in [
        ("documented_total", r"Loads *everything*, even `C:\new`, slowly."),
        ("undocumented_total", "Calls of `undocumented` by outcome."),
        ("block_documented_seconds", "A block comment of two lines."),
        ("helped_seconds", "This."),
        ("macro_documented_total", "Documented in a macro."),
        ("function_calls_total", "Calls of functions by outcome."),
    ] {
        assert_eq!(help(name).as_deref(), Some(expected));
    }
}

#[test]
fn conventions_off_allows_legacy_names() {
    #[counted(name = "legacy_count", conventions = off)]
    fn legacy() {}
    #[timed(name = "legacy:duration_ms", conventions = off)]
    fn legacy_duration() {}
    legacy();
    legacy_duration();
    assert_eq!(value(&series("legacy_count", &[("outcome", "success")])[0]), 1.0);
}

#[test]
fn empty_parentheses_and_trailing_commas_compile() {
    #[counted()]
    fn empty() {}
    #[counted(name = "trailing_total", labels(a = 1,))]
    fn trailing() {}
    empty();
    trailing();
    assert_eq!(calls!("empty"), "success 1");
    assert_eq!(series("trailing_total", &[("a", "1")]).len(), 4);
}

#[test]
fn label_expressions_of_every_kind_compile() {
    use std::collections::HashMap;
    #[counted(
        name = "shapes_total",
        labels(
            generic = HashMap::<u8, u8>::new().len(),
            qualified = <u8 as Into<u32>>::into(n),
            less = n < 2,
            block = { let m = n; m + 1 },
            conditional = if n >= 1 { "yes" } else { "no" },
            closure = (|a: u8, b: u8| a + b)(n, n),
            type = n,
        )
    )]
    fn shapes(n: u8) {}
    shapes(1);
    let labels = [
        ("generic", "0"),
        ("qualified", "1"),
        ("less", "true"),
        ("block", "2"),
        ("conditional", "yes"),
        ("closure", "2"),
        ("type", "1"),
    ];
    assert_eq!(series("shapes_total", &labels).len(), 4);
}
