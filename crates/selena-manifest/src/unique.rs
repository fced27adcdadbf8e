//! JSON objects by path, in which no path may stand twice: a reader that takes the first would see another object.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};

use crate::WatchedPath;

/// Reads an object and refuses a path that stands twice.
pub(crate) fn by_path<'de, T, D>(deserializer: D) -> Result<BTreeMap<WatchedPath, T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_map(ByPath(PhantomData))
}

struct ByPath<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ByPath<T> {
    type Value = BTreeMap<WatchedPath, T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object whose keys are absolute paths")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut map = BTreeMap::new();
        while let Some(path) = access.next_key::<String>()? {
            let path = WatchedPath::new(&path).map_err(|error| A::Error::custom(format!("{path:?}: {error}")))?;
            let value = access.next_value()?;
            if map.contains_key(&path) {
                return Err(A::Error::custom(format!("{path} stands there twice")));
            }
            map.insert(path, value);
        }
        Ok(map)
    }
}
