//! Decides what a request gets.

use crate::cache::Cache;
use crate::cart;
use crate::catalogue::{Catalogue, Product};
use crate::http::{Request, Response};
use crate::json::quote;
use crate::{log, page};

const CACHE_ENTRIES: usize = 128;
const WARM_PAGES: usize = 8;
const PAGE_PRODUCTS: usize = 24;
const SIMILAR_PRODUCTS: usize = 6;
const SALES_DAYS_DEFAULT: usize = 30;

/// The shop.
pub struct App {
    catalogue: Catalogue,
    cache: Cache,
}

impl Default for App {
    fn default() -> Self {
        Self::new()
    }
}

impl App {
    /// A shop with its goods.
    pub fn new() -> Self {
        Self {
            catalogue: Catalogue::default(),
            cache: Cache::new(CACHE_ENTRIES),
        }
    }

    /// Answers a request.
    pub fn respond(&self, request: &Request) -> Response {
        let parts: Vec<&str> = request
            .path
            .split('/')
            .filter(|part| !part.is_empty())
            .collect();
        match (request.method.as_str(), parts.as_slice()) {
            ("GET", []) => self.front(request),
            ("GET", ["api", "products"]) => self.products(request),
            ("GET", ["api", "products", id]) => self.product(id),
            ("GET", ["api", "products", id, "similar"]) => self.similar(id),
            ("GET", ["api", "products", id, "sales"]) => self.sales(id, request),
            ("POST", ["api", "cart"]) => self.cart(request),
            ("GET", ["healthz"]) => Response::json(200, r#"{"status":"ok"}"#),
            ("GET", ["version"]) => version(),
            (_, [] | ["healthz" | "version"] | ["api", "products" | "cart", ..]) => {
                refuse(405, "this is not done here")
            }
            _ => refuse(
                404,
                "there is nothing here; `/api/products` lists the goods",
            ),
        }
    }

    /// Fills the cache before the first visitor comes, so that the first ones wait no longer than the others.
    pub fn warm_up(&self) {
        for id in 1..=CACHE_ENTRIES {
            self.similar(&id.to_string());
        }
        for page in 1..=WARM_PAGES {
            self.front(&Request {
                method: "GET".to_owned(),
                path: "/".to_owned(),
                query: format!("page={page}"),
                body: Vec::new(),
                keep_alive: false,
            });
        }
    }

    fn front(&self, request: &Request) -> Response {
        let number = page_number(&request.query);
        let html = self.cache.get_or(&format!("page {number}"), || {
            page::products(&self.page(number, &self.catalogue.search("")))
        });
        Response::html(&*html)
    }

    fn products(&self, request: &Request) -> Response {
        let (number, query) = (
            page_number(&request.query),
            parameter(&request.query, "q").unwrap_or_default(),
        );
        let query = query.replace(['+', '%'], " ");
        let found = self.catalogue.search(&query);
        let list: Vec<String> = self
            .page(number, &found)
            .iter()
            .map(|product| product.json())
            .collect();
        Response::json(
            200,
            format!(
                r#"{{"total":{},"products":[{}]}}"#,
                found.len(),
                list.join(",")
            ),
        )
    }

    fn page<'a>(&self, number: usize, products: &[&'a Product]) -> Vec<&'a Product> {
        products
            .iter()
            .skip(number.saturating_mul(PAGE_PRODUCTS))
            .take(PAGE_PRODUCTS)
            .copied()
            .collect()
    }

    fn product(&self, id: &str) -> Response {
        match self.find(id) {
            Some(product) => Response::json(200, product.json()),
            None => no_product(id),
        }
    }

    fn similar(&self, id: &str) -> Response {
        let Some(product) = self.find(id) else {
            return no_product(id);
        };
        let json = self.cache.get_or(&format!("similar {}", product.id), || {
            let similar = self.catalogue.similar(product, SIMILAR_PRODUCTS);
            let list: Vec<String> = similar.iter().map(|product| product.json()).collect();
            format!("[{}]", list.join(","))
        });
        Response::json(200, &*json)
    }

    fn sales(&self, id: &str, request: &Request) -> Response {
        let Some(product) = self.find(id) else {
            return no_product(id);
        };
        let days = parameter(&request.query, "days").and_then(|days| days.parse().ok());
        let days = days.unwrap_or(SALES_DAYS_DEFAULT);
        let pieces = self.catalogue.sold(product, days);
        Response::json(
            200,
            format!(r#"{{"id":{},"days":{days},"pieces":{pieces}}}"#, product.id),
        )
    }

    fn cart(&self, request: &Request) -> Response {
        match cart::priced(&self.catalogue, &String::from_utf8_lossy(&request.body)) {
            Ok(json) => Response::json(200, json),
            Err(refusal) => {
                log::warn("cart refused", &[("reason", &refusal)]);
                refuse(422, &refusal.to_string())
            }
        }
    }

    fn find(&self, id: &str) -> Option<&Product> {
        self.catalogue.get(id.parse().ok()?)
    }
}

fn version() -> Response {
    Response::json(
        200,
        format!(
            r#"{{"name":"shop","version":"{}"}}"#,
            env!("CARGO_PKG_VERSION")
        ),
    )
}

fn no_product(id: &str) -> Response {
    log::warn("product asked for that there is not", &[("id", &id)]);
    refuse(404, "there is no such product")
}

fn refuse(status: u16, message: &str) -> Response {
    Response::json(status, format!(r#"{{"error":{}}}"#, quote(message)))
}

fn page_number(query: &str) -> usize {
    parameter(query, "page")
        .and_then(|page| page.parse().ok())
        .unwrap_or(0)
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::{App, CACHE_ENTRIES, parameter};
    use crate::http::{Request, Response};

    fn ask(app: &App, method: &str, target: &str) -> Response {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (method, path, query) = (method.to_owned(), path.to_owned(), query.to_owned());
        app.respond(&Request {
            method,
            path,
            query,
            ..Request::default()
        })
    }

    fn text(response: Response) -> String {
        String::from_utf8(response.body).unwrap()
    }

    #[test]
    fn every_address_has_its_answer() {
        let app = App::new();
        let cases = [
            ("GET", "/", 200),
            ("GET", "/?page=3", 200),
            ("GET", "/api/products?q=oak+chair", 200),
            ("GET", "/api/products/7", 200),
            ("GET", "/api/products/7/similar", 200),
            ("GET", "/api/products/7/sales?days=365", 200),
            ("GET", "/api/products/0", 404),
            ("GET", "/api/products/x/similar", 404),
            ("GET", "/healthz", 200),
            ("GET", "/version", 200),
            ("POST", "/api/cart", 422),
            ("GET", "/api/cart", 405),
            ("DELETE", "/api/products/7", 405),
            ("GET", "/nothing", 404),
        ];
        for (method, target, status) in cases {
            assert_eq!(
                ask(&app, method, target).status,
                status,
                "{method} {target}"
            );
        }
    }

    #[test]
    fn pages_follow_each_other() {
        let app = App::new();
        let (first, second) = (
            text(ask(&app, "GET", "/")),
            text(ask(&app, "GET", "/?page=1")),
        );
        assert!(first.contains("/api/products/1\"") && !second.contains("/api/products/1\""));
        assert!(text(ask(&app, "GET", "/?page=18446744073709551615")).contains("<ul>\n</ul>"));
    }

    #[test]
    fn the_cache_does_not_grow_with_strange_questions() {
        let app = App::new();
        for number in 0..1000 {
            ask(&app, "GET", &format!("/?page={number}"));
        }
        assert_eq!(app.cache.len(), CACHE_ENTRIES);
    }

    #[test]
    fn the_version_is_the_package_s() {
        assert!(text(ask(&App::new(), "GET", "/version")).contains(env!("CARGO_PKG_VERSION")));
    }

    #[test]
    fn parameters() {
        assert_eq!(parameter("a=1&b=2", "b"), Some("2"));
        assert_eq!(parameter("ab=1", "b"), None);
    }
}
