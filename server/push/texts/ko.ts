import type { PushContent, PushTexts } from '../push-texts.ts'

/** Particles that depend on whether the word before ends in a consonant: first after one, then after a vowel. */
type Particle = '은/는' | '이/가' | '을/를' | '과/와' | '으로/로'

/** Digits end as they are read: 영, 일, 삼, 육, 칠, 팔 in a consonant, 일, 칠, 팔 in ㄹ. */
const consonantDigits = '013678'
const rieulDigits = '178'

/**
 * Latin letters end as their names do when spelt: 엘, 엠, 엔, 알 in a consonant. A word that is read as one may end
 * otherwise; nobody knows how without knowing the word.
 */
const consonantLetters = 'lmnr'
const rieulLetters = 'lr'

/** Final consonants are counted from the first syllable of Hangul, 가; the eighth of 28 is ㄹ. */
const firstSyllable = 0xac00
const lastSyllable = 0xd7a3
const finals = 28
const rieul = 8

/** A word and the form of the particle that it takes; both forms where its last sign tells nothing: 🪵을(를). */
export function withParticle(word: string, particle: Particle): string {
  const [afterConsonant, afterVowel] = particle.split('/') as [string, string]
  // Quotes and brackets are not read.
  const last = word.normalize('NFC').replace(/[\p{P}\s]+$/u, '').at(-1)?.toLowerCase() ?? ''
  const code = last.charCodeAt(0)
  if (code >= firstSyllable && code <= lastSyllable) {
    const final = (code - firstSyllable) % finals
    // 로 follows ㄹ as it does a vowel.
    return word + (final === 0 || (particle === '으로/로' && final === rieul) ? afterVowel : afterConsonant)
  }
  if (/^[a-z\d]$/.test(last)) {
    const isRieul = rieulDigits.includes(last) || rieulLetters.includes(last)
    const isConsonant = consonantDigits.includes(last) || consonantLetters.includes(last)
    return word + (isConsonant && !(particle === '으로/로' && isRieul) ? afterConsonant : afterVowel)
  }
  return word + (particle === '으로/로' ? '(으)로' : `${afterConsonant}(${afterVowel})`)
}

/** A person, with the honorific that goes with every name; names that have it already keep theirs. */
const person = (name: string): string => (name.endsWith('님') ? name : `${name}님`)

const number = (value: number): string => value.toLocaleString('ko')

/** What was written, else what came with it, each counted in its own way. */
function words({ text, pictures, videos, sounds, files }: PushContent): string {
  if (text !== '') return text
  const all = pictures + videos + sounds + files
  if (all === 0) return '새 메시지'
  const [thing, counter] =
    all === pictures
      ? (['사진', '장'] as const)
      : all === videos
        ? (['동영상', '개'] as const)
        : all === sounds
          ? (['음성', '개'] as const)
          : (['파일', '개'] as const)
  // One of a thing is not counted: 사진을 보냈습니다. The counter takes the particle: 사진 3장을.
  return `${withParticle(all === 1 ? thing : `${thing} ${number(all)}${counter}`, '을/를')} 보냈습니다`
}

export const korean: PushTexts = {
  message: ({ sender, channel, content }) =>
    channel === null
      ? { title: sender, body: words(content) }
      : { title: channel, body: `${sender}: ${words(content)}` },
  mention: ({ sender, channel, content }) => ({
    title: `${withParticle(person(sender), '이/가')} ${channel === null ? '' : `${channel}에서 `}회원님을 언급했습니다`,
    body: words(content),
  }),
  reply: ({ sender, channel, content }) => ({
    title: `${withParticle(person(sender), '이/가')} ${channel === null ? '' : `${channel}에서 `}답장했습니다`,
    body: words(content),
  }),
  action: ({ sender, channel, text }) => ({
    title: channel ?? sender,
    body: `${withParticle(person(sender), '이/가')} ${text}`,
  }),
  summary: ({ sender, channel, count }) => ({ title: channel ?? sender, body: `새 메시지 ${number(count)}개` }),
  summaryOfChannels: ({ count, channels }) => ({
    title: `새 메시지 ${number(count)}개`,
    body: `대화방 ${number(channels)}곳에서 새 메시지가 왔습니다`,
  }),
  deleted: ({ sender, channel }) =>
    channel === null
      ? { title: sender, body: '삭제된 메시지입니다' }
      : { title: channel, body: `${withParticle(person(sender), '이/가')} 메시지를 삭제했습니다` },
  reminder: ({ text, channel }) => ({
    title: channel === null ? '리마인더' : `${channel} 리마인더`,
    body: text === '' ? '다시 알려 달라고 하신 메시지가 있습니다' : text,
  }),
  hidden: ({ count }) => ({
    title: count === 1 ? '새 메시지' : `새 메시지 ${number(count)}개`,
    body: '앱을 열어 확인하세요',
  }),
  hiddenReminder: () => ({ title: '리마인더', body: '앱을 열어 확인하세요' }),
}
