// #[counted(name = "payments_total", help = "Payments.", labels(service = "checkout", method = payment.method), ok_if = Option::is_some, only = error, registry = REGISTRY, crate = ::facade::metrics, max_series = 20)]
// fn pay(payment: &Payment) -> Option<Receipt> { None }

fn pay(payment: &Payment) -> Option<Receipt> {
    let call = {
        static __SITE: ::facade::metrics::__private::CountedSite = ::facade::metrics::__private::CountedSite::new(
                "pay",
                ::core::module_path!(),
            )
            .metric(
                &const {
                    ::facade::metrics::__private::SiteMetric::new(
                            "payments_total",
                            "Payments.",
                        )
                        .labels(&["method"])
                        .fixed_labels(&[("service", "checkout")])
                        .max_series(20)
                        .registry(|| -> &'static ::facade::metrics::prometheus::Registry {
                            &(REGISTRY)
                        })
                },
            )
            .only_errors();
        &__SITE
    }
        .enter(&[::facade::metrics::__private::label(&(payment.method)).value()]);
    let mut ended = ::facade::metrics::__private::call(
        call,
        || -> Option<Receipt> { None },
    );
    let outcome = ::facade::metrics::__private::ok_if(ended.result(), Option::is_some);
    ended.finish_as(outcome)
}
