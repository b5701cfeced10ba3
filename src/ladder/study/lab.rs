//! What a study needs of the machine that does it.

use std::collections::BTreeMap;
use std::path::Path;

use crate::Result;
use crate::ladder::policy::{Policy, PolicyInfo};
use crate::ladder::settings::Settings;
use crate::train::fingerprint::Base;

/// Makes the policies of a study.
pub trait Lab {
    /// What it makes.
    type Policy: Policy;

    /// A policy with the adapter in `adapter`, or with a new one by `settings.lora` and `settings.seed`.
    ///
    /// # Errors
    /// Those of loading it.
    fn policy(&mut self, settings: &Settings, adapter: Option<&Path>) -> Result<Self::Policy>;

    /// Model and device.
    fn info(&self) -> Option<PolicyInfo>;

    /// What the numbers of its policies depend on besides settings and problems; `None` where that cannot be told.
    fn base(&self) -> Option<Base>;

    /// Hashes of the files of the user's own checker, by name; arms that were judged by different ones are not compared.
    fn checker(&self) -> BTreeMap<String, String>;
}
