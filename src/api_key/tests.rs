//! Parser rows by the guarantee they keep, then properties over arbitrary bytes.
