//! The address that makes vectors of texts, `/v1/embeddings`: hidden states of a model, pooled.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use axum::routing::post;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};

use super::app::App;
use super::ask::prompts;
use super::body::{Outcome, read, respond};
use super::fields::Fields;
use super::job::Wish;
use super::refusal::Refusal;
use crate::model::score::Pooling;

/// Most texts of a request, as OpenAI's interface has it.
const MAX_TEXTS: u64 = 2048;

/// The address.
pub(super) fn router() -> Router<Arc<App>> {
    Router::new().route("/v1/embeddings", post(embed))
}

/// What a client asks for.
struct Ask {
    model: Option<String>,
    texts: Vec<Vec<u32>>,
    pooling: Pooling,
    /// Whether vectors are told as the bytes of their numbers.
    is_base64: bool,
}

impl Ask {
    fn read(body: &[u8], app: &App) -> Result<Self, Refusal> {
        let mut fields = Fields::of_body(body)?;
        let model = fields.text("model")?;
        let is_base64 = match fields.text("encoding_format")?.as_deref() {
            None | Some("float") => false,
            Some("base64") => true,
            Some(_) => {
                return Err(Refusal::field("encoding_format", "is not known here", "use float or base64"));
            }
        };
        let pooling = match fields.text("pooling")?.as_deref() {
            None | Some("mean") => Pooling::Mean,
            Some("last") => Pooling::Last,
            Some(_) => return Err(Refusal::field("pooling", "is not known here", "use mean or last")),
        };
        let width = app.config.hidden_size as u64;
        if fields.count("dimensions", 1, u64::from(u32::MAX))?.is_some_and(|wanted| wanted != width) {
            let problem = format!("is not {width}, which this model has");
            return Err(Refusal::field("dimensions", problem, "leave it out"));
        }
        let (texts, _) = prompts(&mut fields, "input", MAX_TEXTS, &app.language, app.context)?;
        fields.finish()?;
        Ok(Self { model, texts, pooling, is_base64 })
    }
}

async fn embed(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    respond(vectors(app, request).await)
}

async fn vectors(app: Arc<App>, request: Request) -> Outcome {
    let body = read(request).await?;
    let for_reading = Arc::clone(&app);
    // Tokenizers work for a while on long texts.
    let read = tokio::task::spawn_blocking(move || Ask::read(&body, &for_reading));
    let ask = read.await.map_err(|_| Refusal::stopping())??;
    let (name, adapter) = app.choose(ask.model.as_deref()).await?;
    if app.stopping.load(Ordering::Relaxed) {
        return Err(Refusal::stopping());
    }
    let _place = app.queue_up()?;
    let tokens: usize = ask.texts.iter().map(Vec::len).sum();
    let mut data = Vec::new();
    // One after the other, so that others are answered in between.
    for (index, tokens) in ask.texts.into_iter().enumerate() {
        let wish = Wish::Vector { tokens, adapter: Arc::clone(&adapter), pooling: ask.pooling };
        let vector = app.wish(wish).await?;
        let vector = if ask.is_base64 { encoded(&vector) } else { vector };
        data.push(json!({ "object": "embedding", "index": index, "embedding": vector }));
    }
    Ok(json!({
        "object": "list",
        "data": data,
        "model": name,
        "usage": { "prompt_tokens": tokens, "total_tokens": tokens },
    }))
}

/// The numbers as 32-bit floats, the smallest byte first, in base64.
fn encoded(vector: &Value) -> Value {
    let numbers = vector.as_array().map(Vec::as_slice).unwrap_or_default();
    let bytes = numbers.iter().flat_map(|number| (number.as_f64().unwrap_or_default() as f32).to_le_bytes());
    Value::String(BASE64_STANDARD.encode(bytes.collect::<Vec<u8>>()))
}
