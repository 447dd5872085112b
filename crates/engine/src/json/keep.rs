//! What a loop would make again at every turn, and what does not change with it, is made once.

use super::place::{Compiler, Frame};

impl Compiler {
    /// Compiles what `compile` does, and says where to keep what is made of it while loops go on around it; `None` where
    /// it changes at every turn of the innermost, or there is none.
    pub(super) fn kept<T>(&mut self, compile: impl FnOnce(&mut Self) -> T) -> (T, Option<usize>) {
        let before = std::mem::take(&mut self.depends);
        let compiled = compile(self);
        let innermost = self.depends.checked_ilog2().unwrap_or(0) as usize;
        self.depends |= before;
        if self.loops.len() <= innermost {
            return (compiled, None);
        }
        let slot = self.wanted.kept;
        self.wanted.kept += 1;
        if let Some(around) = innermost.checked_sub(1) {
            self.loops[around].kept.push(slot);
        }
        (compiled, Some(slot))
    }
}

/// Appends what was kept, or makes it.
pub(super) fn write_kept<'a, E>(
    slot: usize,
    frame: &mut Frame<'a>,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Frame<'a>, &mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    if let Some(text) = &frame.kept[slot] {
        out.extend_from_slice(text);
        return Ok(());
    }
    let start = out.len();
    write(frame, out)?;
    frame.kept[slot] = Some(out[start..].to_vec());
    Ok(())
}
