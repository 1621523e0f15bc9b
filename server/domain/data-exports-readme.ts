/** What stands beside the files of an export: what is what, in Korean and English. */
export const readme = ({ username, exportedAt }: { username: string; exportedAt: string }): string => `\
${username} · ${exportedAt} · maru-export 1

── 한국어 ──────────────────────────────────────────────

내 계정에 저장된 데이터입니다. 다른 사람이 쓴 글은 들어 있지 않습니다.
팔로우한 스레드, 내가 만든 초대와 링크, 채널 안에서의 차단·제한 기록, 감사 기록도 들어 있지 않습니다.
시각은 모두 UTC이고, id는 API에서 쓰는 것과 같습니다.
*.json은 파일 하나가 JSON 하나이고, *.jsonl은 한 줄이 JSON 하나입니다.

export.json          형식 이름과 버전, 만든 시각
profile.json         이름, 프로필, 상태, 연결된 외부 계정
settings.json        설정, 알림 시간, 이메일 주소
contacts.json        내가 추가한 연락처
blocks.json          내가 차단한 사람
devices.json         알림을 받는 기기 (토큰은 제외)
sessions.json        로그인 기록
drafts.jsonl         보내지 않고 저장한 글
scheduled.json       예약한 메시지
reminders.json       알림 예약
reports.json         내가 한 신고
activity.jsonl       나를 부른 글, 답글, 반응, 초대 (누가 언제 어디서; 반응의 그림은 제외)
searches.json        추천 검색어를 만들려고 골라 둔 내 검색어
channels.jsonl       지금과 이전에 참여한 채널
messages/*.jsonl     내가 쓴 메시지, 채널마다 파일 하나 (삭제한 것은 제외)
reactions/*.jsonl    내가 남긴 반응, 채널마다 파일 하나
attachments.jsonl    내가 올린 파일 목록. path가 null이면 용량 때문에 빠졌거나(앱에서 받을 수 있습니다) 파일이 이미 없는 것입니다.
attachments/         내가 올린 파일

만드는 동안에도 대화는 계속되므로, 각 파일은 그 파일을 쓴 시점의 상태입니다.

── English ─────────────────────────────────────────────

What is stored of your account. What others have written is not in it; nor are the threads that you follow, invites and
links that you have made, bans and silences in channels, and entries of audit logs.
All times are UTC; ids are those of the API.
*.json holds one JSON value; *.jsonl holds one in each line.

export.json          name and version of this format, and when it was made
profile.json         your names, profile and status, and the accounts elsewhere that stand for you
settings.json        settings, quiet hours, mail address
contacts.json        whom you have added
blocks.json          whom you have blocked
devices.json         devices that are notified, without their tokens
sessions.json        sign-ins
drafts.jsonl         what you have typed and not sent
scheduled.json       messages that are to be sent later
reminders.json       reminders
reports.json         what you have reported
activity.jsonl       who has mentioned, answered, reacted to or added you, when and where
searches.json        what you have searched for, as far as it was picked to suggest words
channels.jsonl       channels that you are in, and were in
messages/*.jsonl     what you have written, a file for each channel, without what you have deleted
reactions/*.jsonl    what you have reacted with, a file for each channel
attachments.jsonl    your files; where path is null it was left out for its size, and can be had in the app, or it is gone
attachments/         your files

Conversations went on while this was made: each file is as things were when it was written.
`
