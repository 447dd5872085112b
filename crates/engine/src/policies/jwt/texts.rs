//! Texts that are let go together.
//!
//! They lie one after the other: one that comes is written where the last one ended, and none is freed by itself, which would fetch
//! its memory back into the processor's cache for nothing.

/// What is asked of the allocator at a time; a text that is longer has a block of its own.
const BLOCK_BYTES: usize = 64 << 10;

#[derive(Default)]
pub(super) struct Texts {
    blocks: Vec<Vec<u8>>,
}

/// Where a text stands.
#[derive(Clone, Copy)]
pub(super) struct Text {
    block: u32,
    start: u32,
    length: u32,
}

impl Texts {
    /// A text of these parts. `spare`: blocks to use before others are asked for.
    pub(super) fn add(&mut self, parts: &[&[u8]], spare: &mut Vec<Vec<u8>>) -> Text {
        let length = parts.iter().map(|part| part.len()).sum();
        let has_room = |block: &Vec<u8>| block.capacity() - block.len() >= length;
        if !self.blocks.last().is_some_and(has_room) {
            let block = spare.pop().filter(has_room);
            self.blocks.push(block.unwrap_or_else(|| Vec::with_capacity(length.max(BLOCK_BYTES))));
        }
        let index = self.blocks.len() - 1;
        let block = &mut self.blocks[index];
        let start = block.len();
        parts.iter().for_each(|part| block.extend_from_slice(part));
        let number = |number: usize| u32::try_from(number).expect("a table of tokens is far below 4 GiB");
        Text { block: number(index), start: number(start), length: number(length) }
    }

    pub(super) fn at(&self, Text { block, start, length }: Text) -> &[u8] {
        &self.blocks[block as usize][start as usize..][..length as usize]
    }

    /// Lets all of them go, and keeps the memory.
    pub(super) fn empty_into(self, spare: &mut Vec<Vec<u8>>) {
        // One that is larger than the others was for a single text.
        let blocks = self.blocks.into_iter().filter(|block| block.capacity() <= BLOCK_BYTES);
        spare.extend(blocks.map(|mut block| {
            block.clear();
            block
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stay_as_they_came_also_in_memory_that_is_used_again() {
        let mut spare = Vec::new();
        for round in 0..3u8 {
            let mut texts = Texts::default();
            let all: Vec<Vec<u8>> = (0..2000).map(|number| vec![number as u8 ^ round; number % 700]).collect();
            let long = vec![round; BLOCK_BYTES * 2];
            let places: Vec<_> = all
                .iter()
                .chain([&long])
                .map(|text| texts.add(&[&text[..text.len() / 3], &text[text.len() / 3..]], &mut spare))
                .collect();
            for (place, text) in places.into_iter().zip(all.iter().chain([&long])) {
                assert_eq!(texts.at(place), text);
            }
            assert!(spare.is_empty() || round > 0);
            texts.empty_into(&mut spare);
            assert!(spare.len() < 20 && spare.iter().all(|block| block.is_empty()), "{}", spare.len());
        }
    }
}
