//! The attributes of `metrics-push`.
