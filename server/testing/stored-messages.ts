/** What tests read `from` to see messages whole, with what happened to them since they were created. */
export const storedMessages = `(
  select m.*, coalesce(t.change, m.change) as version, coalesce(t.reply_count, 0) as reply_count, t.pinned_at
  from messages m left join message_changes t on t.channel_id = m.channel_id and t.message_id = m.id
) as stored`
