//! One kernel test: buffers with their first contents, what to record, what the buffers should hold afterwards.

use stepladder::Result;
use stepladder::gpu::{Buffer, Gpu, Pending, Recorder};

use crate::common::{self, Policy, close};

type Record = Box<dyn Fn(&mut Recorder<'_>, &[Buffer]) -> Result<()>>;

/// What a buffer should hold.
enum Want {
    Near(Vec<f64>, Policy),
    Bits(Vec<u32>),
}

/// Elements `from ..` of a buffer should hold these.
struct Check {
    buffer: usize,
    from: usize,
    want: Want,
}

/// A kernel test.
pub(crate) struct Case {
    pub(crate) name: String,
    buffers: Vec<(Vec<usize>, Vec<u32>)>,
    record: Record,
    checks: Vec<Check>,
    /// The side of the cooperative matrices that it is about.
    side: Option<usize>,
}

/// Contents of outputs before a kernel writes them: a NaN, so that a value which is read or left out shows.
pub(crate) const UNWRITTEN: u32 = 0x7fc0_0001;

impl Case {
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            buffers: Vec::new(),
            record: Box::new(|_, _| Ok(())),
            checks: Vec::new(),
            side: None,
        }
    }

    /// Only for devices with cooperative matrices of this side.
    pub(crate) fn only_with(self, side: usize) -> Self {
        Self { side: Some(side), ..self }
    }

    /// Whether the case is about this device.
    pub(crate) fn suits(&self, gpu: &Gpu) -> bool {
        self.side.is_none() || gpu.coop().map(|coop| coop.side) == self.side
    }

    /// A buffer with these words; gives its index.
    pub(crate) fn words(&mut self, shape: &[usize], words: &[u32]) -> usize {
        assert_eq!(shape.iter().product::<usize>(), words.len(), "{}: shape {shape:?}", self.name);
        self.buffers.push((shape.to_vec(), words.to_vec()));
        self.buffers.len() - 1
    }

    /// A buffer with these values; gives its index.
    pub(crate) fn input(&mut self, shape: &[usize], values: &[f32]) -> usize {
        self.words(shape, &common::words(values))
    }

    /// A buffer that the kernel fills; gives its index.
    pub(crate) fn output(&mut self, shape: &[usize]) -> usize {
        self.words(shape, &vec![UNWRITTEN; shape.iter().product()])
    }

    /// What to run, with the buffers by index.
    pub(crate) fn record(&mut self, record: impl Fn(&mut Recorder<'_>, &[Buffer]) -> Result<()> + 'static) {
        self.record = Box::new(record);
    }

    /// Afterwards a buffer holds nearly these values.
    pub(crate) fn near(&mut self, buffer: usize, want: Vec<f64>, policy: Policy) {
        self.near_from(buffer, 0, want, policy);
    }

    /// Afterwards a buffer holds nearly these values from element `from` on.
    pub(crate) fn near_from(&mut self, buffer: usize, from: usize, want: Vec<f64>, policy: Policy) {
        self.checks.push(Check { buffer, from, want: Want::Near(want, policy) });
    }

    /// Afterwards a buffer holds exactly these words.
    pub(crate) fn bits(&mut self, buffer: usize, want: Vec<u32>) {
        self.bits_from(buffer, 0, want);
    }

    /// Afterwards a buffer holds exactly these words from element `from` on.
    pub(crate) fn bits_from(&mut self, buffer: usize, from: usize, want: Vec<u32>) {
        self.checks.push(Check { buffer, from, want: Want::Bits(want) });
    }

    /// Afterwards a buffer holds what it held before.
    pub(crate) fn untouched(&mut self, buffer: usize) {
        let words = self.buffers[buffer].1.clone();
        self.bits(buffer, words);
    }

    /// Runs the recording twice from the same contents. Gives the worst error ÷ bound.
    pub(crate) async fn run(&self, gpu: &Gpu) -> std::result::Result<f64, String> {
        assert!(!self.checks.is_empty(), "{} checks nothing", self.name);
        let mut worst = 0.0f64;
        let [first, second] = self.outputs(gpu).await.map_err(|error| error.to_string())?;
        for ((check, got), again) in self.checks.iter().zip(first).zip(second) {
            let place = |text: String| format!("buffer {} from {}: {text}", check.buffer, check.from);
            if got != again {
                return Err(place("the second run gave other bits".into()));
            }
            let got = &got[check.from..];
            match &check.want {
                Want::Near(want, policy) => {
                    let got: Vec<f32> = got.iter().copied().map(f32::from_bits).collect();
                    let got = got.get(..want.len()).unwrap_or(&got);
                    worst = worst.max(close(got, want, *policy).map_err(place)?);
                }
                Want::Bits(want) => {
                    assert!(want.len() <= got.len(), "{}: too many words wanted", self.name);
                    if let Some(at) = want.iter().zip(got).position(|(want, got)| want != got) {
                        return Err(place(format!("at {at}: got {:#x}, want {:#x}", got[at], want[at])));
                    }
                }
            }
        }
        Ok(worst)
    }

    /// The checked buffers' words after a run and after another one of the same recording.
    async fn outputs(&self, gpu: &Gpu) -> Result<[Vec<Vec<u32>>; 2]> {
        let buffers: Result<Vec<Buffer>> =
            self.buffers.iter().map(|(shape, _)| gpu.buffer(&self.name, shape)).collect();
        let buffers = buffers?;
        let recording = common::recording(gpu, |rec| (self.record)(rec, &buffers))?;
        let begin = || {
            for (buffer, (_, words)) in buffers.iter().zip(&self.buffers) {
                gpu.write(buffer, 0, words)?;
            }
            gpu.run(&recording)?;
            // All in one piece: in a browser every read waits for the event loop.
            let checked: Vec<&Buffer> = self.checks.iter().map(|check| &buffers[check.buffer]).collect();
            Ok(gpu.read_later(&checked))
        };
        let [first, second]: [Result<Pending>; 2] = [begin(), begin()];
        Ok([self.split(&first?.bytes(gpu).await?), self.split(&second?.bytes(gpu).await?)])
    }

    /// The words of each checked buffer, one after the other in `bytes`.
    fn split(&self, bytes: &[u8]) -> Vec<Vec<u32>> {
        let words: Vec<u32> = bytemuck::pod_collect_to_vec(bytes);
        let mut rest = words.as_slice();
        let parts = self.checks.iter().map(|check| {
            let (part, behind) = rest.split_at(self.buffers[check.buffer].1.len());
            rest = behind;
            part.to_vec()
        });
        parts.collect()
    }
}
