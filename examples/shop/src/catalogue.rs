//! The goods: made once at start, the same on every node.

use crate::json::quote;

/// How many products there are.
pub const PRODUCTS: usize = 240;

const KINDS: [&str; 12] = [
    "Lamp", "Chair", "Kettle", "Clock", "Basket", "Teapot", "Blanket", "Mirror", "Vase", "Stool",
    "Tray", "Rug",
];
const MATERIALS: [&str; 10] = [
    "oak", "linen", "brass", "wool", "glass", "stone", "cork", "clay", "steel", "willow",
];
const COLOURS: [&str; 8] = [
    "sand", "moss", "ink", "clay-red", "chalk", "saffron", "slate", "sky",
];
/// Numbers that describe a product, for finding similar ones.
const TRAITS: usize = 16;
/// Days of sales that are remembered: five years.
const SALES_DAYS: usize = 1826;
/// Pieces sold of one product on one day, at most.
const SALES_MAX: u64 = 40;

/// One product.
#[derive(Clone, Debug, PartialEq)]
pub struct Product {
    pub id: u64,
    pub name: String,
    pub kind: &'static str,
    pub cents: u64,
    pub grams: u64,
    traits: [f64; TRAITS],
}

/// All products, and how they sold.
pub struct Catalogue {
    products: Vec<Product>,
    /// Pieces by product and day, the last day last.
    sales: Vec<[u64; SALES_DAYS]>,
}

impl Default for Catalogue {
    fn default() -> Self {
        let ids = 1..=PRODUCTS as u64;
        Self {
            products: ids.clone().map(Product::of).collect(),
            sales: ids.map(sales_of).collect(),
        }
    }
}

impl Catalogue {
    /// Every product, by number.
    pub fn all(&self) -> &[Product] {
        &self.products
    }

    /// The product of that number.
    pub fn get(&self, id: u64) -> Option<&Product> {
        self.products.get(usize::try_from(id).ok()?.checked_sub(1)?)
    }

    /// Products whose name holds the words of `query`, in any case.
    pub fn search(&self, query: &str) -> Vec<&Product> {
        let query = query.to_lowercase();
        let words: Vec<&str> = query.split_whitespace().collect();
        let fits = |product: &&Product| {
            let name = product.name.to_lowercase();
            words.iter().all(|word| name.contains(word))
        };
        self.products.iter().filter(fits).collect()
    }

    /// Pieces of a product sold in the last `days` days, as far as they are remembered.
    pub fn sold(&self, product: &Product, days: usize) -> u64 {
        let sales = &self.sales[product.id as usize - 1];
        sales[SALES_DAYS - days.min(SALES_DAYS)..].iter().sum()
    }

    /// The `count` products most like `product`, the most similar first.
    pub fn similar(&self, product: &Product, count: usize) -> Vec<&Product> {
        let others = self.products.iter().filter(|other| other.id != product.id);
        let mut scored: Vec<(f64, &Product)> = others
            .map(|other| (likeness(product, other), other))
            .collect();
        scored.sort_by(|left, right| right.0.total_cmp(&left.0));
        scored
            .into_iter()
            .take(count)
            .map(|(_, other)| other)
            .collect()
    }
}

impl Product {
    fn of(id: u64) -> Self {
        let index = id as usize;
        let kind = KINDS[index % KINDS.len()];
        let material = MATERIALS[index / 5 % MATERIALS.len()];
        let colour = COLOURS[index / 3 % COLOURS.len()];
        let mut random = random(id);
        let traits = std::array::from_fn(|_| random() as f64 / (1 << 24) as f64);
        Self {
            id,
            name: format!("{kind} of {material}, {colour}"),
            kind,
            cents: 900 + id * 7919 % 24_000,
            grams: 200 + id * 104_729 % 9_000,
            traits,
        }
    }

    /// The product as JSON.
    pub fn json(&self) -> String {
        format!(
            r#"{{"id":{},"name":{},"kind":{},"price":{},"grams":{}}}"#,
            self.id,
            quote(&self.name),
            quote(self.kind),
            quote(&price(self.cents)),
            self.grams
        )
    }
}

fn sales_of(id: u64) -> [u64; SALES_DAYS] {
    let mut random = random(id + PRODUCTS as u64);
    std::array::from_fn(|_| random() % (SALES_MAX + 1))
}

/// Numbers of 24 bits that look random and are always the same for a seed.
fn random(mut seed: u64) -> impl FnMut() -> u64 {
    move || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        seed >> 40
    }
}

/// An amount as people write it.
pub fn price(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// Cosine of the angle between two products' traits, and a little more for the same kind.
fn likeness(left: &Product, right: &Product) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let cosine = dot(&left.traits, &right.traits)
        / (dot(&left.traits, &left.traits) * dot(&right.traits, &right.traits)).sqrt();
    cosine + if left.kind == right.kind { 0.05 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::{Catalogue, PRODUCTS, price};

    #[test]
    fn products_are_found_by_number() {
        let catalogue = Catalogue::default();
        assert_eq!(catalogue.all().len(), PRODUCTS);
        assert_eq!(catalogue.get(7).map(|product| product.id), Some(7));
        assert_eq!(
            (catalogue.get(0), catalogue.get(PRODUCTS as u64 + 1)),
            (None, None)
        );
    }

    #[test]
    fn products_are_found_by_words() {
        let catalogue = Catalogue::default();
        let found = catalogue.search("OAK chair");
        assert!(!found.is_empty());
        assert!(
            found
                .iter()
                .all(|product| product.name.starts_with("Chair of oak"))
        );
        assert!(catalogue.search("submarine").is_empty());
        assert_eq!(catalogue.search("").len(), PRODUCTS);
    }

    #[test]
    fn similar_products_are_others_and_always_the_same() {
        let catalogue = Catalogue::default();
        let product = &catalogue.all()[0];
        let similar = catalogue.similar(product, 5);
        assert_eq!(similar.len(), 5);
        assert!(similar.iter().all(|other| other.id != product.id));
        assert_eq!(similar, Catalogue::default().similar(product, 5));
    }

    #[test]
    fn sales_add_up() {
        let catalogue = Catalogue::default();
        let product = &catalogue.all()[4];
        let (week, year) = (catalogue.sold(product, 7), catalogue.sold(product, 365));
        assert!(0 < week && week < year && year < 365 * 40);
        assert_eq!(catalogue.sold(product, 0), 0);
        assert_eq!(catalogue.sold(product, 9999), catalogue.sold(product, 1826));
    }

    #[test]
    fn a_product_as_json() {
        let json = Catalogue::default().all()[0].json();
        assert!(
            json.starts_with(
                r#"{"id":1,"name":"Chair of oak, sand","kind":"Chair","price":"88.19""#
            ),
            "{json}"
        );
    }

    #[test]
    fn prices() {
        assert_eq!(
            (price(5), price(1234)),
            ("0.05".to_owned(), "12.34".to_owned())
        );
    }
}
