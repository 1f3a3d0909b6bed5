//! `Listing`: the tables of all jobs, ready for the template.

use super::cells::{JobName, LastRun, NextRun, Progress, StateCell, SuccessCell, Took, Why};
use super::details::Details;
use super::runs::marked_runs;
use super::strip::{MarkPath, Strip, legend};
use crate::jobs::{Job, LocalClock, Overview, STRIP_LENGTH, State, sort_for_page};

/// The number of jobs whose details a file contains, beside those that need attention.
const MAX_DETAILS: usize = 50;

/// Where the details of a job are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DetailLinks {
    /// On the same page.
    Anchors,
    /// On pages of the server. The page of all jobs has the details of the most urgent one.
    Pages,
}

/// Which jobs are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Words that the name or a label must contain.
    pub(crate) query: String,
    /// The value of a [`Choice`]; empty for all.
    pub(crate) state: String,
}

/// A state to filter by, with the number of its jobs.
pub(super) struct Choice {
    pub(super) value: &'static str,
    pub(super) text: String,
}

/// One job in a table.
pub(super) struct Row {
    pub(super) id: String,
    pub(super) link: Option<String>,
    pub(super) choice: &'static str,
    pub(super) name: JobName,
    pub(super) state: StateCell,
    pub(super) why: Option<Why>,
    pub(super) last_run: Option<LastRun>,
    pub(super) progress: Option<Progress>,
    pub(super) duration: Option<Took>,
    pub(super) success: SuccessCell,
    pub(super) next: Option<NextRun>,
    pub(super) strip: Option<Strip>,
}

pub(super) struct Listing {
    pub(super) title: String,
    pub(super) counts: String,
    /// What is wrong with the delivery.
    pub(super) notices: Vec<String>,
    pub(super) filter: Filter,
    pub(super) choices: Vec<Choice>,
    pub(super) total: usize,
    pub(super) attention: Vec<Row>,
    pub(super) others: Vec<Row>,
    pub(super) legend: Vec<(MarkPath, &'static str)>,
    pub(super) details: Vec<Details>,
    /// Whether a job needs attention, also one that the filter hides.
    pub(super) needs_attention: bool,
}

impl Listing {
    pub(super) fn new(overview: &Overview, filter: &Filter, links: DetailLinks) -> Self {
        let clock = &overview.clock;
        let mut jobs: Vec<&Job> = overview.jobs.iter().collect();
        sort_for_page(&mut jobs);
        let attention_count = overview.attention_count();
        let shown = match links {
            DetailLinks::Anchors => MAX_DETAILS.max(attention_count),
            DetailLinks::Pages => attention_count.min(1),
        };
        let details: Vec<_> = jobs.iter().take(shown).map(|job| Details::new(job, clock)).collect();
        let link = |at: usize, id: &str| match links {
            DetailLinks::Pages => Some(format!("/job/{id}")),
            DetailLinks::Anchors => details.get(at).map(|details| format!("#{}", details.id)),
        };
        let rows = jobs.iter().enumerate().filter(|(_, job)| filter.matches(job));
        let rows = rows.map(|(at, job)| Row::new(job, clock, |id| link(at, id)));
        let (attention, others) = rows.partition(|row: &Row| row.choice == ATTENTION);
        Self {
            title: title(overview),
            counts: counts(&overview.jobs),
            notices: overview.delivery.sentences(clock),
            filter: filter.clone(),
            choices: choices(&overview.jobs),
            total: jobs.len(),
            attention,
            others,
            legend: legend(),
            details,
            needs_attention: attention_count > 0,
        }
    }
}

impl Row {
    fn new(job: &Job, clock: &LocalClock, link: impl Fn(&str) -> Option<String>) -> Self {
        let id = job.id.clone();
        let runs = marked_runs(job, clock, STRIP_LENGTH);
        Self {
            link: link(&id),
            id,
            choice: choice(job),
            name: JobName::new(job),
            state: StateCell::new(job, clock),
            why: Why::new(job, clock).filter(|_| job.needs_attention()),
            last_run: LastRun::new(job, clock),
            progress: Progress::new(job, clock),
            duration: Took::new(job, &runs),
            success: SuccessCell::new(job, clock),
            next: NextRun::new(job, clock),
            strip: Strip::new(&runs),
        }
    }
}

const ATTENTION: &str = "attention";
const FLAPPING: &str = "flapping";
const RUNNING: &str = "running";
const FINE: &str = "fine";

fn choice(job: &Job) -> &'static str {
    match job.state {
        _ if job.needs_attention() => ATTENTION,
        State::Flapping => FLAPPING,
        State::Running => RUNNING,
        _ => FINE,
    }
}

impl Filter {
    /// The script of the page has the same rule.
    fn matches(&self, job: &Job) -> bool {
        let text = job.words().join(" ").to_lowercase();
        let query = self.query.to_lowercase();
        (self.state.is_empty() || self.state == choice(job))
            && query.split_whitespace().all(|word| text.contains(word))
    }
}

fn choices(jobs: &[Job]) -> Vec<Choice> {
    let number = |value| jobs.iter().filter(|job| choice(job) == value).count();
    let choice = |value, word: &str| Choice { value, text: format!("{word} {}", number(value)) };
    vec![
        Choice { value: "", text: format!("All {}", jobs.len()) },
        choice(ATTENTION, "Attention"),
        choice(FLAPPING, "Flapping"),
        choice(RUNNING, "Running"),
        choice(FINE, "Fine"),
    ]
}

fn title(overview: &Overview) -> String {
    let all = overview.jobs.len();
    match (overview.attention_count(), all) {
        (_, 0) => "No jobs".to_owned(),
        (0, 1) => "The job is fine".to_owned(),
        (0, _) => format!("All {all} jobs are fine"),
        (1, 1) => "The job needs attention".to_owned(),
        (1, _) => format!("1 of {all} jobs needs attention"),
        (some, _) => format!("{some} of {all} jobs need attention"),
    }
}

/// Counts the jobs by state, in one or two sentences.
fn counts(jobs: &[Job]) -> String {
    let number = |state| jobs.iter().filter(|job| job.state == state).count();
    let list = |states: &[(State, &str)]| {
        let found = states.iter().map(|(state, word)| (number(*state), word));
        let found = found.filter(|(number, _)| *number > 0);
        found.map(|(number, word)| format!("{number} {word}")).collect::<Vec<_>>().join(", ")
    };
    let attention = list(&[
        (State::Failing, "failing"),
        (State::Vanished, "vanished"),
        (State::Overdue, "overdue"),
        (State::NoSuccess, "without success"),
        (State::Refused, "refused"),
    ]);
    let fine = jobs.iter().filter(|job| choice(job) == FINE).count();
    let others = list(&[(State::Flapping, "flapping"), (State::Running, "running")]);
    let others = match (others.is_empty(), fine) {
        (false, 0) => others,
        (false, fine) => format!("{others}, {fine} fine"),
        (true, fine) => format!("{fine} fine"),
    };
    match (jobs.is_empty(), attention.is_empty()) {
        (true, _) => {
            "No job has pushed to these gateways. Run a job, then reload this page.".to_owned()
        }
        (false, true) => format!("{others}."),
        (false, false) => format!("{attention}. Of the others: {others}."),
    }
}
