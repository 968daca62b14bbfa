//! Pages for people.

use crate::catalogue::{Product, price};
use std::fmt::Write;

/// The list of products.
pub fn products(products: &[&Product]) -> String {
    let mut html = String::from(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Shop</title>\
         <meta name=\"viewport\" content=\"width=device-width\"></head><body><h1>Shop</h1><ul>\n",
    );
    for product in products {
        let _ = writeln!(
            html,
            "<li><a href=\"/api/products/{}\">{}</a> {}</li>",
            product.id,
            escape(&product.name),
            price(product.cents)
        );
    }
    html.push_str("</ul></body></html>\n");
    html
}

/// A text for HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::{escape, products};
    use crate::catalogue::Catalogue;

    #[test]
    fn every_product_has_a_line() {
        let catalogue = Catalogue::default();
        let all: Vec<_> = catalogue.all().iter().take(20).collect();
        assert_eq!(products(&all).matches("<li>").count(), 20);
    }

    #[test]
    fn markup_in_a_name_stays_text() {
        assert_eq!(escape("<b>&\""), "&lt;b&gt;&amp;&quot;");
    }
}
