//! What was found about a fleet: a line as each cluster answers, then one table, then what is wrong, the worst first.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::find::Clusters;
use super::part::{Answer, Shared};
use super::rows::{no_answer, rows, sort, worst};
use super::run::{self, Ran};
use super::saved;
use crate::cli::args::{Command, Global, OutputFormat, PlanArgs};
use crate::cli::error::{Exit, Failure};
use crate::cli::{config, doctor, show as show_plan, show_markdown, status};
use crate::ops::plan::count;
use crate::report::print::{data, say_all, tell, tell_all};
use crate::report::{Paint, one_line, printable, terminal_width};

/// `status`, `health`, `doctor`, `plan`, `backup list`.
///
/// # Errors
/// When a plan cannot be saved; what happens to a cluster is told with it.
pub async fn look(
    global: &Global,
    shared: &Arc<Shared>,
    clusters: Clusters,
    command: &Command,
    dir: &Path,
) -> Result<Exit, Failure> {
    let of_each = each(command);
    let (command, out) = match (&of_each, command) {
        (Some(of_each), Command::Plan(PlanArgs { out, .. })) => (of_each, out.as_deref()),
        _ => (command, None),
    };
    let clashes = clusters.clashes();
    let json = global.output == OutputFormat::Json;
    let mut progress = progress(shared, &clusters);
    let mut ended = run::look(global, shared, clusters, command, |ran| match json {
        true => data(&ran.object().to_string()),
        false => progress(ran),
    })
    .await;
    let mut exit = worst(ended.iter().map(|ran| ran.exit));
    if !json {
        let markdown = matches!(command, Command::Plan(PlanArgs { markdown: true, .. }));
        sort(&mut ended);
        match command {
            _ if markdown => as_markdown(&ended),
            Command::Config(args) => settings(&ended, args.explain),
            _ => as_text(&ended, global.verbose > 0),
        }
    }
    let saved = match out {
        Some(out) => saved::save(out, dir, &ended, &clashes),
        None => Ok(()),
    };
    if !json {
        ended.into_iter().for_each(tell_failure);
    }
    for clash in &clashes {
        tell!("warning: {clash} (help: no command changes this fleet until one of them is changed)");
        exit = worst([exit, Exit::Inventory]);
    }
    saved.map(|()| exit).map_err(|failure| Failure {
        exit: worst([exit, failure.exit]),
        ..failure
    })
}

/// What each cluster is planned by where all plans are saved together, in one file.
fn each(command: &Command) -> Option<Command> {
    match command {
        Command::Plan(args) if args.out.is_some() => Some(Command::Plan(PlanArgs {
            of: None,
            out: None,
            ..*args
        })),
        _ => None,
    }
}

/// Says how far it is: a line for each answer, on standard error.
pub fn progress(shared: &Arc<Shared>, clusters: &Clusters) -> impl FnMut(&Ran) + use<> {
    let (shared, all) = (shared.clone(), clusters.whole.len() + clusters.broken.len());
    let mut answered = 0;
    move |ran| {
        answered += 1;
        let line = format!("{answered} of {all}: {}: {}", ran.name, in_short(ran));
        shared.screen.line(one_line(&line));
    }
}

/// A cluster in a few words.
fn in_short(ran: &Ran) -> String {
    if ran.failure.is_some() {
        return no_answer(ran.exit).to_owned();
    }
    match ran.answers.last() {
        Some(Answer::Glance(glance)) => status::verdict(glance, Paint::PLAIN).replace("  ", ", "),
        Some(Answer::Examination(found)) => match found.findings.len() {
            0 => "nothing to report".to_owned(),
            n => count(n, "finding"),
        },
        Some(Answer::Plan(plan)) if plan.is_empty() => "up to date".to_owned(),
        Some(Answer::Plan(plan)) => count(plan.steps().count(), "step"),
        Some(Answer::Backups(backups)) => count(backups.counting(), "backup"),
        Some(Answer::Checked(_)) => "nothing wrong with it".to_owned(),
        Some(Answer::Settings(_)) => "read".to_owned(),
        None => "nothing to do".to_owned(),
    }
}

fn as_text(ended: &[Ran], with_diffs: bool) {
    let table = rows(ended, Timestamp::now()).table();
    say_all!("{}\n", table.render(terminal_width(), true));
    let (paint, width) = (Paint::from_env(true), terminal_width().map_or(usize::MAX, usize::from));
    for ran in ended {
        say_all!("{}", closer(ran, paint, width, with_diffs));
    }
}

/// What counts for each, in one table: `config etcd.version` shows who runs what.
fn settings(ended: &[Ran], origins: bool) {
    let read = ended.iter().flat_map(|ran| {
        ran.answers.iter().filter_map(|answer| match answer {
            Answer::Settings(settings) => Some((ran.name.as_str(), settings)),
            _ => None,
        })
    });
    say_all!("{}\n", config::of_several(read, origins).render(terminal_width(), true));
}

/// Whom the next lines are about, and what the commands in them are to be passed.
fn heading(ran: &Ran, paint: Paint) -> String {
    let passed = format!("(-i {})", ran.path.display());
    format!("{} {}\n", paint.strong(&ran.name), paint.dim(&printable(&passed)))
}

/// What there is to say of one cluster besides its row.
fn closer(ran: &Ran, paint: Paint, width: usize, with_diffs: bool) -> String {
    match ran.answers.last() {
        Some(Answer::Glance(glance)) if ran.exit != Exit::Done => {
            format!("\n{}{}", heading(ran, paint), status::remarks(glance, paint))
        }
        Some(Answer::Examination(found)) if !found.findings.is_empty() => {
            format!("\n{}{}", heading(ran, paint), doctor::text(found, paint, width))
        }
        Some(Answer::Plan(plan)) if !plan.is_empty() => format!(
            "
{}{}",
            heading(ran, paint),
            show_plan::plan(plan, paint, with_diffs, width)
        ),
        _ => String::new(),
    }
}

/// The plans of a pull request; those that could not be made are told as well.
fn as_markdown(ended: &[Ran]) {
    for ran in ended {
        if let Some(plan) = ran.plan() {
            say_all!("{}\n", show_markdown::plan(plan));
        }
        if let Some(failure) = &ran.failure {
            let (name, why) = (show_markdown::prose(&ran.name), show_markdown::prose(&failure.message));
            say_all!("### etcd cluster {name}\n\n**no plan: {why}**\n\n");
        }
    }
}

/// Why the command did not succeed for a cluster.
pub fn tell_failure(ran: Ran) {
    if let Some(failure) = ran.failure {
        tell_all!("\n");
        tell!("{} (-i {}):", ran.name, ran.path.display());
        failure.tell();
    }
}
