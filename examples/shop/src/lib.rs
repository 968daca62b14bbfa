//! A small shop over HTTP, with the standard library alone.
//!
//! `catalogue` and `cart` know the goods, `cache` keeps what is dear to compute, `page` and `json` write answers,
//! `app` decides what a request gets, `http` and `server` carry it.

pub mod app;
pub mod cache;
pub mod cart;
pub mod catalogue;
pub mod client;
pub mod http;
pub mod json;
pub mod log;
pub mod page;
pub mod server;
