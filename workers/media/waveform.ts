/** How many peaks a waveform has: bars on a phone's screen. */
export const waveformPeaks = 64
/** Samples that share a peak at first, 10 ms; when there are too many such peaks, neighbours are joined. */
const firstSpan = 80
const mostPeaks = 8_192

/** Gathers the peaks of a sound of any length, in bounded memory. */
export function createWaveform() {
  let peaks: number[] = []
  let span = firstSpan
  let peak = 0
  let seen = 0
  let odd: number | null = null

  function take(sample: number) {
    const loudness = Math.abs(sample)
    if (loudness > peak) peak = loudness
    if (++seen < span) return
    peaks.push(peak)
    peak = 0
    seen = 0
    if (peaks.length < mostPeaks) return
    peaks = Array.from({ length: mostPeaks / 2 }, (_, nth) => Math.max(peaks[nth * 2]!, peaks[nth * 2 + 1]!))
    span *= 2
  }

  return {
    /** Signed 16-bit samples, little-endian; a piece may end within one. */
    add(samples: Buffer) {
      let at = 0
      if (odd !== null && samples.length > 0) {
        take(Buffer.from([odd, samples[0]!]).readInt16LE())
        at = 1
      }
      for (; at + 2 <= samples.length; at += 2) take(samples.readInt16LE(at))
      odd = at < samples.length ? samples[at]! : samples.length === 0 ? odd : null
    },
    /** 64 bytes, each the peak of as much of the time, the loudest being 255, base64; null where there was no sound. */
    finish(): string | null {
      if (seen > 0) peaks.push(peak)
      if (peaks.length === 0) return null
      const loudest = peaks.reduce((most, one) => Math.max(most, one), 1)
      const bars = Array.from({ length: waveformPeaks }, (_, bar) => {
        const from = Math.floor((bar * peaks.length) / waveformPeaks)
        const to = Math.max(from + 1, Math.floor(((bar + 1) * peaks.length) / waveformPeaks))
        return peaks.slice(from, to).reduce((most, one) => Math.max(most, one), 0)
      })
      return Buffer.from(bars.map((bar) => Math.round((bar / loudest) * 255))).toString('base64')
    },
  }
}
