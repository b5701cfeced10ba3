//! The report shows what happened and cannot be taken over by what a model wrote.

use stepladder::ladder::report::render;
use stepladder::ladder::settings::Settings;

use crate::mock::{HOSTILE, Mock, card, problems, run_in_memory, settings};

fn page(settings: Settings, noise: f64) -> String {
    let mut card = card(settings);
    card.model = format!("mock {HOSTILE}");
    let (outcome, store) = run_in_memory(&mut Mock { noise, ..Mock::new() }, &card);
    render(&card, &store.events, &outcome.unwrap().nodes).unwrap()
}

#[test]
fn model_text_is_escaped() {
    let page = page(settings(), 0.3);
    assert!(page.contains("&lt;script&gt;alert(1)"), "the hostile answers are shown");
    for bad in ["<script", "<img", "\u{202e}", "\u{0}"] {
        assert!(!page.contains(bad), "{bad:?} is in the page");
    }
    assert!(page.contains("default-src &#x27;none&#x27;") || page.contains("default-src 'none'"));
    for reference in ["http:", "https:", "src=\"", "url(", "@import"] {
        let elsewhere = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!elsewhere.contains(reference), "{reference} points out of the page");
    }
}

#[test]
fn every_part_is_there() {
    let page = page(settings(), 0.05);
    for part in [
        "Held-out problems",
        "before",
        "after step 6",
        "Course of training",
        "Held-out pass@1",
        "Log-probabilities, training against sampling",
        "Tree of problems",
        "4:1",
        "level 4",
        "already in the tree",
        "Contamination",
        "Training answers",
        "curriculum.sharpness",
        "complete, 6 of 6 steps",
    ] {
        assert!(page.contains(part), "{part} is missing");
    }
    assert!(page.matches("<svg").count() >= 6);
    for tag in ["details", "div", "section", "table", "figure", "svg"] {
        let open = page.matches(&format!("<{tag} ")).count() + page.matches(&format!("<{tag}>")).count();
        assert_eq!(open, page.matches(&format!("</{tag}>")).count(), "{tag} is not balanced");
    }
    assert!(!page.contains("&lt;div") && !page.contains("&lt;svg"), "the page's own markup is not escaped");
}

#[test]
fn an_empty_run_has_a_page() {
    let mut card = card(settings());
    card.held_out.clear();
    let page = render(&card, &[], &[]).unwrap();
    assert!(page.contains("No held-out problems") && page.contains("running, 0 of 6 steps"));
}

#[test]
fn a_huge_tree_is_cut_and_says_so() {
    let mut tree = stepladder::ladder::tree::Tree::default();
    for index in 0..4000 {
        tree.add_root(&crate::mock::Pairs, &problems(&[&format!("1:{index}")])[0]).unwrap();
    }
    let page = render(&card(settings()), &[], tree.nodes()).unwrap();
    assert!(page.contains("1000 of 4000 problems are not shown"));
}

#[test]
fn every_contaminated_problem_is_listed() {
    let mut card = card(settings());
    card.problems = problems(&["4:8", "4:1", "4:1", "4:2"]);
    let (outcome, store) = run_in_memory(&mut Mock::new(), &card);
    let page = render(&card, &store.events, &outcome.unwrap().nodes).unwrap();
    let listed = page.split("Contamination</h2>").nth(1).unwrap().split("</section>").next().unwrap();
    // The root that is held out, not the one that occurs twice, and what the mock proposes.
    assert!(listed.contains("root `4:8` is not used") && !listed.contains("root `4:1`"), "{listed}");
    assert!(listed.contains("variant of 4:") && listed.contains("<code>4:7</code>"), "{listed}");
    let clean = render(&card, &[], &[]).unwrap();
    assert!(clean.contains("No training problem and no variant was equal"));
}
