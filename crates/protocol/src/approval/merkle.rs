//! Merkle trees over the agents of a plan, so that one signature fixes them all and an order carries the proof of one.
//!
//! The tree of RFC 6962, section 2.1: a leaf's digest begins with 0x00, a node's with 0x01, so that neither passes for the
//! other; the left half is the largest power of two that leaves something to the right. Not a transparency log: nothing is
//! ever appended.

use crate::digest::Digest;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Longest path of a proof: enough for more agents than there can be.
pub const PATH_MAX: usize = 64;
/// Says what a leaf is about, so that the same bytes elsewhere are no leaf.
const TARGET: &[u8] = b"quell-target-v1";

/// The leaf of one installation of one agent.
#[must_use]
pub fn target(agent_id: Uuid, instance_id: Uuid) -> Digest {
    leaf(&[TARGET, agent_id.as_bytes(), instance_id.as_bytes()])
}

fn leaf(parts: &[&[u8]]) -> Digest {
    let mut all: Vec<&[u8]> = vec![&[0]];
    all.extend_from_slice(parts);
    Digest::of_parts(&all)
}

fn node(left: &Digest, right: &Digest) -> Digest {
    Digest::of_parts(&[&[1], left.as_bytes(), right.as_bytes()])
}

/// A whole tree, from which proofs are cut.
#[derive(Debug, Clone)]
pub struct Tree {
    /// The leaves first, the root last.
    levels: Vec<Vec<Digest>>,
}

impl Tree {
    /// The tree of these leaves, in their order.
    #[must_use]
    pub fn of(leaves: Vec<Digest>) -> Tree {
        let mut levels = vec![leaves];
        while let Some(below) = levels.last().filter(|level| level.len() > 1) {
            let above = below
                .chunks(2)
                .map(|pair| match pair {
                    [left, right] => node(left, right),
                    // The last of an odd row has no neighbour: it goes up as it is.
                    [one] => *one,
                    _ => unreachable!("chunks of two hold one or two"),
                })
                .collect();
            levels.push(above);
        }
        Tree { levels }
    }

    /// How many leaves there are.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }

    /// The digest that stands for all leaves; of a tree without leaves the digest of nothing.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.levels.last().and_then(|level| level.first()).copied().unwrap_or_else(|| Digest::of(b""))
    }

    /// The proof of the leaf at `index`; none beyond the last.
    #[must_use]
    pub fn proof(&self, index: usize) -> Option<Proof> {
        self.levels.first()?.get(index)?;
        let mut at = index;
        let mut path = Vec::new();
        for level in &self.levels {
            path.extend(level.get(at ^ 1));
            at /= 2;
        }
        // The root has no neighbour, so nothing of the last level is in the path.
        Some(Proof { index: index as u64, size: self.size(), path })
    }
}

/// That one leaf is in a tree: the neighbours on the way from it to the root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// Which leaf, from 0.
    pub index: u64,
    /// Of how many.
    pub size: u64,
    /// Neighbours from the leaf upwards.
    pub path: Vec<Digest>,
}

impl Proof {
    /// The root of the tree in which this proof has `leaf` at its place; none when it cannot be one of such a tree
    /// (RFC 9162, section 2.1.3.2).
    #[must_use]
    pub fn root(&self, leaf: Digest) -> Option<Digest> {
        if self.index >= self.size || self.path.len() > PATH_MAX {
            return None;
        }
        let (mut at, mut last, mut found) = (self.index, self.size - 1, leaf);
        for neighbour in &self.path {
            if last == 0 {
                return None;
            }
            if at & 1 == 1 || at == last {
                found = node(neighbour, &found);
                while at & 1 == 0 && at != 0 {
                    at >>= 1;
                    last >>= 1;
                }
            } else {
                found = node(&found, neighbour);
            }
            at >>= 1;
            last >>= 1;
        }
        (last == 0).then_some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn leaves(count: usize) -> Vec<Digest> {
        (0..count).map(|n| target(Uuid::from_u128(n as u128), Uuid::from_u128(7))).collect()
    }

    /// The values other implementations of RFC 6962 are tested with.
    #[test]
    fn roots_are_those_of_rfc_6962() {
        let inputs: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        for (count, root) in [
            (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
            (2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
            (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
            (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
        ] {
            let tree = Tree::of(inputs[..count].iter().map(|input| leaf(&[input])).collect());
            assert_eq!(tree.root().to_string(), root, "{count} leaves");
        }
    }

    #[test]
    fn every_leaf_of_every_small_tree_is_proven_and_nothing_else() {
        for size in 1..=33 {
            let all = leaves(size);
            let tree = Tree::of(all.clone());
            for index in 0..size {
                let proof = tree.proof(index).unwrap();
                for (other, leaf) in all.iter().enumerate() {
                    assert_eq!(proof.root(*leaf) == Some(tree.root()), other == index, "{other} by {index} of {size}");
                }
            }
            assert_eq!(tree.proof(size), None);
        }
    }

    /// A node of the tree, given out as a leaf, proves nothing: the two are digested differently.
    #[test]
    fn a_node_is_no_leaf() {
        let all = leaves(4);
        let tree = Tree::of(all.clone());
        let inner = node(&all[0], &all[1]);
        let shortened = Proof { index: 0, size: 2, path: vec![node(&all[2], &all[3])] };
        // With the digest of the node itself the path fits; a target never has that digest.
        assert_eq!(shortened.root(inner), Some(tree.root()));
        assert!(all.iter().all(|leaf| *leaf != inner && shortened.root(*leaf) != Some(tree.root())));
    }

    proptest! {
        #[test]
        fn a_changed_proof_proves_nothing(size in 2usize..200, pick in 0usize..1000, how in 0u8..6, at in 0usize..16, bit in 0u8..8) {
            let all = leaves(size);
            let tree = Tree::of(all.clone());
            let index = pick % size;
            let good = tree.proof(index).unwrap();
            prop_assert_eq!(good.root(all[index]), Some(tree.root()));
            let mut bad = good.clone();
            let at = at % good.path.len();
            match how {
                0 => bad.index = (bad.index + 1) % bad.size,
                1 => { bad.path.pop(); }
                2 => bad.path.push(Digest::of(b"more")),
                3 => { bad.path.remove(at); }
                4 => {
                    let mut bytes = *bad.path[at].as_bytes();
                    bytes[at] ^= 1 << bit;
                    bad.path[at] = Digest::from_bytes(bytes);
                }
                _ => bad.index += bad.size,
            }
            prop_assert_ne!(bad.root(all[index]), Some(tree.root()));
        }

        #[test]
        fn no_proof_however_strange_panics(index: u64, size: u64, length in 0usize..80) {
            let proof = Proof { index, size, path: leaves(length) };
            let _ = proof.root(Digest::of(b"x"));
        }
    }
}
