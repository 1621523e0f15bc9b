import type { MessageKind } from '../message-store/rows.ts'

/** What the pages of short links say. What people have written is put in as HTML, and is isolated already. */
export type PageTexts = {
  /** An invite into a channel of this name. */
  inviteTitle(name: string): string
  /** A group that nobody has named. */
  unnamed: string
  invitedBy(name: string): string
  members(count: number): string
  inviteHint: string
  staleTitle: string
  staleBody: string
  messageTitle: string
  messageBody: string
  /** For who is signed in on this address and has come from another, which browsers keep apart. */
  again: string
  deleted: string
  /** Messages without a word of their own: a file, or what somebody has done, whose name stands above. */
  silent: Record<MessageKind, string>
  open: string
  laterTitle: string
  laterBody: string
  oftenTitle: string
  oftenBody: string
}

export const pageTexts = {
  en: {
    inviteTitle: (name) => `You are invited to ${name}`,
    unnamed: 'a group',
    invitedBy: (name) => `${name} invites you`,
    members: (count) => (count === 1 ? '1 member' : `${count.toLocaleString('en')} members`),
    inviteHint: 'Open this link in the app to join.',
    staleTitle: 'This invite is no longer good',
    staleBody: 'It has run out, was used up or taken back, or this is not all of its address. Ask for a new one.',
    messageTitle: 'A message in a conversation',
    messageBody: 'Sign in to see it. Only those who are in the conversation can.',
    again: 'I am signed in here',
    deleted: 'This message has been deleted.',
    silent: {
      USER: 'An attachment',
      ACTION: 'An attachment',
      MEMBER_JOINED: 'Joined the conversation.',
      MEMBER_LEFT: 'Left the conversation.',
      CHANNEL_UPDATED: 'Changed what the conversation is called, or is about.',
    },
    open: 'Open',
    laterTitle: 'That did not work',
    laterBody: 'The service is not available just now. Try again in a moment.',
    oftenTitle: 'That was too often',
    oftenBody: 'Too many links were opened from here. Try again in a while.',
  },
  ko: {
    inviteTitle: (name) => `${name}에 초대받았습니다`,
    unnamed: '그룹 대화',
    invitedBy: (name) => `${name} 님의 초대`,
    members: (count) => `멤버 ${count.toLocaleString('ko')}명`,
    inviteHint: '앱에서 이 링크를 열면 참여할 수 있습니다.',
    staleTitle: '더 이상 사용할 수 없는 초대입니다',
    staleBody: '기한이 지났거나 사용 횟수가 다 찼거나 취소되었거나, 주소가 일부 빠졌을 수 있습니다. 새 초대를 요청해 주세요.',
    messageTitle: '대화 속 메시지',
    messageBody: '로그인하면 볼 수 있습니다. 대화에 참여한 사람에게만 보입니다.',
    again: '여기에서 이미 로그인했습니다',
    deleted: '삭제된 메시지입니다.',
    silent: {
      USER: '첨부 파일',
      ACTION: '첨부 파일',
      MEMBER_JOINED: '대화에 들어왔습니다.',
      MEMBER_LEFT: '대화에서 나갔습니다.',
      CHANNEL_UPDATED: '대화 이름이나 주제를 바꿨습니다.',
    },
    open: '열기',
    laterTitle: '열지 못했습니다',
    laterBody: '지금은 서비스를 이용할 수 없습니다. 잠시 후 다시 시도해 주세요.',
    oftenTitle: '너무 자주 열었습니다',
    oftenBody: '여기에서 링크를 너무 많이 열었습니다. 잠시 후 다시 시도해 주세요.',
  },
} satisfies Record<string, PageTexts>

export type Language = keyof typeof pageTexts

/** What a visitor likes best to read of what there is, by `Accept-Language` (RFC 9110); English where that says nothing. */
export function languageOf(accepted: string | undefined): Language {
  const liked = (accepted ?? '')
    .slice(0, maxAccepted)
    .split(',')
    .map((each) => {
      const [tag = '', ...parameters] = each.trim().toLowerCase().split(/\s*;\s*/)
      const quality = parameters.find((parameter) => parameter.startsWith('q='))
      return { language: tag.split('-')[0]!, quality: quality === undefined ? 1 : Number(quality.slice(2)) || 0 }
    })
    .filter(({ language, quality }) => Object.hasOwn(pageTexts, language) && quality > 0)
    .toSorted((one, other) => other.quality - one.quality)
  return (liked[0]?.language ?? 'en') as Language
}

/** Browsers send a few dozen characters. */
const maxAccepted = 500
