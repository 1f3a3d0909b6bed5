//! The hash that names files and detects truncated ones.

/// Returns the 128-bit FNV-1a hash, which is the same on all machines and in all versions.
pub(crate) fn checksum_of(parts: &[&[u8]]) -> u128 {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let bytes = parts.iter().flat_map(|part| part.iter());
    bytes.fold(OFFSET, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME))
}

/// Returns a 64-bit hash that takes 8 bytes at a time, for files that are read and written at each completion. A change of
/// up to 8 adjacent bytes at a multiple of 8 always changes it.
pub(crate) fn fast_checksum_of(bytes: &[u8]) -> u64 {
    const PRIME: u64 = 0x9e37_79b9_7f4a_7c15;

    bytes.chunks(8).fold(bytes.len() as u64, |hash, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        // Each step is a bijection, so that no later step hides a change.
        let hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(PRIME);
        hash ^ (hash >> 32)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fast_checksum_detects_flipped_bits_and_truncation() {
        let bytes: Vec<u8> = (0..100).collect();
        let whole = fast_checksum_of(&bytes);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(fast_checksum_of(&flipped), whole, "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert_ne!(fast_checksum_of(&bytes[..length]), whole, "{length} bytes");
        }
    }
}
