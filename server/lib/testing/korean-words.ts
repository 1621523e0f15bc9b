/**
 * Words from everyday Korean, each with the strokes that type it on a keyboard with two sets of letters (두벌식), as the
 * same keys are labelled in Latin. Words: Chatbot_data by Youngsook Song, MIT, https://github.com/songys/Chatbot_data.
 */
export const koreanWords: readonly (readonly [word: string, strokes: string])[] = [
  ['골프', 'rhfvm'], ['시베리아', 'tlqpfldk'], ['담배', 'ekaqo'], ['졸업', 'whfdjq'], ['맛집', 'aktwlq'], ['발목', 'qkfahr'],
  ['이불', 'dlqnf'], ['시계', 'tlrP'], ['노래', 'shfo'], ['추천', 'cncjs'], ['엄마', 'djaak'], ['오늘', 'dhsmf'],
  ['용돈', 'dydehs'], ['전학', 'wjsgkr'], ['지갑', 'wlrkq'], ['카톡', 'zkxhr'], ['친구랑', 'clsrnfkd'], ['팔뚝', 'vkfEnr'],
  ['해외', 'godhl'], ['여행', 'dugod'], ['방법', 'qkdqjq'], ['효율적으로', 'gydbfwjrdmfh'], ['날씨', 'skfTl'], ['도전', 'ehwjs'],
  ['감정', 'rkawjd'], ['짝사랑', 'Wkrtkfkd'], ['심심해', 'tlatlago'], ['여자친구', 'duwkclsrn'], ['연애', 'dusdo'],
  ['이별통보', 'dlqufxhdqh'], ['주말', 'wnakf'], ['남자친구', 'skawkclsrn'], ['예의', 'dPdml'], ['썸남', 'Tjaska'],
  ['가벼운', 'rkqudns'], ['많아', 'aksgdk'], ['없어', 'djqtdj'], ['싫어', 'tlfgdj'], ['괜찮아', 'rhoscksgdk'], ['학교', 'gkrry'],
  ['회사', 'ghltk'], ['꽝이다', 'Rhkddlek'], ['쓰레기', 'Tmfprl'], ['카드값', 'zkemrkqt'], ['닭발', 'ekfrqkf'],
  ['귀찮아', 'rnlcksgdk'], ['끓여서', 'Rmfgdutj'], ['읽씹', 'dlfrTlq'], ['뛰어', 'Enldj'], ['앉고', 'dkswrh'],
]
