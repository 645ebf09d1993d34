//! The plan as programs read it: `waves`, each a list of steps with plain words where a person would want words.
//!
//! A saved plan (`plan --out`) is another thing: the whole [`Plan`], for `up --plan` only.

use serde_json::{Value, json};

use crate::ops::plan::{Plan, Step, Target, Wave};

/// `plan --output json`.
///
/// # Errors
/// When the plan cannot be written as JSON.
pub fn plan_json(plan: &Plan) -> Result<Value, serde_json::Error> {
    let waves = plan.waves.iter().map(steps).collect::<Result<Vec<_>, _>>()?;
    let about: Vec<Value> = plan
        .waves
        .iter()
        .map(|wave| json!({"title": wave.title, "tolerance": wave.tolerance}))
        .collect();
    Ok(json!({
        "cluster": plan.header.cluster,
        "header": plan.header,
        "steps_digest": plan.steps_digest,
        "waves": waves,
        "about_waves": about,
        "notes": plan.notes,
    }))
}

fn steps(wave: &Wave) -> Result<Vec<Value>, serde_json::Error> {
    wave.steps.iter().map(step).collect()
}

/// A step; what its action needs besides its name stands in `details`.
fn step(step: &Step) -> Result<Value, serde_json::Error> {
    let mut details = serde_json::to_value(&step.action)?;
    let action = details.as_object_mut().and_then(|fields| fields.remove("action"));
    let target = match &step.target {
        Target::Node(node) => node.as_str(),
        Target::Cluster => "cluster",
        Target::Operator => "operator",
    };
    Ok(json!({
        "id": step.id,
        "target": target,
        "action": action,
        "what": step.action.describe(),
        "details": details,
        "risk": step.risk,
        "why": step.why,
        "requires": step.requires,
        "ensures": step.ensures,
    }))
}
