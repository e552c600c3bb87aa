//! Envoy's statistics, by their names.

use std::collections::HashMap;

/// Statistics by their names.
pub struct Stats<'a>(HashMap<&'a str, f64>);

impl<'a> Stats<'a> {
    /// Of the text of `/stats`.
    pub fn read(text: &'a str) -> Self {
        let line = |line: &'a str| {
            let (name, value) = line.rsplit_once(": ")?;
            Some((name, value.trim().parse().ok()?))
        };
        Self(text.lines().filter_map(line).collect())
    }

    /// One by its name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// One of the filter's own.
    pub fn own(&self, name: &str) -> Option<f64> {
        self.get(&format!("wasmcustom.flamegate_{name}"))
    }

    /// Whether the filter has a key table.
    pub fn has_table(&self) -> bool {
        self.own("table_present").or_else(|| self.own("revision")).unwrap_or_default() > 0.0
    }

    /// One of a cluster.
    pub fn cluster(&self, cluster: &str, name: &str) -> f64 {
        self.get(&format!("cluster.{}.{name}", cluster.replace(':', "_"))).unwrap_or_default()
    }

    /// All whose name fits.
    pub fn sum(&self, is_it: impl Fn(&str) -> bool) -> f64 {
        self.0.iter().filter(|(name, _)| is_it(name)).map(|(_, value)| value).sum()
    }
}
