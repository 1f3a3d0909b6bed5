//! Compiles and runs the examples of the top-level README.
//!
//! The README of `metrics-push` cannot be the same file: on crates.io and in an unpacked package it must not refer to
//! files outside that package.

#![cfg_attr(doctest, doc = include_str!("../../README.md"))]
