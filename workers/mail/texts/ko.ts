import type { MailTexts } from './texts.ts'

const number = (value: number) => value.toLocaleString('ko')

export const ko: MailTexts = {
  language: 'ko',
  greeting: (name) => `${name} 님, 안녕하세요.`,
  verify: {
    subject: '메일 주소를 확인해 주세요',
    body:
      '이 주소가 회원님의 메일 주소로 등록되었습니다. 하루 안에 링크를 눌러 확인하시면, 자리를 비운 동안 읽지 않은 대화를 이 주소로 알려 드립니다.',
    button: '주소 확인',
    ignore: '본인이 등록하지 않았다면 무시하셔도 됩니다. 다른 메일은 보내지 않습니다.',
  },
  digest: {
    subject: (unread, conversations) =>
      conversations === 1
        ? `읽지 않은 메시지 ${number(unread)}개`
        : `대화 ${number(conversations)}개에 읽지 않은 메시지 ${number(unread)}개`,
    intro: '자리를 비우신 동안 온 메시지입니다.',
    conversation: (name, unread) => `${name}: 읽지 않은 메시지 ${number(unread)}개`,
    mentions: (name, unread) => `${name}: 회원님을 언급한 메시지 ${number(unread)}개`,
    more: (conversations) => `그 밖에 대화 ${number(conversations)}개가 더 있습니다.`,
    button: '열기',
    reason: '한동안 접속하지 않으셔서 보내 드리는 메일이며, 하루에 한 번을 넘지 않습니다.',
    unsubscribe: '메일 그만 받기',
  },
  unnamed: '그룹 대화',
  attachment: '(첨부 파일)',
}
