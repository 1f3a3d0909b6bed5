// #[counted(nmae = "a_total", max_series = 0, labels(le = n, __x = n))]
// fn load() { work }

::core::compile_error! {
    "invalid `max_series`: expected an integer of at least 1, found `0`; write for example `max_series = 100`"
}
::core::compile_error! {
    "unknown argument `nmae` of `#[counted]`; did you mean `name`?"
}
::core::compile_error! {
    "`labels` needs `name`, because all functions without it share `function_calls_total`; add `name = \"..\"`"
}
::core::compile_error! {
    "invalid label name `le`: this label is reserved for histograms and summaries; use another name"
}
::core::compile_error! {
    "invalid label name `__x`: names with two leading underscores are reserved for Prometheus; remove one underscore"
}
fn load() {
    work
}
