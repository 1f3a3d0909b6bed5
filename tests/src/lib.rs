//! Compiles and runs the examples of the top-level README.
//!
//! The package `metrics-push` has a separate README, because that one must not refer to files outside the package.

#![cfg_attr(doctest, doc = include_str!("../../README.md"))]
