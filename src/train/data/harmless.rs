//! Fields of training rows that have no effect on what is learnt: those that name, place, describe or measure a row in the data sets
//! that people train on (Alpaca, ShareGPT, OpenHermes, UltraChat, WildChat, NuminaMath, OpenR1, DAPO, Tulu, Magpie, Dolly, OASST, FineWeb).

/// Names in lower case, with the reason.
const HARMLESS: &[(&str, &str)] = &[
    (
        "they name the row",
        "\
         __id__ __index_level_0__ __key__ __url__ _id avatarurl content_hash conv_id conversation_hash \
         conversation_id created_by data_id doc_id document_id dump example_id example_index fingerprint hash id idx \
         index instance_id item_id key md5 message_id message_tree_id min_similar_uuid name num number original_id \
         original_index parent_id problem_id problem_idx prompt_hash prompt_id qid question_id record_id rid row_id \
         row_idx sample_id sample_idx sample_index sha256 source_id source_ids task_id text_hash thread_id turn_id \
         uid unique_id user_id uuid warc_record_id",
    ),
    (
        "they say where it is from",
        "\
         added annotator_id author author_name avatar_url channel corpus country created created_at created_date \
         creator data_name data_source dataset dataset_id dataset_name dataset_version date domain_name file \
         file_name file_path filename gen_input_configs generated_by generator generator_name hashed_ip header \
         input_generator knowledge_source licence license link model model_id model_name name_of_model organization \
         origin origin_dataset original_dataset paper_id path pool prompt_source provenance provider publisher repo \
         repo_name repository repository_name seed source source_dataset source_file source_name source_type sources \
         split state subset task_source teacher time timestamp title tree_state updated_at uri url user username \
         version website worker_id year",
    ),
    (
        "they describe it",
        "\
         ability annotation annotations annotator answer_type attributes categories category comment comments \
         custom_instruction data_type deleted description difficulty difficulty_generator difficulty_level domain \
         evolution extra extra_info field full_topic genre grade info intent intents keywords kind knowledge lang \
         lang_code language language_code languages level level_name locale main_category meta metadata metadata_json \
         note notes other_task_category problem_type prompt_type quality_generator question_type reasoning_type skill \
         skills skip_prompt_formatting style sub_category subcategory subdomain subfield subject subtopic synthetic \
         tag tag_name tags task task_category task_category_generator task_name task_type text_type theme topic \
         topic_name topics type views",
    ),
    (
        "they measure it",
        "\
         answer_count avg_rating char_count character_count confidence conversation_length correct correctness_count \
         correctness_llama correctness_math_verify count detoxify detoxify_moderation emojis finish_reason \
         finish_reasons generations helpfulness honesty input_quality instruct_reward instruction_length int_score \
         is_correct judge_score lang_score language_score len length likes llama_guard_2 max_stars_count \
         message_count min_neighbor_distance moderation openai_moderation pass_rate perplexity pii ppl \
         problem_is_valid problem_length prompt_length prompt_score quality quality_explanation quality_score \
         quality_scores rank rating rating_score ratings redacted repeat_count response_length review_count \
         review_result reward reward_score score score_chosen score_rejected scores scores_chosen scores_rejected \
         similarity similarity_score solution_is_valid solution_length star_count stars style_score text_length \
         token_count tokens toxic toxicity toxicity_score turn turn_count turns upvotes verification_info verified \
         word_count",
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

/// What data sets count or index, with `n`, `num` or `number_of` before it or `_count` behind it. Others, such as `num_shots` and
/// `num_epochs`, ask for something.
const COUNTED: &str = "\
    answers bytes chars characters citations downloads edits examples images letters likes lines messages paragraphs \
    replies reviews rounds sentences solutions stars steps tokens turns upvotes views votes words";
/// Of what tokens are counted, before `_tokens`.
const OF_TOKENS: &str = "\
    all answer assistant completion content input instruction model n num number_of output prompt question reasoning \
    response solution system text thinking token total used user";
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
        || name.strip_suffix("_count").is_some_and(|what| among(COUNTED, &format!("{what}s")))
        || FLAGS.iter().chain(&MARKS).any(|start| name.starts_with(start))
}
