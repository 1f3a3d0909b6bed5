// #[timed(in_flight, buckets = [0.1, 1, 1e3])]
// async fn load(path: String) -> u32 { 1 }

async fn load(path: String) -> u32 {
    let _call = {
        static __SITE: ::metrics_push::__private::TimedSite = ::metrics_push::__private::TimedSite::new(
                "load",
                ::core::module_path!(),
            )
            .timing(
                &const {
                    ::metrics_push::__private::SiteTiming::new()
                        .buckets(&[0.1, 1f64, 1e3])
                        .in_flight()
                },
            );
        &__SITE
    }
        .enter(&[]);
    {
        1
    }
}
