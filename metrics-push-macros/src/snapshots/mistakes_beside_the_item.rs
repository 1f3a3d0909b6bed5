// #[counted(nmae = "a_total", max_series = 0, labels(le = n, __x = n))]
// fn load() { work }

::core::compile_error! {
    "`max_series` is a whole number of at least one, found `0`; write `max_series = 100`"
}
::core::compile_error! {
    "`#[counted]` has no argument `nmae`; did you mean `name`?"
}
::core::compile_error! {
    "`labels` needs a metric of its own, and `function_calls_total` is shared by all functions; add `name = \"..\"`"
}
::core::compile_error! {
    "`le` is the label of histograms and summaries; choose another name"
}
::core::compile_error! {
    "`__x`: two leading underscores are Prometheus' own; remove one"
}
fn load() {
    work
}
