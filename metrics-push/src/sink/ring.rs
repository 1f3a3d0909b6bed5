//! `Ring`: assigns each group to one of several gateways, the shards.
//!
//! Rendezvous hashing: a group belongs to the shard with the highest score for its key. A shard that is added takes groups
//! from all others, and the groups of a shard that is removed go to all others. No other group moves. All machines assign a
//! group to the same shard if they write the URLs in the same way, in any order.

use std::fmt;

use crate::checksum::checksum_of;
use crate::error::Error;
use crate::labels::GroupingKey;

/// The start of the scheme of a ring, before that of its shards.
pub(super) const SCHEME_PREFIX: &str = "shards+";

/// Separates the shards. A comma separates sinks.
pub(super) const SEPARATOR: char = ';';

/// The shards of one sink. `Display` writes its URL without credentials, which identifies it in the state directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ring {
    name: String,
    /// The URLs without credentials, in ascending order.
    shards: Vec<String>,
}

impl Ring {
    /// Returns the ring of these URLs, which have the same scheme and no credentials.
    ///
    /// # Errors
    /// `is_config` if there is none, or one is repeated.
    pub(super) fn new(scheme: &str, mut shards: Vec<String>) -> Result<Self, Error> {
        shards.sort_unstable();
        if shards.is_empty() {
            return Err(Error::config("invalid URL: it has no shard")
                .remedy("write it as shards+http://a:9091;b:9091"));
        }
        if let Some(pair) = shards.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::config("invalid URL: it contains a shard twice")
                .at("shard", &pair[0])
                .remedy("remove one of them"));
        }
        let hosts: Vec<_> = shards.iter().map(|url| without_scheme(url)).collect();
        let name = format!("{SCHEME_PREFIX}{scheme}://{}", hosts.join(&SEPARATOR.to_string()));
        Ok(Self { name, shards })
    }

    /// Returns the URL of the ring without credentials.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the index of the shard that stores the group.
    pub(crate) fn owner(&self, key: &GroupingKey) -> usize {
        let path = key.url_path();
        let score = |shard: &String| score(&path, shard);
        let best = self.shards.iter().enumerate().max_by_key(|(_, shard)| score(shard));
        best.map_or(0, |(index, _)| index)
    }

    /// Returns true if `name` is the URL of this ring, or of a ring with a common shard: this ring before or after a change.
    pub(crate) fn is_version_of(&self, name: &str) -> bool {
        let other = |shard: &str| self.shards.iter().any(|own| without_scheme(own) == shard);
        name == self.name || hosts(name).any(other)
    }
}

impl fmt::Display for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Returns the shards in the URL of a ring, without their scheme; none if it is not that of a ring.
fn hosts(name: &str) -> impl Iterator<Item = &str> {
    let list = name.strip_prefix(SCHEME_PREFIX).and_then(|name| name.split_once("://"));
    list.into_iter().flat_map(|(_, list)| list.split(SEPARATOR))
}

fn without_scheme(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, host)| host)
}

/// Returns the score of a shard for a group. The checksums of two URLs that differ only in the last characters, such as the
/// port, are close to each other, so their bits are mixed.
fn score(path: &str, shard: &str) -> u64 {
    let checksum = checksum_of(&[path.as_bytes(), b"\n", shard.as_bytes()]);
    #[expect(clippy::cast_possible_truncation, reason = "both halves are used")]
    let mut bits = (checksum >> 64) as u64 ^ checksum as u64;
    for factor in MIXING_FACTORS {
        bits = (bits ^ (bits >> 33)).wrapping_mul(factor);
    }
    bits ^ (bits >> 33)
}

/// Those of the finalizer of MurmurHash3.
const MIXING_FACTORS: [u64; 2] = [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53];

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(hosts: &[&str]) -> Ring {
        Ring::new("http", hosts.iter().map(|host| format!("http://{host}")).collect()).unwrap()
    }

    fn keys() -> impl Iterator<Item = GroupingKey> {
        (0..10_000).map(|number| {
            let key = GroupingKey::new(format!("job_{number}")).unwrap();
            key.label("instance", format!("host-{}", number % 97)).unwrap()
        })
    }

    fn owner<'a>(ring: &'a Ring, key: &GroupingKey) -> &'a str {
        &ring.shards[ring.owner(key)]
    }

    #[test]
    fn shards_have_equal_numbers_of_groups() {
        for hosts in [
            &["pgw-0:9091", "pgw-1:9091", "pgw-2:9091"][..],
            &["pgw-0:9091", "pgw-1:9091", "pgw-2:9091", "pgw-3:9091"],
            &["127.0.0.1:9091", "127.0.0.1:9092", "127.0.0.1:9093", "127.0.0.1:9094"],
            &["a", "b", "c"],
            &["gateway/1", "gateway/2"],
        ] {
            let ring = ring(hosts);
            let mut counts = vec![0_u32; hosts.len()];
            keys().for_each(|key| counts[ring.owner(&key)] += 1);
            let ideal = 10_000.0 / f64::from(u32::try_from(hosts.len()).unwrap());
            for count in &counts {
                assert!((f64::from(*count) / ideal - 1.0).abs() < 0.05, "{hosts:?} {counts:?}");
            }
        }
    }

    #[test]
    fn added_shard_takes_its_share_and_no_other_group_moves() {
        let small = ring(&["a:9091", "b:9091", "c:9091"]);
        let large = ring(&["a:9091", "b:9091", "c:9091", "d:9091"]);
        let moved: Vec<_> = keys().filter(|key| owner(&small, key) != owner(&large, key)).collect();
        assert!(moved.iter().all(|key| owner(&large, key) == "http://d:9091"));
        assert!((2_300..2_700).contains(&moved.len()), "{}", moved.len());
    }

    #[test]
    fn assignment_does_not_depend_on_the_order() {
        let (one, other) = (ring(&["a:1", "b:1", "c:1"]), ring(&["c:1", "a:1", "b:1"]));
        assert_eq!(one, other);
        assert_eq!(one.to_string(), "shards+http://a:1;b:1;c:1");
        assert!(keys().all(|key| owner(&one, &key) == owner(&other, &key)));
    }

    /// Other versions of this library must find the groups.
    #[test]
    fn assignment_never_changes() {
        let ring = ring(&["a:9091", "b:9091", "c:9091", "d:9091"]);
        let owners: String =
            keys().take(32).map(|key| &owner(&ring, &key)[7..8]).collect::<Vec<_>>().concat();
        assert_eq!(owners, "abdddbcaddcdbdccdacacacdcaadcdca");
    }

    #[test]
    fn ring_with_a_common_shard_is_another_version() {
        let ring = ring(&["a:1", "b:1"]);
        for (name, is_version) in [
            ("shards+http://a:1;b:1", true),
            ("shards+http://b:1;c:1", true),
            ("shards+http://a:1", true),
            ("shards+http://c:1;d:1", false),
            ("shards+http://aa:1;b:11", false),
            ("http://a:1", false),
            ("", false),
        ] {
            assert_eq!(ring.is_version_of(name), is_version, "{name}");
        }
    }

    #[test]
    fn empty_ring_or_repeated_shard_is_an_error() {
        let error = |shards: &[&str]| {
            let shards = shards.iter().map(|shard| (*shard).to_owned()).collect();
            Ring::new("http", shards).unwrap_err().to_string()
        };
        assert!(error(&[]).contains("it has no shard"));
        assert!(error(&["http://a", "http://b", "http://a"]).contains("http://a"));
    }
}
