//! Biases, penalties and masks. Kernel: src/kernel/adjust.rs.

use stepladder::kernel::adjust::Settings;

/// Of one token: what is added, how often it was drawn before the token that is fed now, whether the prompt has it, whether it is
/// fed now and was drawn, and whether it may be chosen.
#[derive(Debug, Clone, Copy)]
pub struct Token {
    pub bias: f64,
    pub drawn: u32,
    pub in_prompt: bool,
    pub is_fed: bool,
    pub is_allowed: bool,
}

/// The logit after it; `masked` is that of what may not be chosen.
pub fn forward(z: f64, token: Token, settings: &Settings, masked: f64) -> f64 {
    if !token.is_allowed {
        return masked;
    }
    let drawn = f64::from(token.drawn + u32::from(token.is_fed));
    let [repetition, presence, frequency] =
        [settings.repetition, settings.presence, settings.frequency].map(f64::from);
    let seen = token.in_prompt || drawn > 0.0;
    let repeated = match (seen, z > 0.0) {
        (false, _) => z,
        (true, true) => z / repetition,
        (true, false) => z * repetition,
    };
    let present = if drawn > 0.0 { presence } else { 0.0 };
    repeated - present - frequency * drawn + token.bias
}
