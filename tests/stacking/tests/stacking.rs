//! Each attribute above and below `#[counted]`: both have their effect.

use std::pin::Pin;

use metrics_push::counted;
use metrics_push_stacking::calls;

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Runs a future on a new runtime.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

async fn pause() {
    tokio::task::yield_now().await;
}

mod tracing_instrument {
    use super::*;

    fn with_subscriber<T>(body: impl FnOnce() -> T) -> T {
        tracing::subscriber::with_default(tracing_subscriber::registry(), body)
    }

    /// Returns the name of the current span.
    fn span() -> &'static str {
        tracing::Span::current().metadata().map_or("none", |metadata| metadata.name())
    }

    #[tracing::instrument(ret, err)]
    #[counted]
    fn sync_below(fails: bool) -> Result<&'static str, String> {
        if fails { Err("failed".to_owned()) } else { Ok(span()) }
    }

    #[counted]
    #[tracing::instrument(ret, err)]
    fn sync_above(fails: bool) -> Result<&'static str, String> {
        if fails { Err("failed".to_owned()) } else { Ok(span()) }
    }

    #[tracing::instrument(ret, err)]
    #[counted]
    async fn async_below(fails: bool) -> Result<&'static str, String> {
        pause().await;
        if fails { Err("failed".to_owned()) } else { Ok(span()) }
    }

    #[counted]
    #[tracing::instrument(ret, err)]
    async fn async_above(fails: bool) -> Result<&'static str, String> {
        pause().await;
        if fails { Err("failed".to_owned()) } else { Ok(span()) }
    }

    #[tracing::instrument(ret, err)]
    #[counted]
    fn future_below(fails: bool) -> impl Future<Output = Result<&'static str, String>> {
        async move {
            pause().await;
            if fails { Err("failed".to_owned()) } else { Ok(span()) }
        }
    }

    #[counted]
    #[tracing::instrument(ret, err)]
    fn future_above(fails: bool) -> impl Future<Output = Result<&'static str, String>> {
        async move {
            pause().await;
            if fails { Err("failed".to_owned()) } else { Ok(span()) }
        }
    }

    #[counted]
    #[tracing::instrument(ret, err)]
    fn borrowing_above(fails: &bool) -> impl Future<Output = Result<&'static str, String>> {
        async {
            pause().await;
            if *fails { Err("failed".to_owned()) } else { Ok(span()) }
        }
    }

    #[tracing::instrument]
    #[counted]
    fn boxed_below(fails: bool) -> Boxed<'static, Result<&'static str, String>> {
        Box::pin(async move {
            pause().await;
            if fails { Err("failed".to_owned()) } else { Ok(span()) }
        })
    }

    #[counted]
    #[tracing::instrument]
    fn boxed_above(
        fails: bool,
    ) -> Pin<Box<dyn Future<Output = Result<&'static str, String>> + Send>> {
        Box::pin(async move {
            pause().await;
            if fails { Err("failed".to_owned()) } else { Ok(span()) }
        })
    }

    #[counted]
    #[tracing::instrument]
    fn early_above(
        fails: bool,
    ) -> Pin<Box<dyn Future<Output = Result<&'static str, String>> + Send>> {
        if fails {
            return Box::pin(async { Err("failed".to_owned()) });
        }
        Box::pin(async move {
            pause().await;
            Ok(span())
        })
    }

    #[test]
    fn span_covers_the_body_and_the_call_is_counted() {
        with_subscriber(|| {
            for (name, ok, error) in [
                ("sync_below", sync_below(false), sync_below(true)),
                ("sync_above", sync_above(false), sync_above(true)),
                ("async_below", block_on(async_below(false)), block_on(async_below(true))),
                ("async_above", block_on(async_above(false)), block_on(async_above(true))),
                ("future_below", block_on(future_below(false)), block_on(future_below(true))),
                ("future_above", block_on(future_above(false)), block_on(future_above(true))),
                (
                    "borrowing_above",
                    block_on(borrowing_above(&false)),
                    block_on(borrowing_above(&true)),
                ),
                ("boxed_above", block_on(boxed_above(false)), block_on(boxed_above(true))),
                ("early_above", block_on(early_above(false)), block_on(early_above(true))),
            ] {
                assert_eq!(ok.as_deref(), Ok(name));
                assert!(error.is_err(), "{name}");
                assert_eq!(calls(name), "error 1, success 1", "{name}");
            }
            // The alias hides the future from `counted`.
            assert_eq!(block_on(boxed_below(false)).as_deref(), Ok("boxed_below"));
            assert_eq!(calls("boxed_below"), "success 1");
        });
    }
}

mod async_trait_methods {
    use super::*;

    #[async_trait::async_trait]
    trait Store {
        async fn load(&self, fails: bool) -> Result<&'static str, String>;

        #[counted]
        #[tracing::instrument(skip(self))]
        async fn provided(&self, fails: bool) -> Result<&'static str, String> {
            pause().await;
            self.load(fails).await
        }
    }

    struct Disk;

    #[async_trait::async_trait]
    impl Store for Disk {
        #[counted]
        #[tracing::instrument(skip(self))]
        async fn load(&self, fails: bool) -> Result<&'static str, String> {
            pause().await;
            if fails {
                Err("failed".to_owned())
            } else {
                Ok(tracing::Span::current().metadata().unwrap().name())
            }
        }
    }

    struct Memory;

    #[counted]
    #[async_trait::async_trait]
    impl Store for Memory {
        async fn load(&self, fails: bool) -> Result<&'static str, String> {
            pause().await;
            if fails { Err("failed".to_owned()) } else { Ok("memory") }
        }
    }

    struct Network;

    #[async_trait::async_trait]
    #[counted]
    impl Store for Network {
        async fn load(&self, fails: bool) -> Result<&'static str, String> {
            pause().await;
            if fails { Err("failed".to_owned()) } else { Ok("network") }
        }
    }

    #[async_trait::async_trait]
    trait Task {
        async fn run(&self) -> Result<(), String>;
    }

    #[async_trait::async_trait]
    impl Task for Disk {
        #[metrics_push::push_job(name = "disk", run = run)]
        async fn run(&self) -> Result<(), String> {
            run.add_processed(1);
            pause().await;
            Ok(())
        }
    }

    #[test]
    fn methods_are_measured_in_both_orders() {
        tracing::subscriber::with_default(tracing_subscriber::registry(), || {
            assert_eq!(block_on(Disk.provided(false)).as_deref(), Ok("load"));
            assert!(block_on(Disk.provided(true)).is_err());
            assert_eq!(calls("load"), "error 1, success 1");
            assert_eq!(calls("provided"), "error 1, success 1");
        });
        assert_eq!(block_on(Memory.load(false)).as_deref(), Ok("memory"));
        assert!(block_on(Memory.load(true)).is_err());
        assert_eq!(calls("Memory::load"), "error 1, success 1");
        assert_eq!(block_on(Network.load(false)).as_deref(), Ok("network"));
        assert!(block_on(Network.load(true)).is_err());
        assert_eq!(calls("Network::load"), "error 1, success 1");
        assert!(block_on(Disk.run()).is_ok());
    }
}

mod fastrace_trace {
    use fastrace::prelude::*;
    use metrics_push::prometheus::proto::Metric;

    use super::*;

    /// Returns the id of the span that is current.
    fn span() -> u64 {
        SpanContext::current_local_parent().map_or(0, |context| context.span_id.0)
    }

    #[fastrace::trace]
    #[counted]
    fn traced_sync_below() -> u64 {
        span()
    }

    #[counted]
    #[fastrace::trace]
    fn traced_sync_above() -> u64 {
        span()
    }

    #[fastrace::trace]
    #[counted]
    async fn traced_async_below() -> u64 {
        pause().await;
        span()
    }

    #[counted]
    #[fastrace::trace]
    async fn traced_async_above() -> u64 {
        pause().await;
        span()
    }

    #[counted]
    #[fastrace::trace]
    fn traced_boxed_above() -> Pin<Box<dyn Future<Output = u64> + Send>> {
        Box::pin(async move {
            pause().await;
            span()
        })
    }

    #[fastrace::trace]
    #[counted]
    fn traced_boxed_below() -> Pin<Box<dyn Future<Output = u64> + Send>> {
        Box::pin(async move {
            pause().await;
            span()
        })
    }

    #[fastrace::trace]
    #[counted(name = "labelled_boxed_total", labels(n = n))]
    fn traced_boxed_with_labels(n: u32) -> Pin<Box<dyn Future<Output = u64> + Send>> {
        Box::pin(async move {
            pause().await;
            span() + u64::from(n)
        })
    }

    #[test]
    fn labels_of_a_boxed_future_are_evaluated_below_trace() {
        block_on(traced_boxed_with_labels(7));
        let families = metrics_push::prometheus::gather();
        let family =
            families.iter().find(|family| family.name() == "labelled_boxed_total").unwrap();
        let is_counted = |metric: &&Metric| metric.get_counter().get_value() > 0.0;
        let counted = family.get_metric().iter().find(is_counted).unwrap();
        assert!(
            counted.get_label().iter().any(|label| label.name() == "n" && label.value() == "7")
        );
    }

    #[test]
    fn span_is_current_in_the_body() {
        struct Discarding;
        impl fastrace::collector::Reporter for Discarding {
            fn report(&mut self, _: Vec<SpanRecord>) {}
        }
        fastrace::set_reporter(Discarding, fastrace::collector::Config::default());
        let root = Span::root("root", SpanContext::random());
        let root_id = SpanContext::from_span(&root).unwrap().span_id.0;
        let _guard = root.set_local_parent();
        let ids = [
            ("traced_sync_below", traced_sync_below()),
            ("traced_sync_above", traced_sync_above()),
            ("traced_async_below", block_on(traced_async_below())),
            ("traced_async_above", block_on(traced_async_above())),
            ("traced_boxed_above", block_on(traced_boxed_above())),
            ("traced_boxed_below", block_on(traced_boxed_below())),
        ];
        for (name, id) in ids {
            assert!(id != root_id && id != 0, "{name}");
            assert_eq!(calls(name), "success 1", "{name}");
        }
    }
}

mod cached_functions {
    use cached::macros::cached;

    use super::*;

    #[cached]
    #[counted]
    fn cached_above(n: u32) -> u32 {
        n + 1
    }

    #[counted]
    #[cached]
    fn cached_below(n: u32) -> u32 {
        n + 1
    }

    #[cached]
    #[counted]
    async fn cached_async(n: u32) -> u32 {
        pause().await;
        n + 1
    }

    #[test]
    fn functions_are_counted_in_both_orders() {
        assert_eq!(cached_above(1) + cached_above(1), 4);
        assert_eq!(cached_below(1) + cached_below(1), 4);
        assert_eq!(block_on(cached_async(1)) + block_on(cached_async(1)), 4);
        // `cached` puts the attributes below it on its own functions, so every call is counted.
        assert_eq!(calls("cached_above"), "success 2");
        assert_eq!(calls("cached_async"), "success 2");
        // A result from the cache is not a call of the annotated body.
        assert_eq!(calls("cached_below"), "success 1");
    }
}

mod tests_of_other_libraries {
    use super::*;

    #[rstest::rstest]
    #[case(1)]
    #[case(2)]
    #[counted]
    fn rstest_below(#[case] n: u32) {
        assert!(n > 0);
    }

    #[counted]
    #[rstest::rstest]
    #[case(1)]
    fn rstest_above(#[case] n: u32) {
        assert!(n > 0);
    }

    #[test_case::test_case(1 => 2; "one")]
    #[test_case::test_case(2 => 3; "two")]
    #[counted]
    fn test_case_below(n: u32) -> u32 {
        n + 1
    }

    #[counted]
    #[test_case::test_case(1 => 2; "one")]
    fn test_case_above(n: u32) -> u32 {
        n + 1
    }

    #[tokio::test]
    #[counted]
    async fn tokio_test_below() {
        pause().await;
    }

    #[counted]
    #[tokio::test]
    async fn tokio_test_above() {
        pause().await;
    }

    #[rstest::rstest]
    #[tokio::test]
    #[counted]
    async fn rstest_async(#[values(1, 2)] n: u32) -> Result<(), String> {
        pause().await;
        if n > 0 { Ok(()) } else { Err("zero".to_owned()) }
    }
}

mod changed_return_types {
    use super::*;

    #[culpa::throws(String)]
    #[counted]
    fn throws_above(fails: bool) -> u32 {
        if fails {
            culpa::throw!("failed".to_owned());
        }
        1
    }

    #[test]
    fn result_is_judged_below_the_attribute() {
        assert!(throws_above(true).is_err() && throws_above(false) == Ok(1));
        assert_eq!(calls("throws_above"), "error 1, success 1");
    }
}
