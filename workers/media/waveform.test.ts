import { expect, test } from 'vitest'
import { createWaveform } from './waveform.ts'

/** Samples as ffmpeg hands them on. */
function sound(length: number, sampleAt: (nth: number) => number): Buffer {
  const bytes = Buffer.alloc(length * 2)
  for (let nth = 0; nth < length; nth++) bytes.writeInt16LE(sampleAt(nth), nth * 2)
  return bytes
}

function waveformOf(bytes: Buffer, piece: number): number[] | null {
  const waveform = createWaveform()
  for (let at = 0; at < bytes.length; at += piece) waveform.add(bytes.subarray(at, at + piece))
  const bars = waveform.finish()
  return bars === null ? null : [...Buffer.from(bars, 'base64')]
}

test('peaks come out the same in whatever pieces the sound comes in', () => {
  const bytes = sound(64_000, (nth) => Math.round(Math.sin(nth) * (nth % 30_000)))
  const whole = waveformOf(bytes, bytes.length)!
  expect(whole).toHaveLength(64)
  expect(Math.max(...whole)).toBe(255)
  for (const piece of [1, 3, 4_096, 65_537]) expect(waveformOf(bytes, piece)).toEqual(whole)
})

test('an hour has as many peaks, and they are where they belong', () => {
  // Loud in the third quarter, the loudest that there is.
  const loud = (nth: number) => (nth >= 14_400_000 && nth < 21_600_000 ? -32_768 : 1_000)
  const bars = waveformOf(sound(28_800_000, loud), 65_536)!
  expect(bars).toHaveLength(64)
  expect(new Set(bars.slice(33, 47))).toEqual(new Set([255]))
  expect(Math.max(...bars.slice(0, 31), ...bars.slice(49))).toBe(8)
})

test('a moment, silence and nothing', () => {
  expect(waveformOf(sound(3, () => 5), 100)).toEqual(Array.from({ length: 64 }, () => 255))
  expect(waveformOf(sound(8_000, () => 0), 100)).toEqual(Array.from({ length: 64 }, () => 0))
  expect(waveformOf(Buffer.alloc(0), 100)).toBe(null)
})
