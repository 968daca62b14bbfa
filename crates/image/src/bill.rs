//! The bill of materials of a release: CycloneDX 1.6, JSON.
//!
//! Source: CycloneDX v1.6 JSON reference; Package-URL specification (types `deb`, `apk`, `cargo`, `npm`, `pypi`, `golang`,
//! `oci`).

use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::build::encode;
use crate::inventory::{Component, Details, Ecosystem, Inventory};

/// What a statement is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Its name, such as `shop`.
    pub name: String,
    /// Its digest, `sha256:…`.
    pub digest: String,
    /// Where it was pushed to, `host/path`.
    pub repository: Option<String>,
    /// Whether it is a container image, or files alone.
    pub is_image: bool,
}

impl Subject {
    /// The digest's digits.
    #[must_use]
    pub fn hex(&self) -> &str {
        self.digest.strip_prefix("sha256:").unwrap_or(&self.digest)
    }

    /// Its package URL; files alone have none.
    fn purl(&self) -> Option<String> {
        let repository = self.repository.as_ref().filter(|_| self.is_image)?;
        let name = repository.rsplit('/').next()?;
        Some(format!("pkg:oci/{}@{}?repository_url={}", encode(name), encode(&self.digest), encode(repository)))
    }
}

/// Writes the bill of what an inventory found; the same inventory gives the same text. `created` is a moment in RFC 3339.
#[must_use]
pub fn bill_of_materials(subject: &Subject, inventory: &Inventory, created: &str) -> String {
    let distribution = inventory.distribution.as_ref();
    let mut components: Vec<Value> = distribution.into_iter().map(|(name, version)| system(name, version)).collect();
    components.extend(inventory.components.iter().map(|(component, details)| {
        entry(component, details, distribution.map(|(name, version)| (name.as_str(), version.as_str())))
    }));
    let reference = format!("serin:{}", subject.digest);
    let mut about = json!({
        "bom-ref": reference,
        "type": if subject.is_image { "container" } else { "application" },
        "name": subject.name,
        "version": subject.digest,
        "hashes": [{ "alg": "SHA-256", "content": subject.hex() }],
    });
    if let Some(purl) = subject.purl() {
        about["purl"] = purl.into();
    }
    let missing = inventory.missing.iter().map(|what| json!({ "name": "serin:not-read", "value": what }));
    // Nobody can say that it is complete: programs may hold what no list tells.
    let aggregate = if inventory.missing.is_empty() { "unknown" } else { "incomplete" };
    let bill = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": serial(subject, &components),
        "version": 1,
        "metadata": {
            "timestamp": created,
            "tools": { "components": [
                { "type": "application", "name": "serin", "version": env!("CARGO_PKG_VERSION") },
            ] },
            "component": about,
            "properties": missing.collect::<Vec<_>>(),
        },
        "components": components,
        "compositions": [{ "aggregate": aggregate, "assemblies": [reference] }],
    });
    bill.to_string()
}

/// A number that only this bill has (RFC 9562, version 8).
fn serial(subject: &Subject, components: &[Value]) -> String {
    let text = format!("{}\n{}", subject.digest, Value::from(components.to_vec()));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest(&SHA256, text.as_bytes()).as_ref()[..16]);
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("urn:uuid:{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

fn system(name: &str, version: &str) -> Value {
    json!({ "bom-ref": format!("os:{name}"), "type": "operating-system", "name": name, "version": version })
}

fn entry(component: &Component, details: &Details, distribution: Option<(&str, &str)>) -> Value {
    let purl = purl(component, distribution);
    let mut entry = json!({ "bom-ref": purl, "type": "library" });
    let (group, name) = match component.name.rsplit_once('/') {
        Some((group, name)) if component.ecosystem == Ecosystem::Npm => (Some(group), name),
        _ => (None, component.name.as_str()),
    };
    if let Some(group) = group {
        entry["group"] = group.into();
    }
    entry["name"] = name.into();
    entry["version"] = component.version.as_str().into();
    entry["purl"] = purl.into();
    if let Some(licence) = &details.licence {
        entry["licenses"] = json!([{ "license": { "name": licence } }]);
    }
    let places = details.places.iter().map(|place| json!({ "name": "serin:found-in", "value": place }));
    entry["properties"] = places.collect::<Vec<_>>().into();
    entry
}

/// The package's URL.
fn purl(component: &Component, distribution: Option<(&str, &str)>) -> String {
    let ecosystem = component.ecosystem;
    let name = component.name.split('/').map(encode).collect::<Vec<_>>().join("/");
    let mut purl = format!("pkg:{}/", ecosystem.as_str());
    let is_system = matches!(ecosystem, Ecosystem::Deb | Ecosystem::Apk);
    if is_system {
        let default = if ecosystem == Ecosystem::Deb { "debian" } else { "alpine" };
        purl.push_str(distribution.map_or(default, |(name, _)| name));
        purl.push('/');
    }
    purl.push_str(&format!("{name}@{}", encode(&component.version)));
    let mut qualifiers = Vec::new();
    qualifiers.extend(component.architecture.as_ref().map(|architecture| format!("arch={}", encode(architecture))));
    let distribution = distribution.filter(|(_, version)| is_system && !version.is_empty());
    qualifiers.extend(distribution.map(|(name, version)| format!("distro={name}-{version}")));
    if !qualifiers.is_empty() {
        purl.push_str(&format!("?{}", qualifiers.join("&")));
    }
    purl
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn subject() -> Subject {
        let digest = format!("sha256:{}", "ab".repeat(32));
        Subject { name: "shop".into(), digest, repository: Some("r.example:5000/team/shop".into()), is_image: true }
    }

    fn inventory() -> Inventory {
        let mut inventory = Inventory { distribution: Some(("debian".into(), "12".into())), ..Inventory::default() };
        for (ecosystem, name, version, architecture) in [
            (Ecosystem::Deb, "libc++1", "1:2+b1", Some("amd64")),
            (Ecosystem::Npm, "@scope/x", "1.0.0", None),
            (Ecosystem::Golang, "example.org/a/b", "v1.0.0", None),
        ] {
            let component = Component {
                ecosystem,
                name: name.into(),
                version: version.into(),
                architecture: architecture.map(str::to_owned),
            };
            let places = BTreeSet::from(["image:/x".to_owned()]);
            inventory.components.insert(component, Details { licence: Some("MIT".into()), places });
        }
        inventory
    }

    #[test]
    fn the_bill_names_what_was_found() {
        let bill = bill_of_materials(&subject(), &inventory(), "2026-01-01T00:00:00Z");
        assert_eq!(bill, bill_of_materials(&subject(), &inventory(), "2026-01-01T00:00:00Z"));
        let bill: Value = serde_json::from_str(&bill).unwrap();
        let purls: Vec<_> =
            bill["components"].as_array().unwrap().iter().filter_map(|one| one["purl"].as_str()).collect();
        assert_eq!(
            purls,
            [
                "pkg:deb/debian/libc%2B%2B1@1%3A2%2Bb1?arch=amd64&distro=debian-12",
                "pkg:npm/%40scope/x@1.0.0",
                "pkg:golang/example.org/a/b@v1.0.0",
            ]
        );
        assert_eq!(bill["components"][0]["type"], "operating-system");
        assert_eq!((&bill["components"][2]["group"], &bill["components"][2]["name"]), (&json!("@scope"), &json!("x")));
        assert_eq!(bill["metadata"]["component"]["hashes"][0]["content"], "ab".repeat(32));
        let purl = bill["metadata"]["component"]["purl"].as_str().unwrap();
        assert!(purl.ends_with("?repository_url=r.example%3A5000%2Fteam%2Fshop"), "{purl}");
        assert_eq!(bill["compositions"][0]["aggregate"], "unknown");
        let serial = bill["serialNumber"].as_str().unwrap();
        assert_eq!((serial.len(), serial.as_bytes()[23], serial.matches('-').count()), (45, b'8', 4), "{serial}");
    }

    #[test]
    fn an_incomplete_bill_says_so() {
        let mut inventory = inventory();
        inventory.missing.insert("image:/x is too long".into());
        let bill: Value = serde_json::from_str(&bill_of_materials(&subject(), &inventory, "")).unwrap();
        assert_eq!(bill["compositions"][0]["aggregate"], "incomplete");
        assert_eq!(bill["metadata"]["properties"][0]["value"], "image:/x is too long");
    }
}
