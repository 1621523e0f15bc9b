import { describe, expect, test } from 'vitest'
import { type PushContent, pushText, type PushWhat } from './push-texts.ts'
import { withParticle } from './texts/ko.ts'

const nothing: PushContent = { text: '', pictures: 0, videos: 0, sounds: 0, files: 0 }
const content = (over: Partial<PushContent>): PushContent => ({ ...nothing, ...over })
const hello = content({ text: 'hello' })
const direct = { sender: 'alice', channel: null }
const named = { sender: 'alice', channel: 'general' }

test.each<[PushWhat, string, string, string, string]>([
  [{ kind: 'message', ...direct, content: hello }, 'alice', 'hello', 'alice', 'hello'],
  [{ kind: 'message', ...named, content: hello }, 'general', 'alice: hello', 'general', 'alice: hello'],
  [
    { kind: 'mention', ...named, content: hello },
    'alice mentioned you in general',
    'hello',
    'alice님이 general에서 회원님을 언급했습니다',
    'hello',
  ],
  [
    { kind: 'mention', ...direct, content: hello },
    'alice mentioned you',
    'hello',
    'alice님이 회원님을 언급했습니다',
    'hello',
  ],
  [
    { kind: 'reply', ...named, content: hello },
    'alice replied to you in general',
    'hello',
    'alice님이 general에서 답장했습니다',
    'hello',
  ],
  [{ kind: 'reply', ...direct, content: hello }, 'alice replied to you', 'hello', 'alice님이 답장했습니다', 'hello'],
  [{ kind: 'action', ...named, text: 'waves' }, 'general', 'alice waves', 'general', 'alice님이 waves'],
  [{ kind: 'action', ...direct, text: '웃는다' }, 'alice', 'alice 웃는다', 'alice', 'alice님이 웃는다'],
  [
    { kind: 'message', ...direct, content: content({ pictures: 1 }) },
    'alice',
    'Sent a picture',
    'alice',
    '사진을 보냈습니다',
  ],
  [
    { kind: 'message', ...named, content: content({ pictures: 3 }) },
    'general',
    'alice: Sent 3 pictures',
    'general',
    'alice: 사진 3장을 보냈습니다',
  ],
  [
    { kind: 'message', ...direct, content: content({ videos: 1 }) },
    'alice',
    'Sent a video',
    'alice',
    '동영상을 보냈습니다',
  ],
  [
    { kind: 'message', ...direct, content: content({ sounds: 2 }) },
    'alice',
    'Sent 2 recordings',
    'alice',
    '음성 2개를 보냈습니다',
  ],
  [{ kind: 'message', ...direct, content: content({ files: 1 }) }, 'alice', 'Sent a file', 'alice', '파일을 보냈습니다'],
  [
    { kind: 'message', ...direct, content: content({ pictures: 1, files: 1_200 }) },
    'alice',
    'Sent 1,201 files',
    'alice',
    '파일 1,201개를 보냈습니다',
  ],
  [{ kind: 'message', ...direct, content: nothing }, 'alice', 'New message', 'alice', '새 메시지'],
  [{ kind: 'message', ...direct, content: content({ text: 'look', pictures: 1 }) }, 'alice', 'look', 'alice', 'look'],
  [{ kind: 'summary', ...named, count: 12 }, 'general', '12 new messages', 'general', '새 메시지 12개'],
  [{ kind: 'summary', ...direct, count: 1 }, 'alice', '1 new message', 'alice', '새 메시지 1개'],
  [
    { kind: 'summaryOfChannels', count: 1_234, channels: 3 },
    '1,234 new messages',
    'In 3 conversations',
    '새 메시지 1,234개',
    '대화방 3곳에서 새 메시지가 왔습니다',
  ],
  [{ kind: 'deleted', ...direct }, 'alice', 'This message was deleted', 'alice', '삭제된 메시지입니다'],
  [
    { kind: 'deleted', ...named },
    'general',
    'alice deleted this message',
    'general',
    'alice님이 메시지를 삭제했습니다',
  ],
  [
    { kind: 'reminder', text: 'buy tea', channel: 'general' },
    'Reminder from general',
    'buy tea',
    'general 리마인더',
    'buy tea',
  ],
  [
    { kind: 'reminder', text: '', channel: null },
    'Reminder',
    'You asked to be reminded of a message',
    '리마인더',
    '다시 알려 달라고 하신 메시지가 있습니다',
  ],
  [{ kind: 'hidden', count: 1 }, 'New message', 'Open the app to read', '새 메시지', '앱을 열어 확인하세요'],
  [{ kind: 'hidden', count: 5 }, '5 new messages', 'Open the app to read', '새 메시지 5개', '앱을 열어 확인하세요'],
  [{ kind: 'hiddenReminder' }, 'Reminder', 'Open the app to read', '리마인더', '앱을 열어 확인하세요'],
])('%j is said in both languages', (what, title, body, koreanTitle, koreanBody) => {
  expect(pushText('en', what)).toEqual({ title, body })
  expect(pushText('ko', what)).toEqual({ title: koreanTitle, body: koreanBody })
})

test('a locale is followed as far as it is known', () => {
  const said = (locale: string) => pushText(locale, { kind: 'hidden', count: 1 }).title
  for (const locale of ['ko', 'ko-KR', 'KO', 'ko_KR', 'ko-Kore-KR-u-ca-dangi']) expect(said(locale)).toBe('새 메시지')
  const others = ['en', 'en-GB', 'de', '', '-', 'kok', 'constructor', '__proto__', 'x'.repeat(100_000)]
  for (const locale of others) expect(said(locale)).toBe('New message')
})

describe('what people wrote', () => {
  const told = (text: string, sender = 'alice') =>
    pushText('en', { kind: 'message', sender, channel: 'general', content: content({ text }) }).body

  test('comes in one line', () => {
    expect(told('one\r\ntwo\n\n\tthree\u2028four\u2029five\u0085six  ')).toBe('alice: one two three four five six')
    expect(told('x', 'al\nice')).toBe('al ice: x')
    expect(told(' \n ')).toBe('alice: New message')
  })

  test('does not turn the words around it', () => {
    expect(told('\u202ehello\u2066')).toBe('alice: hello')
    expect(told('x', '\u202ealice')).toBe('alice: x')
  })

  test('is cut at 1,000 code points, between what people take for characters', () => {
    expect(told('가'.repeat(1_000))).toBe(`alice: ${'가'.repeat(1_000)}`)
    expect(told('가'.repeat(1_001))).toBe(`alice: ${'가'.repeat(999)}…`)
    // Seven code points each.
    const family = '👩‍👩‍👧‍👦'
    expect(told(family.repeat(1_000))).toBe(`alice: ${family.repeat(142)}…`)
    expect(told(`${'x'.repeat(998)}🇰🇷🇰🇷`)).toBe(`alice: ${'x'.repeat(998)}…`)
    expect(told(`${' x'.repeat(100_000)}`)).toHaveLength('alice: '.length + 1_000)
  })

  test('is not long in the making, whatever it is', () => {
    const started = performance.now()
    for (const text of ['\u0301'.repeat(1e6), `a${'\u200d👩'.repeat(3e5)}`, ' '.repeat(1e6), '\ud800'.repeat(1e6)]) {
      expect(told(text, text).length).toBeLessThan(10_000)
    }
    expect(performance.now() - started).toBeLessThan(2_000)
  })

  test('has no halves of characters', () => {
    expect(told('\ud83d hello').isWellFormed()).toBe(true)
  })
})

test('Korean particles follow the last sound', () => {
  const said = (word: string) =>
    (['이/가', '을/를', '은/는', '과/와', '으로/로'] as const).map((particle) => withParticle(word, particle))
  expect(said('민수')).toEqual(['민수가', '민수를', '민수는', '민수와', '민수로'])
  expect(said('지훈')).toEqual(['지훈이', '지훈을', '지훈은', '지훈과', '지훈으로'])
  expect(said('서울')).toEqual(['서울이', '서울을', '서울은', '서울과', '서울로'])
  expect(said('3')).toEqual(['3이', '3을', '3은', '3과', '3으로'])
  expect(said('7')).toEqual(['7이', '7을', '7은', '7과', '7로'])
  expect(said('2')).toEqual(['2가', '2를', '2는', '2와', '2로'])
  expect(said('KBS')).toEqual(['KBS가', 'KBS를', 'KBS는', 'KBS와', 'KBS로'])
  expect(said('ATM')).toEqual(['ATM이', 'ATM을', 'ATM은', 'ATM과', 'ATM으로'])
  expect(said('‘마루’')).toEqual(['‘마루’가', '‘마루’를', '‘마루’는', '‘마루’와', '‘마루’로'])
  expect(said('🪵')).toEqual(['🪵이(가)', '🪵을(를)', '🪵은(는)', '🪵과(와)', '🪵(으)로'])
  // As a Mac writes it: in letters rather than syllables.
  expect(withParticle('지훈'.normalize('NFD'), '이/가')).toBe(`${'지훈'.normalize('NFD')}이`)
})

test('Korean names have one honorific', () => {
  const said = (sender: string) => pushText('ko', { kind: 'action', sender, channel: null, text: '웃는다' }).body
  expect(said('앨리스')).toBe('앨리스님이 웃는다')
  expect(said('박 선생님')).toBe('박 선생님이 웃는다')
})
