//! Prices a cart. Carts live with the customer, so that any node can serve the next request.

use crate::catalogue::{Catalogue, price};
use crate::json::{numbers, quote};

/// Different products, and pieces of each, in one cart.
const LINES_MAX: usize = 50;
const PIECES_MAX: u64 = 99;
const FREE_SHIPPING_CENTS: u64 = 15_000;
const SHIPPING_CENTS_PER_KG: u64 = 180;
/// From this many pieces of one product on, each is a tenth cheaper.
const DISCOUNT_PIECES: u64 = 10;

/// Why a cart cannot be priced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    Empty,
    TooLong,
    NoSuchProduct(u64),
    Pieces(u64),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => {
                f.write_str(r#"the cart is empty; send {"items":[{"id":1,"pieces":2}]}"#)
            }
            Self::TooLong => write!(f, "the cart has more than {LINES_MAX} lines"),
            Self::NoSuchProduct(id) => write!(f, "there is no product {id}"),
            Self::Pieces(pieces) => write!(
                f,
                "{pieces} pieces of one product, 1 to {PIECES_MAX} are sold"
            ),
        }
    }
}

/// Prices the cart `{"items":[{"id":1,"pieces":2}, …]}`; gives JSON.
pub fn priced(catalogue: &Catalogue, body: &str) -> Result<String, Refusal> {
    let (ids, pieces) = (numbers(body, "id"), numbers(body, "pieces"));
    if ids.is_empty() || ids.len() != pieces.len() {
        return Err(Refusal::Empty);
    }
    if ids.len() > LINES_MAX {
        return Err(Refusal::TooLong);
    }
    let (mut goods, mut grams) = (0, 0);
    for (id, pieces) in ids.iter().zip(&pieces) {
        let product = catalogue.get(*id).ok_or(Refusal::NoSuchProduct(*id))?;
        if !(1..=PIECES_MAX).contains(pieces) {
            return Err(Refusal::Pieces(*pieces));
        }
        goods += line_cents(product.cents, *pieces);
        grams += product.grams * pieces;
    }
    let shipping = shipping_cents(goods, grams);
    Ok(format!(
        r#"{{"lines":{},"goods":{},"shipping":{},"total":{}}}"#,
        ids.len(),
        quote(&price(goods)),
        quote(&price(shipping)),
        quote(&price(goods + shipping))
    ))
}

fn line_cents(cents: u64, pieces: u64) -> u64 {
    let full = cents * pieces;
    if pieces >= DISCOUNT_PIECES {
        full - full / 10
    } else {
        full
    }
}

fn shipping_cents(goods: u64, grams: u64) -> u64 {
    if goods >= FREE_SHIPPING_CENTS {
        0
    } else {
        grams.div_ceil(1000) * SHIPPING_CENTS_PER_KG
    }
}

#[cfg(test)]
mod tests {
    use super::{Refusal, line_cents, priced, shipping_cents};
    use crate::catalogue::Catalogue;

    #[test]
    fn ten_pieces_are_cheaper() {
        assert_eq!((line_cents(100, 9), line_cents(100, 10)), (900, 900));
    }

    #[test]
    fn shipping_is_by_weight_and_free_for_much() {
        assert_eq!(shipping_cents(14_999, 1001), 360);
        assert_eq!(shipping_cents(15_000, 1001), 0);
    }

    #[test]
    fn a_cart_is_priced() {
        let cart = priced(
            &Catalogue::default(),
            r#"{"items":[{"id":1,"pieces":1},{"id":2,"pieces":3}]}"#,
        );
        assert!(cart.is_ok_and(|cart| cart.starts_with(r#"{"lines":2,"goods":""#)));
    }

    #[test]
    fn impossible_carts_are_refused() {
        let refusal = |body: &str| priced(&Catalogue::default(), body).unwrap_err();
        assert_eq!(refusal(""), Refusal::Empty);
        assert_eq!(refusal(r#"{"id":1}"#), Refusal::Empty);
        assert_eq!(
            refusal(r#"{"id":9999,"pieces":1}"#),
            Refusal::NoSuchProduct(9999)
        );
        assert_eq!(refusal(r#"{"id":1,"pieces":0}"#), Refusal::Pieces(0));
        assert_eq!(
            refusal(&r#"{"id":1,"pieces":1}"#.repeat(51)),
            Refusal::TooLong
        );
    }
}
