//! Writes small GGUF files, right and wrong ones.

#![allow(dead_code, reason = "each test binary uses a part of this file")]

/// A tensor to be written.
#[derive(Clone)]
pub(crate) struct Tensor {
    name: String,
    /// Contiguous dimension first, as GGUF lists them.
    dims: Vec<u64>,
    kind: u32,
    data: Vec<u8>,
    /// Added to the right offset.
    pub(crate) offset_change: i64,
}

/// A file under construction.
#[derive(Clone, Default)]
pub(crate) struct Writer {
    values: Vec<(String, Vec<u8>)>,
    pub(crate) tensors: Vec<Tensor>,
}

fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

impl Writer {
    /// A value of type `kind` with its bytes.
    pub(crate) fn raw(&mut self, key: &str, kind: u32, bytes: &[u8]) {
        self.values.push((key.into(), [&kind.to_le_bytes()[..], bytes].concat()));
    }

    pub(crate) fn u32(&mut self, key: &str, value: u32) {
        self.raw(key, 4, &value.to_le_bytes());
    }

    pub(crate) fn f32(&mut self, key: &str, value: f32) {
        self.raw(key, 6, &value.to_le_bytes());
    }

    pub(crate) fn text(&mut self, key: &str, value: &str) {
        self.raw(key, 8, &string(value));
    }

    pub(crate) fn texts(&mut self, key: &str, values: &[&str]) {
        let header = [8u32.to_le_bytes().to_vec(), (values.len() as u64).to_le_bytes().to_vec()].concat();
        self.raw(key, 9, &values.iter().fold(header, |bytes, value| [bytes, string(value)].concat()));
    }

    pub(crate) fn ints(&mut self, key: &str, values: &[i32]) {
        let header = [5u32.to_le_bytes().to_vec(), (values.len() as u64).to_le_bytes().to_vec()].concat();
        self.raw(
            key,
            9,
            &values.iter().fold(header, |bytes, value| [bytes, value.to_le_bytes().to_vec()].concat()),
        );
    }

    pub(crate) fn floats(&mut self, key: &str, values: &[f32]) {
        let header = [6u32.to_le_bytes().to_vec(), (values.len() as u64).to_le_bytes().to_vec()].concat();
        let values: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.raw(key, 9, &[header, values].concat());
    }

    /// Takes a key of the metadata away.
    pub(crate) fn remove(&mut self, key: &str) {
        self.values.retain(|(name, _)| name != key);
    }

    /// The keys so far.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.values.iter().map(|(key, _)| key.clone()).collect()
    }

    /// These tensors with another's metadata.
    pub(crate) fn with_metadata_of(mut self, other: &Self) -> Self {
        self.values.clone_from(&other.values);
        self
    }

    /// A tensor of shape `[out, in]` whose values are their row's number (their own in a vector).
    pub(crate) fn tensor(&mut self, name: &str, shape: &[u64], kind: u32) {
        let cols = if shape.len() == 1 { 1 } else { shape[shape.len() - 1] };
        let values = shape.iter().product::<u64>();
        let data: Vec<u8> = (0..values).flat_map(|i| ((i / cols) as f32).to_le_bytes()).collect();
        self.tensor_of(name, shape, kind, &data);
    }

    /// A tensor of given bytes.
    pub(crate) fn tensor_of(&mut self, name: &str, shape: &[u64], kind: u32, data: &[u8]) {
        let dims = shape.iter().rev().copied().collect();
        self.tensors.push(Tensor { name: name.into(), dims, kind, data: data.to_vec(), offset_change: 0 });
    }

    /// The file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(3u32.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.values.len() as u64).to_le_bytes());
        for (key, value) in &self.values {
            out.extend(string(key));
            out.extend(value);
        }
        let mut data: Vec<u8> = Vec::new();
        for tensor in &self.tensors {
            out.extend(string(&tensor.name));
            out.extend((tensor.dims.len() as u32).to_le_bytes());
            tensor.dims.iter().for_each(|dim| out.extend(dim.to_le_bytes()));
            out.extend(tensor.kind.to_le_bytes());
            data.resize(data.len().next_multiple_of(32), 0);
            out.extend((data.len() as u64).wrapping_add_signed(tensor.offset_change).to_le_bytes());
            data.extend(&tensor.data);
        }
        out.resize(out.len().next_multiple_of(32), 0);
        out.extend(data);
        out
    }
}

/// The metadata of [`llama`], except `given` keys.
pub(crate) fn llama_metadata(writer: &mut Writer, given: &[String]) {
    let mut all = Writer::default();
    all.text("general.architecture", "llama");
    for (key, value) in [
        ("llama.block_count", 1),
        ("llama.context_length", 32),
        ("llama.embedding_length", 8),
        ("llama.feed_forward_length", 16),
        ("llama.attention.head_count", 2),
        ("llama.attention.head_count_kv", 1),
        ("llama.rope.dimension_count", 4),
        ("tokenizer.ggml.bos_token_id", 1),
        ("tokenizer.ggml.eos_token_id", 2),
    ] {
        all.u32(key, value);
    }
    all.f32("llama.attention.layer_norm_rms_epsilon", 1e-5);
    all.text("tokenizer.ggml.model", "gpt2");
    all.text("tokenizer.ggml.pre", "smollm");
    all.texts("tokenizer.ggml.tokens", &["<unk>", "<s>", "</s>", "a", "b", "ab"]);
    all.texts("tokenizer.ggml.merges", &["a b"]);
    all.ints("tokenizer.ggml.token_type", &[3, 3, 3, 1, 1, 1]);
    writer.values.extend(all.values.into_iter().filter(|(key, _)| !given.contains(key)));
}

/// A Llama of one layer: hidden 8, two heads of four, one key-value head, MLP 16, six tokens, f32.
pub(crate) fn llama() -> Writer {
    let mut writer = Writer::default();
    llama_metadata(&mut writer, &[]);
    for (name, shape) in [
        ("token_embd.weight", &[6, 8][..]),
        ("blk.0.attn_norm.weight", &[8]),
        ("blk.0.attn_q.weight", &[8, 8]),
        ("blk.0.attn_k.weight", &[4, 8]),
        ("blk.0.attn_v.weight", &[4, 8]),
        ("blk.0.attn_output.weight", &[8, 8]),
        ("blk.0.ffn_norm.weight", &[8]),
        ("blk.0.ffn_gate.weight", &[16, 8]),
        ("blk.0.ffn_up.weight", &[16, 8]),
        ("blk.0.ffn_down.weight", &[8, 16]),
        ("output_norm.weight", &[8]),
    ] {
        writer.tensor(name, shape, 0);
    }
    writer
}
