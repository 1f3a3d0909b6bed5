// #[timed(outcome, name = "load_seconds", error_if = |n: &Result<u32, u32>| n.is_err(), labels(n = n.len()))]
// /// Loads *everything*,
// /// slowly.
// ///
// /// Twice.
// fn load(n: &str) -> Result<u32, u32> { Ok(1) }

/// Loads *everything*,
/// slowly.
///
/// Twice.
fn load(n: &str) -> Result<u32, u32> {
    let call = {
        static __SITE: ::metrics_push::__private::TimedSite = ::metrics_push::__private::TimedSite::new(
                "load",
                ::core::module_path!(),
            )
            .metric(
                &const {
                    ::metrics_push::__private::SiteMetric::new(
                            "load_seconds",
                            "Loads *everything*, slowly.",
                        )
                        .labels(&["n"])
                },
            )
            .timing(&const { ::metrics_push::__private::SiteTiming::new().outcome() });
        &__SITE
    }
        .enter(&[::metrics_push::__private::label(&(n.len())).value()]);
    let mut ended = ::metrics_push::__private::call(
        call,
        || -> Result<u32, u32> { Ok(1) },
    );
    let outcome = ::metrics_push::__private::error_if(
        ended.result(),
        |n: &Result<u32, u32>| n.is_err(),
    );
    ended.finish_as(outcome)
}
