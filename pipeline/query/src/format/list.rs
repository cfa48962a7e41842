//! `format list`.

use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BUILT_IN, Own};
use crate::count::InOrder;
use crate::{Question, QuestionError, Reply, Window};

/// Which formats.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct List {
    /// Leaves out those that are built in.
    #[arg(long)]
    pub no_builtin: bool,
}

/// The formats.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Listed {
    /// Those that are built in, and what they read. `--format NAME` forces one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub builtin_formats: Option<InOrder<&'static str>>,
    /// Those of the configuration.
    pub user_formats: InOrder<Own>,
    /// The configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_path: Option<String>,
}

impl Question for List {
    const NAME: &'static str = "format list";
    const DOCS: &'static str = include_str!("docs/list.md");
    type Answer = Listed;

    fn needs_entries(&self) -> bool {
        false
    }

    fn ask(&self, window: &Window) -> Result<Reply<Listed>, QuestionError> {
        let formats = window.formats();
        let built_in = || BUILT_IN.iter().map(|(name, what)| ((*name).to_owned(), *what)).collect();
        let own = formats.custom.0.iter().map(|(name, custom)| (name.clone(), Own::new(custom)));
        let listed = Listed {
            builtin_formats: (!self.no_builtin).then(|| InOrder(built_in())),
            user_formats: InOrder(own.collect()),
            config_path: formats.file.clone(),
        };
        Ok(Reply::when(!self.no_builtin || !listed.user_formats.0.is_empty(), listed))
    }
}
