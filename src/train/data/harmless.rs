//! Fields of training rows that have no effect on what is learnt: those that name, place, describe or measure a row in the data sets
//! that people train on (Alpaca, ShareGPT, OpenHermes, UltraChat, WildChat, NuminaMath, OpenR1, DAPO, Tulu, Magpie, Dolly, OASST, FineWeb).

/// Names in lower case, with the reason.
const HARMLESS: &[(&str, &str)] = &[
    (
        "they name the row",
        "\
         _id avatarurl created_by dump fingerprint hash id idx index key md5 min_similar_uuid name num number qid rid \
         sha256 source_ids uid uuid",
    ),
    (
        "they say where it is from",
        "\
         added author avatar_url channel corpus country created created_at created_date creator data_source data_split dataset \
         dataset_version date file file_path filename gen_input_configs generated_by generator hashed_ip header \
         input_generator knowledge_source licence license link model name_of_model organization origin origin_dataset \
         original_dataset partition path pool prompt_source provenance provider publisher repo repository seed source \
         source_dataset source_file sources split state subset task_source teacher time timestamp title tree_state \
         updated_at uri url user username version website year",
    ),
    (
        "they describe it",
        "\
         ability annotation annotations annotator attributes categories category comment comments custom_instruction \
         deleted description difficulty difficulty_generator difficulty_level domain evolution extra extra_info field \
         full_topic genre grade info intent intents keywords kind knowledge lang lang_code language language_code \
         languages level locale main_category meta metadata metadata_json note notes other_task_category \
         quality_generator skill skills skip_prompt_formatting style sub_category subcategory subdomain subfield \
         subject subtopic synthetic tag tags task task_category task_category_generator theme topic topics type views",
    ),
    (
        "they measure it",
        "\
         avg_rating confidence correct correctness_llama correctness_math_verify count detoxify detoxify_moderation \
         emojis finish_reason finish_reasons generations helpfulness honesty input_quality instruct_reward len length \
         likes llama_guard_2 max_stars_count min_neighbor_distance moderation openai_moderation pass_rate perplexity \
         pii ppl problem_is_valid quality quality_explanation rank rating ratings redacted review_result reward score \
         score_chosen score_rejected scores scores_chosen scores_rejected similarity solution_is_valid stars \
         token_count tokens toxic toxicity turn turns upvotes verification_info verified",
    ),
    (
        "problems and their known answers are for tasks; what is learnt is in the record",
        "\
         answer answers expected_answer final_answer gold ground_truth problem reference reward_model solution target",
    ),
    (
        "they say how an answer is to be drawn",
        "\
         max_tokens n parallel_tool_calls stop stream temperature tool_choice top_p",
    ),
];

/// What data sets count or index, with `n`, `num` or `number_of` before it. Others, such as `num_shots` and
/// `num_epochs`, ask for something.
const COUNTED: &str = "\
    answers bytes chars characters citations downloads edits examples images letters likes lines messages paragraphs \
    replies reviews rounds sentences solutions stars steps tokens turns upvotes views votes words";
/// Of what tokens are counted, before `_tokens`.
const OF_TOKENS: &str = "\
    all answer assistant completion content input instruction model n num number_of output prompt question reasoning \
    response solution system text thinking token total used user";
/// Last words of names that name, place or measure a row: `video_id`, `bleu_score`, `book_name`.
const LAST: &str = "count hash id idx index length metadata name score scores type";
/// Words with which such a name asks for something instead: `max_length`, `loss_type`, `stop_type`.
const ASKING: &str =
    "bos eos learn loss mask max min pad sampling stop target token train training truncate weight";
/// Words of flags (`is_code`, `has_image`) are about the row; what says that it is learnt or not is looked at before.
const FLAGS: [&str; 2] = ["is_", "has_"];
/// Beginnings of names of a row's own description, and of columns that programs leave behind.
const MARKS: [&str; 2] = ["meta_", "__"];

/// Whether a field is known to change nothing.
pub(super) fn is_harmless(name: &str) -> bool {
    let name = name.to_lowercase();
    let among = |list: &str, word: &str| list.split_ascii_whitespace().any(|listed| listed == word);
    let counted = ["n_", "num_", "number_of_"].iter().find_map(|start| name.strip_prefix(start));
    HARMLESS.iter().any(|(_, names)| among(names, &name))
        || counted.is_some_and(|what| among(COUNTED, what))
        || name.strip_suffix("_tokens").is_some_and(|of| among(OF_TOKENS, of))
        || name.rsplit_once('_').is_some_and(|(words, last)| {
            among(LAST, last) && !words.split('_').any(|word| among(ASKING, word))
        })
        || FLAGS.iter().chain(&MARKS).any(|start| name.starts_with(start))
}
