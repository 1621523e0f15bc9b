import type { MailLinkPurpose } from '../lib/mail-links.ts'

type Page = { title: string; body: string }

/** What the pages say that links in mails lead to. */
export type PageTexts = Record<MailLinkPurpose, Page & { button: string; done: Page }> & {
  stale: string
  staleBody: string
  later: string
  laterBody: string
}

export const pageTexts = {
  en: {
    verify: {
      title: 'Is this your mailbox?',
      body: 'Once you confirm it, mail about what you have not read goes there while you are away.',
      button: 'Confirm this address',
      done: { title: 'Confirmed', body: 'This address is yours. You can close this page.' },
    },
    unsubscribe: {
      title: 'No more mail?',
      body: 'You will not be told by mail any more of what you have not read.',
      button: 'Stop these mails',
      done: { title: 'Done', body: 'There will be no more of these mails. They can be turned on again in the settings.' },
    },
    stale: 'This link is no longer good',
    staleBody: 'It has run out, or another address has been set since. A new one can be asked for in the settings.',
    later: 'That did not work',
    laterBody: 'The service is not available just now. Try again in a moment.',
  },
  ko: {
    verify: {
      title: '본인의 메일 주소가 맞나요?',
      body: '확인하시면 자리를 비운 동안 읽지 않은 대화를 이 주소로 알려 드립니다.',
      button: '주소 확인',
      done: { title: '확인되었습니다', body: '이 페이지를 닫으셔도 됩니다.' },
    },
    unsubscribe: {
      title: '메일을 그만 받으시겠어요?',
      body: '읽지 않은 대화를 더 이상 메일로 알려 드리지 않습니다.',
      button: '메일 그만 받기',
      done: { title: '처리되었습니다', body: '이 메일은 더 이상 보내지 않습니다. 설정에서 다시 켤 수 있습니다.' },
    },
    stale: '더 이상 사용할 수 없는 링크입니다',
    staleBody: '기한이 지났거나 메일 주소가 바뀌었습니다. 설정에서 새로 요청할 수 있습니다.',
    later: '처리하지 못했습니다',
    laterBody: '지금은 서비스를 이용할 수 없습니다. 잠시 후 다시 시도해 주세요.',
  },
} satisfies Record<string, PageTexts>
