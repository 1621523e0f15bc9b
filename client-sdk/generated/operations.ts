/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
import type { TypedDocument } from '../document.ts'
/** What somebody did that is about the viewer. */
export type ActivityKind =
  /** Brought the viewer into a channel. */
  | 'ADDED_TO_CHANNEL'
  /** Named the viewer in a message. */
  | 'MENTION'
  /** Reacted to a message of the viewer’s: told once, however often and with whatever. */
  | 'REACTION'
  /** Answered a message of the viewer’s, or one whose replies the viewer follows. */
  | 'REPLY';

/** Why nothing can be made of a file. */
export type AttachmentFailure =
  /** It cannot be read to its end. */
  | 'BROKEN'
  /** Something else than it was said to be. */
  | 'DISGUISED'
  /** It takes too long. */
  | 'TIMED_OUT'
  /** More pixels than can be dealt with. */
  | 'TOO_LARGE'
  /** A kind of picture, video or sound that is not known here. */
  | 'UNSUPPORTED';

/** How far a file has come. */
export type AttachmentStatus =
  /** Nothing can be made of it: `failure` says why. */
  | 'FAILED'
  /** To be put where its upload target says, and then completed. */
  | 'PENDING'
  /** Complete; what is shown of it is being made. It can be sent already. */
  | 'PROCESSING'
  /** Whatever is made of it is there. */
  | 'READY';

/** What somebody who keeps order can have done. */
export type AuditAction =
  /** Kept out. */
  | 'MEMBER_BANNED'
  /** Put out. */
  | 'MEMBER_REMOVED'
  /** Reads on, and may not write. */
  | 'MEMBER_SILENCED'
  /** May come in again. */
  | 'MEMBER_UNBANNED'
  /** By somebody else than its author. */
  | 'MESSAGE_DELETED'
  /** By the operator, as are all that have no `actor`. */
  | 'MODERATOR_ADDED'
  /** Keeps order in the whole deployment no more. */
  | 'MODERATOR_REMOVED'
  /** A report was decided on. */
  | 'REPORT_RESOLVED'
  /** Given another role. */
  | 'ROLE_CHANGED'
  /** Before its time; that it has run out is not told. */
  | 'SILENCE_ENDED'
  /** Slow mode was set, or ended. */
  | 'SLOW_MODE_SET';

/** Who can be in a channel. */
export type ChannelKind =
  /** Two people; there is one for each pair. */
  | 'DIRECT'
  /** Invited people, up to the number that the deployment allows. */
  | 'GROUP'
  /** Anyone may join; any size. */
  | 'PUBLIC';

/** An absent field keeps what is there, and null clears it. */
export type ChannelNotificationsInput = {
  /** One that the viewer is in. */
  channelId: string;
  /** Null is ALL. */
  level?: NotificationLevel | null | undefined;
  /** Nothing is pushed until then. */
  mutedUntil?: string | null | undefined;
};

/** A new channel. */
export type CreateChannelInput = {
  /** It stays so. */
  kind: ChannelKind;
  /** Who is in it from the beginning, besides the viewer. */
  memberIds?: Array<string> | null | undefined;
  /** Demanded for PUBLIC, none for DIRECT. */
  name?: string | null | undefined;
  /** Up to 1,000 characters; none for DIRECT. */
  topic?: string | null | undefined;
};

/** What an invite is made with. */
export type CreateInviteInput = {
  /** Where it leads. */
  channelId: string;
  /** Until when it is good, at most a year ahead; null for no such time. */
  expiresAt?: string | null | undefined;
  /** How often it can be used, from 1 to 10,000; null for any number. */
  maxUses?: number | null | undefined;
};

/** A message, a note, or both. */
export type CreateReminderInput = {
  /** One that the viewer may read. */
  messageId?: string | null | undefined;
  /** Up to 1,000 characters. */
  note?: string | null | undefined;
  /** Yet to come, and at most a year ahead. */
  remindAt: string;
};

/** A file that is to come. */
export type CreateUploadInput = {
  /** Exactly as many bytes will be taken. */
  byteSize: number;
  /** Such as `image/jpeg`; what the file holds must be that. */
  contentType: string;
  /** As it is to be shown and saved. */
  filename: string;
};

/** How far an export has come. */
export type DataExportStatus =
  /** It was READY for a week, and is gone. */
  | 'EXPIRED'
  /** It could not be made, and can be asked for again after an hour. */
  | 'FAILED'
  /** Asked for, or to be tried once more. */
  | 'PENDING'
  /** To be fetched at its `url`. */
  | 'READY'
  /** Being made. */
  | 'RUNNING';

/** Who brings pushes to a device. */
export type DevicePlatform =
  /** Apple’s devices. */
  | 'APNS'
  /** Android, by Google. */
  | 'FCM'
  /** Whatever the deployment’s own service reaches: it is posted what there is to tell. */
  | 'WEBHOOK'
  /** Browsers. */
  | 'WEB_PUSH';

/** What a message says from now on. */
export type EditMessageInput = {
  /** All of it, as for sending. */
  content: string;
  /** One of the viewer’s own. */
  messageId: string;
};

/** What somebody may do in a channel. In a DIRECT one both are members. */
export type MemberRole =
  /** Keeps order: name and topic, who is in, what others have written. */
  | 'ADMIN'
  /** Reads and writes. */
  | 'MEMBER'
  /** Everything, and gives roles. There is always one; an empty PUBLIC channel is owned by whoever joins it first. */
  | 'OWNER';

/** What a stream says happened. A client that keeps messages by id and puts what it is given in their place is right, whatever the kind. */
export type MessageEventKind =
  /** New since `after`, whatever happened to it in between. */
  | 'CREATED'
  /** It is a tombstone now. */
  | 'DELETED'
  /** It says something else. */
  | 'EDITED'
  /** Thumbnails, link previews or reply counts came in. */
  | 'ENRICHED'
  /** It was pinned or unpinned. */
  | 'PINS_CHANGED'
  /** Somebody gave an emoji, or took one back. */
  | 'REACTIONS_CHANGED';

/** Whether people wrote it, or the server tells by it what somebody did. */
export type MessageKind =
  /** Written by its author about themselves, as with /me. */
  | 'ACTION'
  /** The author has changed the name or the topic; the content is the new one. */
  | 'CHANNEL_UPDATED'
  /** The author has come in. */
  | 'MEMBER_JOINED'
  /** The author has gone. */
  | 'MEMBER_LEFT'
  /** Written by its author. */
  | 'USER';

/** What of a channel is pushed. */
export type NotificationLevel =
  /** Every message. */
  | 'ALL'
  /** Where the viewer is mentioned or answered. */
  | 'MENTIONS'
  /** Nothing. */
  | 'NONE';

/** Whether somebody is there. */
export type PresenceStatus =
  /** Connected, and not at it just now: for the client to say. */
  | 'AWAY'
  /** Connected, and not to be disturbed: nothing is pushed until it is set otherwise, connected or not. */
  | 'DO_NOT_DISTURB'
  /** Not connected, hidden, or none of the viewer’s business. */
  | 'OFFLINE'
  /** Connected with a device. Setting it follows the connections again. */
  | 'ONLINE';

/** Where the device that asks is to be told. */
export type RegisterDeviceInput = {
  /** The app that the token belongs to: APNs topic, FCM project. */
  appId?: string | null | undefined;
  /** The language of its pushes; null follows the settings. */
  locale?: string | null | undefined;
  /** Who brings its pushes. */
  platform: DevicePlatform;
  /** APNs sandbox rather than production. */
  sandbox?: boolean | null | undefined;
  /** The APNs or FCM token, the Web Push subscription as JSON, or what the webhook is to be told. */
  token: string;
};

/** What can be decided on a report. */
export type ReportResolution =
  /** Something was done about it: the audit log tells what. */
  | 'ACTION_TAKEN'
  /** Nothing is wrong with it. */
  | 'DISMISSED';

/** How far a report has come. */
export type ReportStatus =
  /** Something was done about it. */
  | 'ACTION_TAKEN'
  /** Nothing is wrong with it. */
  | 'DISMISSED'
  /** Nobody has decided on it. */
  | 'OPEN';

/** A message to be sent later. */
export type ScheduleMessageInput = {
  /** Where to. */
  channelId: string;
  /** 1 to 100,000 characters (Unicode code points). */
  content: string;
  /** Chosen by the client, unique for its author. Scheduling again with the same key and the same body gives back the first, for as long as that is not sent; with another body it is a CONFLICT. */
  idempotencyKey?: string | null | undefined;
  /** Yet to come, and at most a year ahead. */
  sendAt: string;
};

/** The kinds of message that people write. */
export type SendKind =
  /** What somebody does, as with `/me`. */
  | 'ACTION'
  /** What somebody says. */
  | 'USER';

/** A message to be sent. */
export type SendMessageInput = {
  /** Files of the viewer’s own, each uploaded and completed, and part of no other message. */
  attachmentIds?: Array<string> | null | undefined;
  /** Where to. */
  channelId: string;
  /** 1 to 100,000 characters (Unicode code points); may be empty where there are attachments. */
  content: string;
  /** Chosen by the client, unique for its author within the channel. Sending again with the same key gives back the first message and sends nothing; with another body it is a CONFLICT. */
  idempotencyKey?: string | null | undefined;
  /** ACTION for what `/me` is for. USER where it is left out. */
  kind?: SendKind | null | undefined;
  /** A message of the same channel. */
  replyToId?: string | null | undefined;
};

/** Who signs in. */
export type SignInInput = {
  /** That of the account. */
  password: string;
  /** Whatever its case. */
  username: string;
};

/** A new account. */
export type SignUpInput = {
  /** The username where it is left out. */
  displayName?: string | null | undefined;
  /** At least 8 characters. */
  password: string;
  /** 1 to 32 letters, digits, dots, dashes and underscores, in any script. */
  username: string;
};

/** What can be suggested. */
export type SuggestionKind =
  /** A PUBLIC channel, or another one that the viewer is in. A DIRECT one is suggested as the other person. */
  | 'CHANNEL'
  /** Something that several people have searched for lately. */
  | 'TERM'
  /** A person. */
  | 'USER';

/** An absent field keeps what is there, and null clears it. */
export type UpdateChannelInput = {
  /** A GROUP or PUBLIC one. */
  channelId: string;
  /** Up to 80 characters; a PUBLIC channel keeps one. */
  name?: string | null | undefined;
  /** Up to 1,000 characters. */
  topic?: string | null | undefined;
};

/** An absent field keeps what is there. */
export type UpdateProfileInput = {
  /** A picture of the viewer’s own that is READY; null shows none. */
  avatarAttachmentId?: string | null | undefined;
  /** Null shows the username instead. */
  displayName?: string | null | undefined;
};

/** An absent field keeps what is there. */
export type UpdateScheduledMessageInput = {
  /** All that it will say. */
  content?: string | null | undefined;
  /** One of the viewer’s own, not sent yet. */
  id: string;
  /** Yet to come, and at most a year ahead. */
  sendAt?: string | null | undefined;
};

/** An absent field keeps what is there, and null clears it. */
export type UpdateSettingsInput = {
  /** A mail goes there with a link to follow within a day, and nothing else before that. Setting an address that is not verified yet once more sends another; at most one in a minute, and a few in a day (`RATE_LIMITED`). */
  email?: string | null | undefined;
  /** Null is true. */
  emailWhenAway?: boolean | null | undefined;
  /** A BCP 47 tag, such as `ko` or `en-GB`; null is `en`. */
  locale?: string | null | undefined;
  /** Null is true. */
  pushPreviews?: boolean | null | undefined;
  /** A local time, as in 08:00. */
  quietHoursEnd?: string | null | undefined;
  /** A local time, as in 22:00. Both or none, and not the same. */
  quietHoursStart?: string | null | undefined;
  /** A zone of the IANA’s database, such as `Asia/Seoul`; null is `UTC`. */
  timeZone?: string | null | undefined;
};

export type DataExportFragment = {
  status: DataExportStatus,
  createdAt: string,
  url: string | null,
  expiresAt: string | null,
  byteSize: number | null
};

export type DataExportsQueryVariables = Exact<{ [key: string]: never; }>;


export type DataExportsQuery = {
  dataExports: Array<DataExportFragment>
};

export type RequestDataExportMutationVariables = Exact<{ [key: string]: never; }>;


export type RequestDataExportMutation = {
  requestDataExport: DataExportFragment
};

export type DeleteAccountMutationVariables = Exact<{
  username: string;
  password?: string | null | undefined;
  deleteMessages?: boolean | null | undefined;
}>;


export type DeleteAccountMutation = {
  deleteAccount: boolean
};

export type ActivityFragment = {
  id: string,
  order: number,
  kind: ActivityKind,
  at: string,
  emoji: string | null,
  read: boolean,
  actor: UserFragment,
  channel: {
    id: string,
    kind: ChannelKind,
    name: string | null
  },
  message: MessageFragment | null
};

export type ActivityQueryVariables = Exact<{
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type ActivityQuery = {
  activityUnreadCount: number,
  activity: {
    edges: Array<{
      cursor: string,
      node: ActivityFragment
    }>,
    pageInfo: {
      hasNextPage: boolean,
      endCursor: string | null
    }
  }
};

export type MarkActivityReadMutationVariables = Exact<{
  upTo: string;
}>;


export type MarkActivityReadMutation = {
  markActivityRead: number
};

export type AttachmentFragment = {
  id: string,
  filename: string,
  contentType: string,
  byteSize: number,
  status: AttachmentStatus,
  failure: AttachmentFailure | null,
  url: string | null,
  urlExpiresAt: string | null,
  width: number | null,
  height: number | null,
  placeholder: string | null,
  durationMs: number | null,
  waveform: string | null,
  thumbnails: Array<{
    url: string,
    width: number,
    height: number,
    contentType: string
  }>
};

export type CreateUploadMutationVariables = Exact<{
  input: CreateUploadInput;
}>;


export type CreateUploadMutation = {
  createUpload: {
    method: string,
    url: string,
    expiresAt: string,
    attachment: AttachmentFragment,
    headers: Array<{
      name: string,
      value: string
    }>
  }
};

export type CompleteUploadMutationVariables = Exact<{
  attachmentId: string;
}>;


export type CompleteUploadMutation = {
  completeUpload: AttachmentFragment
};

export type AttachmentQueryVariables = Exact<{
  id: string;
}>;


export type AttachmentQuery = {
  node:
    | (
      {
      __typename: 'Attachment'
    }
      & AttachmentFragment
    )
    | {
      __typename: 'Channel'
    }
    | {
      __typename: 'Device'
    }
    | {
      __typename: 'Message'
    }
    | {
      __typename: 'Reminder'
    }
    | {
      __typename: 'ScheduledMessage'
    }
    | {
      __typename: 'User'
    }
   | null
};

export type AutocompleteQueryVariables = Exact<{
  prefix: string;
  kinds?: Array<SuggestionKind> | null | undefined;
  channelId?: string | null | undefined;
  first?: number | null | undefined;
}>;


export type AutocompleteQuery = {
  autocomplete: Array<{
    kind: SuggestionKind,
    text: string,
    user: UserFragment | null,
    channel: ChannelFragment | null
  }>
};

export type BlocksQueryVariables = Exact<{
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type BlocksQuery = {
  blocks: {
    edges: Array<{
      node: UserFragment
    }>,
    pageInfo: {
      hasNextPage: boolean,
      endCursor: string | null
    }
  }
};

export type BlockUserMutationVariables = Exact<{
  userId: string;
}>;


export type BlockUserMutation = {
  blockUser: boolean
};

export type UnblockUserMutationVariables = Exact<{
  userId: string;
}>;


export type UnblockUserMutation = {
  unblockUser: boolean
};

export type ChannelFragment = {
  id: string,
  kind: ChannelKind,
  name: string | null,
  topic: string | null,
  createdAt: string,
  firstSeq: number,
  lastSeq: number,
  memberCount: number,
  messageExpirySeconds: number | null,
  slowModeSeconds: number | null
};

export type ViewerChannelFragment = (
  {
  cursor: string,
  unreadCount: number,
  unreadMentionCount: number,
  viewerDraft: string | null,
  directPeer: UserFragment | null,
  lastMessage: MessageFragment | null,
  viewerMembership: (
    {
    notificationLevel: NotificationLevel,
    mutedUntil: string | null
  }
    & MemberFragment
  ) | null
}
  & ChannelFragment
);

export type ChannelQueryVariables = Exact<{
  id: string;
}>;


export type ChannelQuery = {
  channel: ViewerChannelFragment | null
};

export type ChannelCursorQueryVariables = Exact<{
  id: string;
}>;


export type ChannelCursorQuery = {
  channel: {
    cursor: string
  } | null
};

export type ChannelCursorsQueryVariables = Exact<{
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type ChannelCursorsQuery = {
  channels: {
    edges: Array<{
      node: {
        id: string,
        cursor: string
      }
    }>,
    pageInfo: {
      hasNextPage: boolean,
      endCursor: string | null
    }
  }
};

export type ChannelsQueryVariables = Exact<{
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type ChannelsQuery = {
  channels: {
    edges: Array<{
      node: ViewerChannelFragment
    }>,
    pageInfo: {
      hasNextPage: boolean,
      endCursor: string | null
    }
  }
};

export type PublicChannelsQueryVariables = Exact<{
  query?: string | null | undefined;
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type PublicChannelsQuery = {
  publicChannels: {
    edges: Array<{
      node: ChannelFragment
    }>,
    pageInfo: {
      hasNextPage: boolean,
      endCursor: string | null
    }
  }
};

export type CreateChannelMutationVariables = Exact<{
  input: CreateChannelInput;
}>;


export type CreateChannelMutation = {
  createChannel: {
    channel: ViewerChannelFragment
  }
};

export type OpenDirectChannelMutationVariables = Exact<{
  userId: string;
}>;


export type OpenDirectChannelMutation = {
  openDirectChannel: {
    channel: ViewerChannelFragment
  }
};

export type UpdateChannelMutationVariables = Exact<{
  input: UpdateChannelInput;
}>;


export type UpdateChannelMutation = {
  updateChannel: {
    channel: ChannelFragment
  }
};

export type JoinChannelMutationVariables = Exact<{
  channelId: string;
}>;


export type JoinChannelMutation = {
  joinChannel: {
    channel: ViewerChannelFragment
  }
};

export type LeaveChannelMutationVariables = Exact<{
  channelId: string;
}>;


export type LeaveChannelMutation = {
  leaveChannel: {
    channel: {
      id: string
    }
  }
};

export type MarkReadMutationVariables = Exact<{
  channelId: string;
  seq: number;
}>;


export type MarkReadMutation = {
  markRead: {
    channel: ReadStateFragment
  }
};

export type MarkUnreadMutationVariables = Exact<{
  channelId: string;
  fromSeq: number;
}>;


export type MarkUnreadMutation = {
  markUnread: {
    channel: ReadStateFragment
  }
};

export type SaveDraftMutationVariables = Exact<{
  channelId: string;
  content?: string | null | undefined;
}>;


export type SaveDraftMutation = {
  saveDraft: {
    channel: {
      id: string,
      viewerDraft: string | null
    }
  }
};

export type SetChannelNotificationsMutationVariables = Exact<{
  input: ChannelNotificationsInput;
}>;


export type SetChannelNotificationsMutation = {
  setChannelNotifications: {
    channel: {
      id: string,
      viewerMembership: {
        notificationLevel: NotificationLevel,
        mutedUntil: string | null
      } | null
    }
  }
};

export type SetTypingMutationVariables = Exact<{
  channelId: string;
  typing: boolean;
}>;


export type SetTypingMutation = {
  setTyping: boolean
};

export type ReadStateFragment = {
  id: string,
  unreadCount: number,
  unreadMentionCount: number,
  viewerMembership: {
    lastReadSeq: number
  } | null
};

export type ContactsQueryVariables = Exact<{
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type ContactsQuery = {
  contacts: {
    edges: Array<{
      node: (
        {
        presence: PresenceFragment
      }
        & UserFragment
      )
    }>,
    pageInfo: {
      hasNextPage: boolean,
      endCursor: string | null
    }
  }
};

export type AddContactMutationVariables = Exact<{
  userId: string;
}>;


export type AddContactMutation = {
  addContact: boolean
};

export type RemoveContactMutationVariables = Exact<{
  userId: string;
}>;


export type RemoveContactMutation = {
  removeContact: boolean
};

export type DeviceFragment = {
  id: string,
  platform: DevicePlatform,
  createdAt: string
};

export type DevicesQueryVariables = Exact<{ [key: string]: never; }>;


export type DevicesQuery = {
  devices: Array<DeviceFragment>
};

export type WebPushKeyQueryVariables = Exact<{ [key: string]: never; }>;


export type WebPushKeyQuery = {
  webPushKey: string | null
};

export type RegisterDeviceMutationVariables = Exact<{
  input: RegisterDeviceInput;
}>;


export type RegisterDeviceMutation = {
  registerDevice: DeviceFragment
};

export type UnregisterDeviceMutationVariables = Exact<{
  deviceId: string;
}>;


export type UnregisterDeviceMutation = {
  unregisterDevice: boolean
};

export type SetActiveChannelMutationVariables = Exact<{
  channelId?: string | null | undefined;
}>;


export type SetActiveChannelMutation = {
  setActiveChannel: boolean
};

export type EndpointQueryVariables = Exact<{ [key: string]: never; }>;


export type EndpointQuery = {
  endpoint: {
    url: string,
    expiresAt: string
  }
};

export type FeedQueryVariables = Exact<{
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type FeedQuery = {
  feed: {
    edges: Array<{
      cursor: string,
      node: MessageFragment
    }>,
    pageInfo: {
      hasNextPage: boolean,
      endCursor: string | null
    }
  }
};

export type InviteFragment = {
  code: string,
  url: string,
  createdAt: string,
  expiresAt: string | null,
  usesLeft: number | null,
  good: boolean,
  channel: ChannelFragment,
  createdBy: UserFragment
};

export type InviteQueryVariables = Exact<{
  code: string;
}>;


export type InviteQuery = {
  invite: InviteFragment | null
};

export type InvitesQueryVariables = Exact<{
  channelId: string;
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type InvitesQuery = {
  invites: {
    edges: Array<{
      node: (
        {
        maxUses: number | null,
        revokedAt: string | null,
        uses: number | null,
        visits: number | null
      }
        & InviteFragment
      )
    }>,
    pageInfo: {
      hasNextPage: boolean,
      endCursor: string | null
    }
  }
};

export type CreateInviteMutationVariables = Exact<{
  input: CreateInviteInput;
}>;


export type CreateInviteMutation = {
  createInvite: InviteFragment
};

export type RevokeInviteMutationVariables = Exact<{
  code: string;
}>;


export type RevokeInviteMutation = {
  revokeInvite: InviteFragment
};

export type JoinByInviteMutationVariables = Exact<{
  code: string;
}>;


export type JoinByInviteMutation = {
  joinByInvite: {
    channel: ViewerChannelFragment
  }
};

export type LinkPreviewFragment = {
  url: string,
  title: string | null,
  description: string | null,
  imageUrl: string | null,
  imageWidth: number | null,
  imageHeight: number | null,
  siteName: string | null
};

export type MessageLinkPreviewsQueryVariables = Exact<{
  id: string;
}>;


export type MessageLinkPreviewsQuery = {
  node:
    | {
      __typename: 'Attachment'
    }
    | {
      __typename: 'Channel'
    }
    | {
      __typename: 'Device'
    }
    | {
      __typename: 'Message',
      id: string,
      version: number,
      linkPreviews: Array<LinkPreviewFragment>
    }
    | {
      __typename: 'Reminder'
    }
    | {
      __typename: 'ScheduledMessage'
    }
    | {
      __typename: 'User'
    }
   | null
};

export type RemoveLinkPreviewMutationVariables = Exact<{
  messageId: string;
  url?: string | null | undefined;
}>;


export type RemoveLinkPreviewMutation = {
  removeLinkPreview: {
    message: MessageFragment
  }
};

export type MemberFragment = {
  role: MemberRole,
  joinedAt: string,
  lastReadSeq: number,
  silencedUntil: string | null,
  user: UserFragment
};

export type MembersQueryVariables = Exact<{
  channelId: string;
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type MembersQuery = {
  channel: {
    members: {
      totalCount: number,
      edges: Array<{
        node: MemberFragment
      }>,
      pageInfo: {
        hasNextPage: boolean,
        endCursor: string | null
      }
    }
  } | null
};

export type AddMembersMutationVariables = Exact<{
  channelId: string;
  userIds: Array<string>;
}>;


export type AddMembersMutation = {
  addMembers: {
    channel: {
      id: string,
      memberCount: number
    }
  }
};

export type RemoveMemberMutationVariables = Exact<{
  channelId: string;
  userId: string;
}>;


export type RemoveMemberMutation = {
  removeMember: {
    channel: {
      id: string,
      memberCount: number
    }
  }
};

export type SetMemberRoleMutationVariables = Exact<{
  channelId: string;
  userId: string;
  role: MemberRole;
}>;


export type SetMemberRoleMutation = {
  setMemberRole: {
    channel: {
      id: string
    }
  }
};

export type SetMessageExpiryMutationVariables = Exact<{
  channelId: string;
  seconds?: number | null | undefined;
}>;


export type SetMessageExpiryMutation = {
  setMessageExpiry: {
    channel: ChannelFragment
  }
};

export type MessageFragment = {
  id: string,
  kind: MessageKind,
  seq: number,
  version: number,
  content: string,
  createdAt: string,
  editedAt: string | null,
  deletedAt: string | null,
  replyCount: number,
  pinnedAt: string | null,
  channel: {
    id: string
  },
  author: UserFragment,
  replyTo: {
    id: string,
    seq: number,
    content: string,
    deletedAt: string | null,
    author: UserFragment
  } | null,
  mentions: Array<{
    id: string,
    username: string,
    displayName: string
  }>,
  reactions: Array<ReactionFragment>,
  attachments: Array<AttachmentFragment>,
  linkPreviews: Array<LinkPreviewFragment>
};

export type ReactionFragment = {
  emoji: string,
  count: number,
  userIds: Array<string>
};

export type MessagePageFragment = {
  edges: Array<{
    cursor: string,
    node: MessageFragment
  }>,
  pageInfo: {
    hasNextPage: boolean,
    hasPreviousPage: boolean,
    startCursor: string | null,
    endCursor: string | null
  }
};

export type ThreadStateFragment = {
  lastReadSeq: number,
  unreadCount: number
};

export type HistoryQueryVariables = Exact<{
  channelId: string;
  first?: number | null | undefined;
  after?: string | null | undefined;
  last?: number | null | undefined;
  before?: string | null | undefined;
  around?: string | null | undefined;
  aroundSeq?: number | null | undefined;
  aroundDate?: string | null | undefined;
}>;


export type HistoryQuery = {
  channel: {
    cursor: string,
    firstSeq: number,
    lastSeq: number,
    messages: MessagePageFragment
  } | null
};

export type MessageQueryVariables = Exact<{
  id: string;
}>;


export type MessageQuery = {
  node:
    | {
      __typename: 'Attachment'
    }
    | {
      __typename: 'Channel'
    }
    | {
      __typename: 'Device'
    }
    | (
      {
      __typename: 'Message'
    }
      & MessageFragment
    )
    | {
      __typename: 'Reminder'
    }
    | {
      __typename: 'ScheduledMessage'
    }
    | {
      __typename: 'User'
    }
   | null
};

export type MessageThreadQueryVariables = Exact<{
  id: string;
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type MessageThreadQuery = {
  node:
    | {
      __typename: 'Attachment'
    }
    | {
      __typename: 'Channel'
    }
    | {
      __typename: 'Device'
    }
    | (
      {
      __typename: 'Message',
      viewerThread: ThreadStateFragment | null,
      replies: MessagePageFragment
    }
      & MessageFragment
    )
    | {
      __typename: 'Reminder'
    }
    | {
      __typename: 'ScheduledMessage'
    }
    | {
      __typename: 'User'
    }
   | null
};

export type PinnedMessagesQueryVariables = Exact<{
  channelId: string;
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type PinnedMessagesQuery = {
  channel: {
    pinnedMessages: MessagePageFragment
  } | null
};

export type SendMessageMutationVariables = Exact<{
  input: SendMessageInput;
}>;


export type SendMessageMutation = {
  sendMessage: {
    message: MessageFragment
  }
};

export type EditMessageMutationVariables = Exact<{
  input: EditMessageInput;
}>;


export type EditMessageMutation = {
  editMessage: {
    message: MessageFragment
  }
};

export type DeleteMessageMutationVariables = Exact<{
  messageId: string;
  reason?: string | null | undefined;
}>;


export type DeleteMessageMutation = {
  deleteMessage: {
    message: MessageFragment
  }
};

export type AddReactionMutationVariables = Exact<{
  messageId: string;
  emoji: string;
}>;


export type AddReactionMutation = {
  addReaction: {
    message: MessageFragment
  }
};

export type RemoveReactionMutationVariables = Exact<{
  messageId: string;
  emoji: string;
}>;


export type RemoveReactionMutation = {
  removeReaction: {
    message: MessageFragment
  }
};

export type PinMessageMutationVariables = Exact<{
  messageId: string;
}>;


export type PinMessageMutation = {
  pinMessage: {
    message: MessageFragment
  }
};

export type UnpinMessageMutationVariables = Exact<{
  messageId: string;
}>;


export type UnpinMessageMutation = {
  unpinMessage: {
    message: MessageFragment
  }
};

export type MarkThreadReadMutationVariables = Exact<{
  messageId: string;
  seq: number;
}>;


export type MarkThreadReadMutation = {
  markThreadRead: {
    message: {
      id: string,
      viewerThread: ThreadStateFragment | null
    }
  }
};

export type BanMemberMutationVariables = Exact<{
  channelId: string;
  userId: string;
  until?: string | null | undefined;
  reason?: string | null | undefined;
}>;


export type BanMemberMutation = {
  banMember: {
    channel: {
      id: string,
      memberCount: number
    }
  }
};

export type UnbanMemberMutationVariables = Exact<{
  channelId: string;
  userId: string;
}>;


export type UnbanMemberMutation = {
  unbanMember: {
    channel: {
      id: string
    }
  }
};

export type ChannelBansQueryVariables = Exact<{
  channelId: string;
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type ChannelBansQuery = {
  channelBans: {
    edges: Array<{
      node: {
        bannedAt: string,
        until: string | null,
        reason: string | null,
        user: UserFragment,
        bannedBy: UserFragment
      }
    }>,
    pageInfo: {
      hasNextPage: boolean,
      endCursor: string | null
    }
  }
};

export type SilenceMemberMutationVariables = Exact<{
  channelId: string;
  userId: string;
  until?: string | null | undefined;
  reason?: string | null | undefined;
}>;


export type SilenceMemberMutation = {
  silenceMember: {
    channel: {
      id: string
    }
  }
};

export type SetSlowModeMutationVariables = Exact<{
  channelId: string;
  seconds?: number | null | undefined;
}>;


export type SetSlowModeMutation = {
  setSlowMode: {
    channel: {
      id: string,
      slowModeSeconds: number | null
    }
  }
};

export type ReportMessageMutationVariables = Exact<{
  messageId: string;
  reason: string;
}>;


export type ReportMessageMutation = {
  reportMessage: boolean
};

export type ReportUserMutationVariables = Exact<{
  userId: string;
  reason: string;
}>;


export type ReportUserMutation = {
  reportUser: boolean
};

export type ReportFragment = {
  id: string,
  channelId: string | null,
  messageId: string | null,
  reason: string,
  content: string | null,
  createdAt: string,
  status: ReportStatus,
  resolvedAt: string | null,
  note: string | null,
  reporter: UserFragment,
  subject: UserFragment,
  resolvedBy: UserFragment | null
};

export type ReportsQueryVariables = Exact<{
  channelId?: string | null | undefined;
  status?: ReportStatus | null | undefined;
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type ReportsQuery = {
  reports: {
    edges: Array<{
      node: ReportFragment
    }>,
    pageInfo: {
      hasNextPage: boolean,
      endCursor: string | null
    }
  }
};

export type ResolveReportMutationVariables = Exact<{
  id: string;
  resolution: ReportResolution;
  note?: string | null | undefined;
}>;


export type ResolveReportMutation = {
  resolveReport: ReportFragment
};

export type DeleteReportedMessageMutationVariables = Exact<{
  id: string;
  reason?: string | null | undefined;
}>;


export type DeleteReportedMessageMutation = {
  deleteReportedMessage: ReportFragment
};

export type AuditLogQueryVariables = Exact<{
  channelId?: string | null | undefined;
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type AuditLogQuery = {
  auditLog: {
    edges: Array<{
      node: {
        channelId: string | null,
        at: string,
        action: AuditAction,
        messageId: string | null,
        reportId: string | null,
        reason: string | null,
        content: string | null,
        until: string | null,
        roleBefore: MemberRole | null,
        role: MemberRole | null,
        seconds: number | null,
        resolution: ReportResolution | null,
        hash: string,
        actor: UserFragment | null,
        subject: UserFragment | null
      }
    }>,
    pageInfo: {
      hasNextPage: boolean,
      endCursor: string | null
    }
  }
};

export type ReminderFragment = {
  id: string,
  note: string | null,
  remindAt: string,
  remindedAt: string | null,
  createdAt: string,
  message: MessageFragment | null
};

export type RemindersQueryVariables = Exact<{
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type RemindersQuery = {
  reminders: {
    edges: Array<{
      node: ReminderFragment
    }>,
    pageInfo: {
      hasNextPage: boolean,
      endCursor: string | null
    }
  }
};

export type CreateReminderMutationVariables = Exact<{
  input: CreateReminderInput;
}>;


export type CreateReminderMutation = {
  createReminder: ReminderFragment
};

export type DeleteReminderMutationVariables = Exact<{
  id: string;
}>;


export type DeleteReminderMutation = {
  deleteReminder: boolean
};

export type ScheduledMessageFragment = {
  id: string,
  content: string,
  sendAt: string,
  createdAt: string,
  failure: string | null,
  channel: {
    id: string
  }
};

export type ScheduledMessagesQueryVariables = Exact<{
  channelId?: string | null | undefined;
}>;


export type ScheduledMessagesQuery = {
  scheduledMessages: Array<ScheduledMessageFragment>
};

export type ScheduleMessageMutationVariables = Exact<{
  input: ScheduleMessageInput;
}>;


export type ScheduleMessageMutation = {
  scheduleMessage: ScheduledMessageFragment
};

export type UpdateScheduledMessageMutationVariables = Exact<{
  input: UpdateScheduledMessageInput;
}>;


export type UpdateScheduledMessageMutation = {
  updateScheduledMessage: ScheduledMessageFragment
};

export type CancelScheduledMessageMutationVariables = Exact<{
  id: string;
}>;


export type CancelScheduledMessageMutation = {
  cancelScheduledMessage: boolean
};

export type HighlightFragment = {
  start: number,
  end: number
};

export type SearchMessagesQueryVariables = Exact<{
  query: string;
  channelId?: string | null | undefined;
  authorId?: string | null | undefined;
  sentBefore?: string | null | undefined;
  sentAfter?: string | null | undefined;
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type SearchMessagesQuery = {
  searchMessages: {
    edges: Array<{
      cursor: string,
      node: MessageFragment,
      highlights: Array<HighlightFragment> | null
    }>,
    pageInfo: {
      hasNextPage: boolean,
      endCursor: string | null
    }
  }
};

export type SettingsFragment = {
  locale: string,
  timeZone: string,
  quietHoursStart: string | null,
  quietHoursEnd: string | null,
  pushPreviews: boolean,
  emailWhenAway: boolean,
  email: string | null,
  emailVerified: boolean
};

export type SettingsQueryVariables = Exact<{ [key: string]: never; }>;


export type SettingsQuery = {
  settings: SettingsFragment
};

export type UpdateSettingsMutationVariables = Exact<{
  input: UpdateSettingsInput;
}>;


export type UpdateSettingsMutation = {
  updateSettings: SettingsFragment
};

export type CreateMessageLinkMutationVariables = Exact<{
  messageId: string;
}>;


export type CreateMessageLinkMutation = {
  createMessageLink: {
    code: string,
    url: string,
    visits: number
  }
};

export type ShortLinkQueryVariables = Exact<{
  code: string;
}>;


export type ShortLinkQuery = {
  shortLink:
    | (
      {
      __typename: 'Invite'
    }
      & InviteFragment
    )
    | {
      __typename: 'MessageLink',
      message: (
        {
        channel: {
          id: string
        }
      }
        & MessageFragment
      )
    }
   | null
};

export type MessageEventFragment = {
  stream: string,
  cursor: string,
  kind: MessageEventKind,
  message: MessageFragment
};

export type MessagesSubscriptionVariables = Exact<{
  channelId: string;
  after?: string | null | undefined;
}>;


export type MessagesSubscription = {
  messages: MessageEventFragment
};

export type InboxSubscriptionVariables = Exact<{
  after?: Array<string> | null | undefined;
}>;


export type InboxSubscription = {
  inbox:
    | {
      __typename: 'ActivityEvent',
      stream: string,
      cursor: string,
      activityId: string | null,
      unreadCount: number,
      readUpTo: number,
      activity: ActivityFragment | null
    }
    | {
      __typename: 'ChannelUpdatedEvent',
      stream: string,
      cursor: string,
      channel: ChannelFragment
    }
    | {
      __typename: 'MembershipEvent',
      stream: string,
      cursor: string,
      channel: (
        {
        cursor: string
      }
        & ChannelFragment
      ),
      user: UserFragment,
      member: MemberFragment | null
    }
    | (
      {
      __typename: 'MessageEvent',
      stream: string,
      cursor: string
    }
      & MessageEventFragment
    )
    | {
      __typename: 'ReadStateEvent',
      stream: string,
      cursor: string,
      lastReadSeq: number,
      channel: {
        id: string
      }
    }
    | {
      __typename: 'ReminderEvent',
      stream: string,
      cursor: string,
      reminder: ReminderFragment | null
    }
    | {
      __typename: 'SyncedEvent',
      stream: string,
      cursor: string
    }

};

export type PresenceSubscriptionVariables = Exact<{
  userIds: Array<string>;
}>;


export type PresenceSubscription = {
  presence: {
    user: {
      id: string
    },
    presence: PresenceFragment
  }
};

export type TypingSubscriptionVariables = Exact<{
  channelId: string;
}>;


export type TypingSubscription = {
  typing: {
    typing: boolean,
    user: UserFragment
  }
};

export type ReadReceiptsSubscriptionVariables = Exact<{
  channelId: string;
}>;


export type ReadReceiptsSubscription = {
  readReceipts: {
    lastReadSeq: number,
    user: {
      id: string
    }
  }
};

export type UserFragment = {
  id: string,
  username: string,
  displayName: string,
  avatarUrl: string | null,
  bot: boolean,
  deleted: boolean
};

export type PresenceFragment = {
  status: PresenceStatus,
  statusText: string | null,
  lastActiveAt: string | null
};

export type SessionFragment = {
  accessToken: string,
  accessTokenExpiresAt: string,
  refreshToken: string,
  viewer: UserFragment
};

export type ViewerQueryVariables = Exact<{ [key: string]: never; }>;


export type ViewerQuery = {
  viewer: UserFragment | null
};

export type UserQueryVariables = Exact<{
  username: string;
}>;


export type UserQuery = {
  user: (
    {
    createdAt: string,
    presence: PresenceFragment
  }
    & UserFragment
  ) | null
};

export type SignUpMutationVariables = Exact<{
  input: SignUpInput;
}>;


export type SignUpMutation = {
  signUp: SessionFragment
};

export type SignInMutationVariables = Exact<{
  input: SignInInput;
}>;


export type SignInMutation = {
  signIn: SessionFragment
};

export type RefreshSessionMutationVariables = Exact<{
  refreshToken: string;
}>;


export type RefreshSessionMutation = {
  refreshSession: SessionFragment
};

export type SignOutMutationVariables = Exact<{
  refreshToken: string;
}>;


export type SignOutMutation = {
  signOut: boolean
};

export type UpdateProfileMutationVariables = Exact<{
  input: UpdateProfileInput;
}>;


export type UpdateProfileMutation = {
  updateProfile: UserFragment
};

export type SetPresenceMutationVariables = Exact<{
  status: PresenceStatus;
  statusText?: string | null | undefined;
}>;


export type SetPresenceMutation = {
  setPresence: PresenceFragment
};

/** What went wrong, as the server names it. */
export type ErrorCode =
  | 'BAD_USER_INPUT'
  | 'CONFLICT'
  | 'CURSOR_EXPIRED'
  | 'FORBIDDEN'
  | 'INTERNAL'
  | 'NOT_FOUND'
  | 'PAYLOAD_TOO_LARGE'
  | 'QUERY_TOO_COMPLEX'
  | 'RATE_LIMITED'
  | 'UNAUTHENTICATED'
  | 'UNAVAILABLE'

const DataExportText = `fragment DataExport on DataExport {
  status
  createdAt
  url
  expiresAt
  byteSize
}`

const ActivityText = `fragment Activity on Activity {
  id
  order
  kind
  at
  actor {
    ...User
  }
  channel {
    id
    kind
    name
  }
  message {
    ...Message
  }
  emoji
  read
}`

const AttachmentText = `fragment Attachment on Attachment {
  id
  filename
  contentType
  byteSize
  status
  failure
  url
  urlExpiresAt
  width
  height
  placeholder
  durationMs
  waveform
  thumbnails {
    url
    width
    height
    contentType
  }
}`

const ChannelText = `fragment Channel on Channel {
  id
  kind
  name
  topic
  createdAt
  firstSeq
  lastSeq
  memberCount
  messageExpirySeconds
  slowModeSeconds
}`

const ViewerChannelText = `fragment ViewerChannel on Channel {
  ...Channel
  cursor
  directPeer {
    ...User
  }
  lastMessage {
    ...Message
  }
  viewerMembership {
    ...Member
    notificationLevel
    mutedUntil
  }
  unreadCount
  unreadMentionCount
  viewerDraft
}`

const ReadStateText = `fragment ReadState on Channel {
  id
  unreadCount
  unreadMentionCount
  viewerMembership {
    lastReadSeq
  }
}`

const DeviceText = `fragment Device on Device {
  id
  platform
  createdAt
}`

const InviteText = `fragment Invite on Invite {
  code
  url
  channel {
    ...Channel
  }
  createdBy {
    ...User
  }
  createdAt
  expiresAt
  usesLeft
  good
}`

const LinkPreviewText = `fragment LinkPreview on LinkPreview {
  url
  title
  description
  imageUrl
  imageWidth
  imageHeight
  siteName
}`

const MemberText = `fragment Member on Member {
  user {
    ...User
  }
  role
  joinedAt
  lastReadSeq
  silencedUntil
}`

const MessageText = `fragment Message on Message {
  id
  kind
  channel {
    id
  }
  seq
  version
  author {
    ...User
  }
  content
  createdAt
  editedAt
  deletedAt
  replyTo {
    id
    seq
    author {
      ...User
    }
    content
    deletedAt
  }
  replyCount
  mentions {
    id
    username
    displayName
  }
  reactions {
    ...Reaction
  }
  attachments {
    ...Attachment
  }
  linkPreviews {
    ...LinkPreview
  }
  pinnedAt
}`

const ReactionText = `fragment Reaction on Reaction {
  emoji
  count
  userIds
}`

const MessagePageText = `fragment MessagePage on MessageConnection {
  edges {
    cursor
    node {
      ...Message
    }
  }
  pageInfo {
    hasNextPage
    hasPreviousPage
    startCursor
    endCursor
  }
}`

const ThreadStateText = `fragment ThreadState on ThreadState {
  lastReadSeq
  unreadCount
}`

const ReportText = `fragment Report on Report {
  id
  reporter {
    ...User
  }
  subject {
    ...User
  }
  channelId
  messageId
  reason
  content
  createdAt
  status
  resolvedBy {
    ...User
  }
  resolvedAt
  note
}`

const ReminderText = `fragment Reminder on Reminder {
  id
  message {
    ...Message
  }
  note
  remindAt
  remindedAt
  createdAt
}`

const ScheduledMessageText = `fragment ScheduledMessage on ScheduledMessage {
  id
  channel {
    id
  }
  content
  sendAt
  createdAt
  failure
}`

const HighlightText = `fragment Highlight on Highlight {
  start
  end
}`

const SettingsText = `fragment Settings on Settings {
  locale
  timeZone
  quietHoursStart
  quietHoursEnd
  pushPreviews
  emailWhenAway
  email
  emailVerified
}`

const MessageEventText = `fragment MessageEvent on MessageEvent {
  stream
  cursor
  kind
  message {
    ...Message
  }
}`

const UserText = `fragment User on User {
  id
  username
  displayName
  avatarUrl
  bot
  deleted
}`

const PresenceText = `fragment Presence on Presence {
  status
  statusText
  lastActiveAt
}`

const SessionText = `fragment Session on AuthPayload {
  accessToken
  accessTokenExpiresAt
  refreshToken
  viewer {
    ...User
  }
}`

export const DataExportsDocument: TypedDocument<DataExportsQuery, DataExportsQueryVariables> = {
  name: 'DataExports',
  text: `query DataExports {
  dataExports {
    ...DataExport
  }
}
${DataExportText}`,
}

export const RequestDataExportDocument: TypedDocument<RequestDataExportMutation, RequestDataExportMutationVariables> = {
  name: 'RequestDataExport',
  text: `mutation RequestDataExport {
  requestDataExport {
    ...DataExport
  }
}
${DataExportText}`,
}

export const DeleteAccountDocument: TypedDocument<DeleteAccountMutation, DeleteAccountMutationVariables> = {
  name: 'DeleteAccount',
  text: `mutation DeleteAccount($username: String!, $password: String, $deleteMessages: Boolean) {
  deleteAccount(
    username: $username
    password: $password
    deleteMessages: $deleteMessages
  )
}`,
}

export const ActivityDocument: TypedDocument<ActivityQuery, ActivityQueryVariables> = {
  name: 'Activity',
  text: `query Activity($first: Int, $after: String) {
  activity(first: $first, after: $after) {
    edges {
      cursor
      node {
        ...Activity
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
  activityUnreadCount
}
${ActivityText}
${AttachmentText}
${LinkPreviewText}
${MessageText}
${ReactionText}
${UserText}`,
}

export const MarkActivityReadDocument: TypedDocument<MarkActivityReadMutation, MarkActivityReadMutationVariables> = {
  name: 'MarkActivityRead',
  text: `mutation MarkActivityRead($upTo: ID!) {
  markActivityRead(upTo: $upTo)
}`,
}

export const CreateUploadDocument: TypedDocument<CreateUploadMutation, CreateUploadMutationVariables> = {
  name: 'CreateUpload',
  text: `mutation CreateUpload($input: CreateUploadInput!) {
  createUpload(input: $input) {
    attachment {
      ...Attachment
    }
    method
    url
    headers {
      name
      value
    }
    expiresAt
  }
}
${AttachmentText}`,
}

export const CompleteUploadDocument: TypedDocument<CompleteUploadMutation, CompleteUploadMutationVariables> = {
  name: 'CompleteUpload',
  text: `mutation CompleteUpload($attachmentId: ID!) {
  completeUpload(attachmentId: $attachmentId) {
    ...Attachment
  }
}
${AttachmentText}`,
}

export const AttachmentDocument: TypedDocument<AttachmentQuery, AttachmentQueryVariables> = {
  name: 'Attachment',
  text: `query Attachment($id: ID!) {
  node(id: $id) {
    __typename
    ...Attachment
  }
}
${AttachmentText}`,
}

export const AutocompleteDocument: TypedDocument<AutocompleteQuery, AutocompleteQueryVariables> = {
  name: 'Autocomplete',
  text: `query Autocomplete($prefix: String!, $kinds: [SuggestionKind!], $channelId: ID, $first: Int) {
  autocomplete(
    prefix: $prefix
    kinds: $kinds
    channelId: $channelId
    first: $first
  ) {
    kind
    text
    user {
      ...User
    }
    channel {
      ...Channel
    }
  }
}
${ChannelText}
${UserText}`,
}

export const BlocksDocument: TypedDocument<BlocksQuery, BlocksQueryVariables> = {
  name: 'Blocks',
  text: `query Blocks($first: Int, $after: String) {
  blocks(first: $first, after: $after) {
    edges {
      node {
        ...User
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
${UserText}`,
}

export const BlockUserDocument: TypedDocument<BlockUserMutation, BlockUserMutationVariables> = {
  name: 'BlockUser',
  text: `mutation BlockUser($userId: ID!) {
  blockUser(userId: $userId)
}`,
}

export const UnblockUserDocument: TypedDocument<UnblockUserMutation, UnblockUserMutationVariables> = {
  name: 'UnblockUser',
  text: `mutation UnblockUser($userId: ID!) {
  unblockUser(userId: $userId)
}`,
}

export const ChannelDocument: TypedDocument<ChannelQuery, ChannelQueryVariables> = {
  name: 'Channel',
  text: `query Channel($id: ID!) {
  channel(id: $id) {
    ...ViewerChannel
  }
}
${AttachmentText}
${ChannelText}
${ViewerChannelText}
${LinkPreviewText}
${MemberText}
${MessageText}
${ReactionText}
${UserText}`,
}

export const ChannelCursorDocument: TypedDocument<ChannelCursorQuery, ChannelCursorQueryVariables> = {
  name: 'ChannelCursor',
  text: `query ChannelCursor($id: ID!) {
  channel(id: $id) {
    cursor
  }
}`,
}

export const ChannelCursorsDocument: TypedDocument<ChannelCursorsQuery, ChannelCursorsQueryVariables> = {
  name: 'ChannelCursors',
  text: `query ChannelCursors($first: Int, $after: String) {
  channels(first: $first, after: $after) {
    edges {
      node {
        id
        cursor
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}`,
}

export const ChannelsDocument: TypedDocument<ChannelsQuery, ChannelsQueryVariables> = {
  name: 'Channels',
  text: `query Channels($first: Int, $after: String) {
  channels(first: $first, after: $after) {
    edges {
      node {
        ...ViewerChannel
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
${AttachmentText}
${ChannelText}
${ViewerChannelText}
${LinkPreviewText}
${MemberText}
${MessageText}
${ReactionText}
${UserText}`,
}

export const PublicChannelsDocument: TypedDocument<PublicChannelsQuery, PublicChannelsQueryVariables> = {
  name: 'PublicChannels',
  text: `query PublicChannels($query: String, $first: Int, $after: String) {
  publicChannels(query: $query, first: $first, after: $after) {
    edges {
      node {
        ...Channel
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
${ChannelText}`,
}

export const CreateChannelDocument: TypedDocument<CreateChannelMutation, CreateChannelMutationVariables> = {
  name: 'CreateChannel',
  text: `mutation CreateChannel($input: CreateChannelInput!) {
  createChannel(input: $input) {
    channel {
      ...ViewerChannel
    }
  }
}
${AttachmentText}
${ChannelText}
${ViewerChannelText}
${LinkPreviewText}
${MemberText}
${MessageText}
${ReactionText}
${UserText}`,
}

export const OpenDirectChannelDocument: TypedDocument<OpenDirectChannelMutation, OpenDirectChannelMutationVariables> = {
  name: 'OpenDirectChannel',
  text: `mutation OpenDirectChannel($userId: ID!) {
  openDirectChannel(userId: $userId) {
    channel {
      ...ViewerChannel
    }
  }
}
${AttachmentText}
${ChannelText}
${ViewerChannelText}
${LinkPreviewText}
${MemberText}
${MessageText}
${ReactionText}
${UserText}`,
}

export const UpdateChannelDocument: TypedDocument<UpdateChannelMutation, UpdateChannelMutationVariables> = {
  name: 'UpdateChannel',
  text: `mutation UpdateChannel($input: UpdateChannelInput!) {
  updateChannel(input: $input) {
    channel {
      ...Channel
    }
  }
}
${ChannelText}`,
}

export const JoinChannelDocument: TypedDocument<JoinChannelMutation, JoinChannelMutationVariables> = {
  name: 'JoinChannel',
  text: `mutation JoinChannel($channelId: ID!) {
  joinChannel(channelId: $channelId) {
    channel {
      ...ViewerChannel
    }
  }
}
${AttachmentText}
${ChannelText}
${ViewerChannelText}
${LinkPreviewText}
${MemberText}
${MessageText}
${ReactionText}
${UserText}`,
}

export const LeaveChannelDocument: TypedDocument<LeaveChannelMutation, LeaveChannelMutationVariables> = {
  name: 'LeaveChannel',
  text: `mutation LeaveChannel($channelId: ID!) {
  leaveChannel(channelId: $channelId) {
    channel {
      id
    }
  }
}`,
}

export const MarkReadDocument: TypedDocument<MarkReadMutation, MarkReadMutationVariables> = {
  name: 'MarkRead',
  text: `mutation MarkRead($channelId: ID!, $seq: Int!) {
  markRead(channelId: $channelId, seq: $seq) {
    channel {
      ...ReadState
    }
  }
}
${ReadStateText}`,
}

export const MarkUnreadDocument: TypedDocument<MarkUnreadMutation, MarkUnreadMutationVariables> = {
  name: 'MarkUnread',
  text: `mutation MarkUnread($channelId: ID!, $fromSeq: Int!) {
  markUnread(channelId: $channelId, fromSeq: $fromSeq) {
    channel {
      ...ReadState
    }
  }
}
${ReadStateText}`,
}

export const SaveDraftDocument: TypedDocument<SaveDraftMutation, SaveDraftMutationVariables> = {
  name: 'SaveDraft',
  text: `mutation SaveDraft($channelId: ID!, $content: String) {
  saveDraft(channelId: $channelId, content: $content) {
    channel {
      id
      viewerDraft
    }
  }
}`,
}

export const SetChannelNotificationsDocument: TypedDocument<SetChannelNotificationsMutation, SetChannelNotificationsMutationVariables> = {
  name: 'SetChannelNotifications',
  text: `mutation SetChannelNotifications($input: ChannelNotificationsInput!) {
  setChannelNotifications(input: $input) {
    channel {
      id
      viewerMembership {
        notificationLevel
        mutedUntil
      }
    }
  }
}`,
}

export const SetTypingDocument: TypedDocument<SetTypingMutation, SetTypingMutationVariables> = {
  name: 'SetTyping',
  text: `mutation SetTyping($channelId: ID!, $typing: Boolean!) {
  setTyping(channelId: $channelId, typing: $typing)
}`,
}

export const ContactsDocument: TypedDocument<ContactsQuery, ContactsQueryVariables> = {
  name: 'Contacts',
  text: `query Contacts($first: Int, $after: String) {
  contacts(first: $first, after: $after) {
    edges {
      node {
        ...User
        presence {
          ...Presence
        }
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
${UserText}
${PresenceText}`,
}

export const AddContactDocument: TypedDocument<AddContactMutation, AddContactMutationVariables> = {
  name: 'AddContact',
  text: `mutation AddContact($userId: ID!) {
  addContact(userId: $userId)
}`,
}

export const RemoveContactDocument: TypedDocument<RemoveContactMutation, RemoveContactMutationVariables> = {
  name: 'RemoveContact',
  text: `mutation RemoveContact($userId: ID!) {
  removeContact(userId: $userId)
}`,
}

export const DevicesDocument: TypedDocument<DevicesQuery, DevicesQueryVariables> = {
  name: 'Devices',
  text: `query Devices {
  devices {
    ...Device
  }
}
${DeviceText}`,
}

export const WebPushKeyDocument: TypedDocument<WebPushKeyQuery, WebPushKeyQueryVariables> = {
  name: 'WebPushKey',
  text: `query WebPushKey {
  webPushKey
}`,
}

export const RegisterDeviceDocument: TypedDocument<RegisterDeviceMutation, RegisterDeviceMutationVariables> = {
  name: 'RegisterDevice',
  text: `mutation RegisterDevice($input: RegisterDeviceInput!) {
  registerDevice(input: $input) {
    ...Device
  }
}
${DeviceText}`,
}

export const UnregisterDeviceDocument: TypedDocument<UnregisterDeviceMutation, UnregisterDeviceMutationVariables> = {
  name: 'UnregisterDevice',
  text: `mutation UnregisterDevice($deviceId: ID!) {
  unregisterDevice(deviceId: $deviceId)
}`,
}

export const SetActiveChannelDocument: TypedDocument<SetActiveChannelMutation, SetActiveChannelMutationVariables> = {
  name: 'SetActiveChannel',
  text: `mutation SetActiveChannel($channelId: ID) {
  setActiveChannel(channelId: $channelId)
}`,
}

export const EndpointDocument: TypedDocument<EndpointQuery, EndpointQueryVariables> = {
  name: 'Endpoint',
  text: `query Endpoint {
  endpoint {
    url
    expiresAt
  }
}`,
}

export const FeedDocument: TypedDocument<FeedQuery, FeedQueryVariables> = {
  name: 'Feed',
  text: `query Feed($first: Int, $after: String) {
  feed(first: $first, after: $after) {
    edges {
      cursor
      node {
        ...Message
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
${AttachmentText}
${LinkPreviewText}
${MessageText}
${ReactionText}
${UserText}`,
}

export const InviteDocument: TypedDocument<InviteQuery, InviteQueryVariables> = {
  name: 'Invite',
  text: `query Invite($code: String!) {
  invite(code: $code) {
    ...Invite
  }
}
${ChannelText}
${InviteText}
${UserText}`,
}

export const InvitesDocument: TypedDocument<InvitesQuery, InvitesQueryVariables> = {
  name: 'Invites',
  text: `query Invites($channelId: ID!, $first: Int, $after: String) {
  invites(channelId: $channelId, first: $first, after: $after) {
    edges {
      node {
        ...Invite
        maxUses
        revokedAt
        uses
        visits
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
${ChannelText}
${InviteText}
${UserText}`,
}

export const CreateInviteDocument: TypedDocument<CreateInviteMutation, CreateInviteMutationVariables> = {
  name: 'CreateInvite',
  text: `mutation CreateInvite($input: CreateInviteInput!) {
  createInvite(input: $input) {
    ...Invite
  }
}
${ChannelText}
${InviteText}
${UserText}`,
}

export const RevokeInviteDocument: TypedDocument<RevokeInviteMutation, RevokeInviteMutationVariables> = {
  name: 'RevokeInvite',
  text: `mutation RevokeInvite($code: String!) {
  revokeInvite(code: $code) {
    ...Invite
  }
}
${ChannelText}
${InviteText}
${UserText}`,
}

export const JoinByInviteDocument: TypedDocument<JoinByInviteMutation, JoinByInviteMutationVariables> = {
  name: 'JoinByInvite',
  text: `mutation JoinByInvite($code: String!) {
  joinByInvite(code: $code) {
    channel {
      ...ViewerChannel
    }
  }
}
${AttachmentText}
${ChannelText}
${ViewerChannelText}
${LinkPreviewText}
${MemberText}
${MessageText}
${ReactionText}
${UserText}`,
}

export const MessageLinkPreviewsDocument: TypedDocument<MessageLinkPreviewsQuery, MessageLinkPreviewsQueryVariables> = {
  name: 'MessageLinkPreviews',
  text: `query MessageLinkPreviews($id: ID!) {
  node(id: $id) {
    __typename
    ... on Message {
      id
      version
      linkPreviews {
        ...LinkPreview
      }
    }
  }
}
${LinkPreviewText}`,
}

export const RemoveLinkPreviewDocument: TypedDocument<RemoveLinkPreviewMutation, RemoveLinkPreviewMutationVariables> = {
  name: 'RemoveLinkPreview',
  text: `mutation RemoveLinkPreview($messageId: ID!, $url: URL) {
  removeLinkPreview(messageId: $messageId, url: $url) {
    message {
      ...Message
    }
  }
}
${AttachmentText}
${LinkPreviewText}
${MessageText}
${ReactionText}
${UserText}`,
}

export const MembersDocument: TypedDocument<MembersQuery, MembersQueryVariables> = {
  name: 'Members',
  text: `query Members($channelId: ID!, $first: Int, $after: String) {
  channel(id: $channelId) {
    members(first: $first, after: $after) {
      edges {
        node {
          ...Member
        }
      }
      pageInfo {
        hasNextPage
        endCursor
      }
      totalCount
    }
  }
}
${MemberText}
${UserText}`,
}

export const AddMembersDocument: TypedDocument<AddMembersMutation, AddMembersMutationVariables> = {
  name: 'AddMembers',
  text: `mutation AddMembers($channelId: ID!, $userIds: [ID!]!) {
  addMembers(channelId: $channelId, userIds: $userIds) {
    channel {
      id
      memberCount
    }
  }
}`,
}

export const RemoveMemberDocument: TypedDocument<RemoveMemberMutation, RemoveMemberMutationVariables> = {
  name: 'RemoveMember',
  text: `mutation RemoveMember($channelId: ID!, $userId: ID!) {
  removeMember(channelId: $channelId, userId: $userId) {
    channel {
      id
      memberCount
    }
  }
}`,
}

export const SetMemberRoleDocument: TypedDocument<SetMemberRoleMutation, SetMemberRoleMutationVariables> = {
  name: 'SetMemberRole',
  text: `mutation SetMemberRole($channelId: ID!, $userId: ID!, $role: MemberRole!) {
  setMemberRole(channelId: $channelId, userId: $userId, role: $role) {
    channel {
      id
    }
  }
}`,
}

export const SetMessageExpiryDocument: TypedDocument<SetMessageExpiryMutation, SetMessageExpiryMutationVariables> = {
  name: 'SetMessageExpiry',
  text: `mutation SetMessageExpiry($channelId: ID!, $seconds: Int) {
  setMessageExpiry(channelId: $channelId, seconds: $seconds) {
    channel {
      ...Channel
    }
  }
}
${ChannelText}`,
}

export const HistoryDocument: TypedDocument<HistoryQuery, HistoryQueryVariables> = {
  name: 'History',
  text: `query History($channelId: ID!, $first: Int, $after: String, $last: Int, $before: String, $around: ID, $aroundSeq: Int, $aroundDate: DateTime) {
  channel(id: $channelId) {
    cursor
    firstSeq
    lastSeq
    messages(
      first: $first
      after: $after
      last: $last
      before: $before
      around: $around
      aroundSeq: $aroundSeq
      aroundDate: $aroundDate
    ) {
      ...MessagePage
    }
  }
}
${AttachmentText}
${LinkPreviewText}
${MessageText}
${ReactionText}
${MessagePageText}
${UserText}`,
}

export const MessageDocument: TypedDocument<MessageQuery, MessageQueryVariables> = {
  name: 'Message',
  text: `query Message($id: ID!) {
  node(id: $id) {
    __typename
    ...Message
  }
}
${AttachmentText}
${LinkPreviewText}
${MessageText}
${ReactionText}
${UserText}`,
}

export const MessageThreadDocument: TypedDocument<MessageThreadQuery, MessageThreadQueryVariables> = {
  name: 'MessageThread',
  text: `query MessageThread($id: ID!, $first: Int, $after: String) {
  node(id: $id) {
    __typename
    ... on Message {
      ...Message
      viewerThread {
        ...ThreadState
      }
      replies(first: $first, after: $after) {
        ...MessagePage
      }
    }
  }
}
${AttachmentText}
${LinkPreviewText}
${MessageText}
${ReactionText}
${MessagePageText}
${ThreadStateText}
${UserText}`,
}

export const PinnedMessagesDocument: TypedDocument<PinnedMessagesQuery, PinnedMessagesQueryVariables> = {
  name: 'PinnedMessages',
  text: `query PinnedMessages($channelId: ID!, $first: Int, $after: String) {
  channel(id: $channelId) {
    pinnedMessages(first: $first, after: $after) {
      ...MessagePage
    }
  }
}
${AttachmentText}
${LinkPreviewText}
${MessageText}
${ReactionText}
${MessagePageText}
${UserText}`,
}

export const SendMessageDocument: TypedDocument<SendMessageMutation, SendMessageMutationVariables> = {
  name: 'SendMessage',
  text: `mutation SendMessage($input: SendMessageInput!) {
  sendMessage(input: $input) {
    message {
      ...Message
    }
  }
}
${AttachmentText}
${LinkPreviewText}
${MessageText}
${ReactionText}
${UserText}`,
}

export const EditMessageDocument: TypedDocument<EditMessageMutation, EditMessageMutationVariables> = {
  name: 'EditMessage',
  text: `mutation EditMessage($input: EditMessageInput!) {
  editMessage(input: $input) {
    message {
      ...Message
    }
  }
}
${AttachmentText}
${LinkPreviewText}
${MessageText}
${ReactionText}
${UserText}`,
}

export const DeleteMessageDocument: TypedDocument<DeleteMessageMutation, DeleteMessageMutationVariables> = {
  name: 'DeleteMessage',
  text: `mutation DeleteMessage($messageId: ID!, $reason: String) {
  deleteMessage(messageId: $messageId, reason: $reason) {
    message {
      ...Message
    }
  }
}
${AttachmentText}
${LinkPreviewText}
${MessageText}
${ReactionText}
${UserText}`,
}

export const AddReactionDocument: TypedDocument<AddReactionMutation, AddReactionMutationVariables> = {
  name: 'AddReaction',
  text: `mutation AddReaction($messageId: ID!, $emoji: String!) {
  addReaction(messageId: $messageId, emoji: $emoji) {
    message {
      ...Message
    }
  }
}
${AttachmentText}
${LinkPreviewText}
${MessageText}
${ReactionText}
${UserText}`,
}

export const RemoveReactionDocument: TypedDocument<RemoveReactionMutation, RemoveReactionMutationVariables> = {
  name: 'RemoveReaction',
  text: `mutation RemoveReaction($messageId: ID!, $emoji: String!) {
  removeReaction(messageId: $messageId, emoji: $emoji) {
    message {
      ...Message
    }
  }
}
${AttachmentText}
${LinkPreviewText}
${MessageText}
${ReactionText}
${UserText}`,
}

export const PinMessageDocument: TypedDocument<PinMessageMutation, PinMessageMutationVariables> = {
  name: 'PinMessage',
  text: `mutation PinMessage($messageId: ID!) {
  pinMessage(messageId: $messageId) {
    message {
      ...Message
    }
  }
}
${AttachmentText}
${LinkPreviewText}
${MessageText}
${ReactionText}
${UserText}`,
}

export const UnpinMessageDocument: TypedDocument<UnpinMessageMutation, UnpinMessageMutationVariables> = {
  name: 'UnpinMessage',
  text: `mutation UnpinMessage($messageId: ID!) {
  unpinMessage(messageId: $messageId) {
    message {
      ...Message
    }
  }
}
${AttachmentText}
${LinkPreviewText}
${MessageText}
${ReactionText}
${UserText}`,
}

export const MarkThreadReadDocument: TypedDocument<MarkThreadReadMutation, MarkThreadReadMutationVariables> = {
  name: 'MarkThreadRead',
  text: `mutation MarkThreadRead($messageId: ID!, $seq: Int!) {
  markThreadRead(messageId: $messageId, seq: $seq) {
    message {
      id
      viewerThread {
        ...ThreadState
      }
    }
  }
}
${ThreadStateText}`,
}

export const BanMemberDocument: TypedDocument<BanMemberMutation, BanMemberMutationVariables> = {
  name: 'BanMember',
  text: `mutation BanMember($channelId: ID!, $userId: ID!, $until: DateTime, $reason: String) {
  banMember(
    channelId: $channelId
    userId: $userId
    until: $until
    reason: $reason
  ) {
    channel {
      id
      memberCount
    }
  }
}`,
}

export const UnbanMemberDocument: TypedDocument<UnbanMemberMutation, UnbanMemberMutationVariables> = {
  name: 'UnbanMember',
  text: `mutation UnbanMember($channelId: ID!, $userId: ID!) {
  unbanMember(channelId: $channelId, userId: $userId) {
    channel {
      id
    }
  }
}`,
}

export const ChannelBansDocument: TypedDocument<ChannelBansQuery, ChannelBansQueryVariables> = {
  name: 'ChannelBans',
  text: `query ChannelBans($channelId: ID!, $first: Int, $after: String) {
  channelBans(channelId: $channelId, first: $first, after: $after) {
    edges {
      node {
        user {
          ...User
        }
        bannedBy {
          ...User
        }
        bannedAt
        until
        reason
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
${UserText}`,
}

export const SilenceMemberDocument: TypedDocument<SilenceMemberMutation, SilenceMemberMutationVariables> = {
  name: 'SilenceMember',
  text: `mutation SilenceMember($channelId: ID!, $userId: ID!, $until: DateTime, $reason: String) {
  silenceMember(
    channelId: $channelId
    userId: $userId
    until: $until
    reason: $reason
  ) {
    channel {
      id
    }
  }
}`,
}

export const SetSlowModeDocument: TypedDocument<SetSlowModeMutation, SetSlowModeMutationVariables> = {
  name: 'SetSlowMode',
  text: `mutation SetSlowMode($channelId: ID!, $seconds: Int) {
  setSlowMode(channelId: $channelId, seconds: $seconds) {
    channel {
      id
      slowModeSeconds
    }
  }
}`,
}

export const ReportMessageDocument: TypedDocument<ReportMessageMutation, ReportMessageMutationVariables> = {
  name: 'ReportMessage',
  text: `mutation ReportMessage($messageId: ID!, $reason: String!) {
  reportMessage(messageId: $messageId, reason: $reason)
}`,
}

export const ReportUserDocument: TypedDocument<ReportUserMutation, ReportUserMutationVariables> = {
  name: 'ReportUser',
  text: `mutation ReportUser($userId: ID!, $reason: String!) {
  reportUser(userId: $userId, reason: $reason)
}`,
}

export const ReportsDocument: TypedDocument<ReportsQuery, ReportsQueryVariables> = {
  name: 'Reports',
  text: `query Reports($channelId: ID, $status: ReportStatus, $first: Int, $after: String) {
  reports(channelId: $channelId, status: $status, first: $first, after: $after) {
    edges {
      node {
        ...Report
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
${ReportText}
${UserText}`,
}

export const ResolveReportDocument: TypedDocument<ResolveReportMutation, ResolveReportMutationVariables> = {
  name: 'ResolveReport',
  text: `mutation ResolveReport($id: ID!, $resolution: ReportResolution!, $note: String) {
  resolveReport(id: $id, resolution: $resolution, note: $note) {
    ...Report
  }
}
${ReportText}
${UserText}`,
}

export const DeleteReportedMessageDocument: TypedDocument<DeleteReportedMessageMutation, DeleteReportedMessageMutationVariables> = {
  name: 'DeleteReportedMessage',
  text: `mutation DeleteReportedMessage($id: ID!, $reason: String) {
  deleteReportedMessage(id: $id, reason: $reason) {
    ...Report
  }
}
${ReportText}
${UserText}`,
}

export const AuditLogDocument: TypedDocument<AuditLogQuery, AuditLogQueryVariables> = {
  name: 'AuditLog',
  text: `query AuditLog($channelId: ID, $first: Int, $after: String) {
  auditLog(channelId: $channelId, first: $first, after: $after) {
    edges {
      node {
        channelId
        at
        action
        actor {
          ...User
        }
        subject {
          ...User
        }
        messageId
        reportId
        reason
        content
        until
        roleBefore
        role
        seconds
        resolution
        hash
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
${UserText}`,
}

export const RemindersDocument: TypedDocument<RemindersQuery, RemindersQueryVariables> = {
  name: 'Reminders',
  text: `query Reminders($first: Int, $after: String) {
  reminders(first: $first, after: $after) {
    edges {
      node {
        ...Reminder
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
${AttachmentText}
${LinkPreviewText}
${MessageText}
${ReactionText}
${ReminderText}
${UserText}`,
}

export const CreateReminderDocument: TypedDocument<CreateReminderMutation, CreateReminderMutationVariables> = {
  name: 'CreateReminder',
  text: `mutation CreateReminder($input: CreateReminderInput!) {
  createReminder(input: $input) {
    ...Reminder
  }
}
${AttachmentText}
${LinkPreviewText}
${MessageText}
${ReactionText}
${ReminderText}
${UserText}`,
}

export const DeleteReminderDocument: TypedDocument<DeleteReminderMutation, DeleteReminderMutationVariables> = {
  name: 'DeleteReminder',
  text: `mutation DeleteReminder($id: ID!) {
  deleteReminder(id: $id)
}`,
}

export const ScheduledMessagesDocument: TypedDocument<ScheduledMessagesQuery, ScheduledMessagesQueryVariables> = {
  name: 'ScheduledMessages',
  text: `query ScheduledMessages($channelId: ID) {
  scheduledMessages(channelId: $channelId) {
    ...ScheduledMessage
  }
}
${ScheduledMessageText}`,
}

export const ScheduleMessageDocument: TypedDocument<ScheduleMessageMutation, ScheduleMessageMutationVariables> = {
  name: 'ScheduleMessage',
  text: `mutation ScheduleMessage($input: ScheduleMessageInput!) {
  scheduleMessage(input: $input) {
    ...ScheduledMessage
  }
}
${ScheduledMessageText}`,
}

export const UpdateScheduledMessageDocument: TypedDocument<UpdateScheduledMessageMutation, UpdateScheduledMessageMutationVariables> = {
  name: 'UpdateScheduledMessage',
  text: `mutation UpdateScheduledMessage($input: UpdateScheduledMessageInput!) {
  updateScheduledMessage(input: $input) {
    ...ScheduledMessage
  }
}
${ScheduledMessageText}`,
}

export const CancelScheduledMessageDocument: TypedDocument<CancelScheduledMessageMutation, CancelScheduledMessageMutationVariables> = {
  name: 'CancelScheduledMessage',
  text: `mutation CancelScheduledMessage($id: ID!) {
  cancelScheduledMessage(id: $id)
}`,
}

export const SearchMessagesDocument: TypedDocument<SearchMessagesQuery, SearchMessagesQueryVariables> = {
  name: 'SearchMessages',
  text: `query SearchMessages($query: String!, $channelId: ID, $authorId: ID, $sentBefore: DateTime, $sentAfter: DateTime, $first: Int, $after: String) {
  searchMessages(
    query: $query
    channelId: $channelId
    authorId: $authorId
    sentBefore: $sentBefore
    sentAfter: $sentAfter
    first: $first
    after: $after
  ) {
    edges {
      cursor
      node {
        ...Message
      }
      highlights {
        ...Highlight
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
${AttachmentText}
${LinkPreviewText}
${MessageText}
${ReactionText}
${HighlightText}
${UserText}`,
}

export const SettingsDocument: TypedDocument<SettingsQuery, SettingsQueryVariables> = {
  name: 'Settings',
  text: `query Settings {
  settings {
    ...Settings
  }
}
${SettingsText}`,
}

export const UpdateSettingsDocument: TypedDocument<UpdateSettingsMutation, UpdateSettingsMutationVariables> = {
  name: 'UpdateSettings',
  text: `mutation UpdateSettings($input: UpdateSettingsInput!) {
  updateSettings(input: $input) {
    ...Settings
  }
}
${SettingsText}`,
}

export const CreateMessageLinkDocument: TypedDocument<CreateMessageLinkMutation, CreateMessageLinkMutationVariables> = {
  name: 'CreateMessageLink',
  text: `mutation CreateMessageLink($messageId: ID!) {
  createMessageLink(messageId: $messageId) {
    code
    url
    visits
  }
}`,
}

export const ShortLinkDocument: TypedDocument<ShortLinkQuery, ShortLinkQueryVariables> = {
  name: 'ShortLink',
  text: `query ShortLink($code: String!) {
  shortLink(code: $code) {
    __typename
    ... on Invite {
      ...Invite
    }
    ... on MessageLink {
      message {
        ...Message
        channel {
          id
        }
      }
    }
  }
}
${AttachmentText}
${ChannelText}
${InviteText}
${LinkPreviewText}
${MessageText}
${ReactionText}
${UserText}`,
}

export const MessagesDocument: TypedDocument<MessagesSubscription, MessagesSubscriptionVariables> = {
  name: 'Messages',
  text: `subscription Messages($channelId: ID!, $after: String) {
  messages(channelId: $channelId, after: $after) {
    ...MessageEvent
  }
}
${AttachmentText}
${LinkPreviewText}
${MessageText}
${ReactionText}
${MessageEventText}
${UserText}`,
}

export const InboxDocument: TypedDocument<InboxSubscription, InboxSubscriptionVariables> = {
  name: 'Inbox',
  text: `subscription Inbox($after: [String!]) {
  inbox(after: $after) {
    __typename
    ... on Event {
      stream
      cursor
    }
    ... on MessageEvent {
      ...MessageEvent
    }
    ... on MembershipEvent {
      channel {
        ...Channel
        cursor
      }
      user {
        ...User
      }
      member {
        ...Member
      }
    }
    ... on ChannelUpdatedEvent {
      channel {
        ...Channel
      }
    }
    ... on ReadStateEvent {
      channel {
        id
      }
      lastReadSeq
    }
    ... on ActivityEvent {
      activityId
      activity {
        ...Activity
      }
      unreadCount
      readUpTo
    }
    ... on ReminderEvent {
      reminder {
        ...Reminder
      }
    }
  }
}
${ActivityText}
${AttachmentText}
${ChannelText}
${LinkPreviewText}
${MemberText}
${MessageText}
${ReactionText}
${ReminderText}
${MessageEventText}
${UserText}`,
}

export const PresenceDocument: TypedDocument<PresenceSubscription, PresenceSubscriptionVariables> = {
  name: 'Presence',
  text: `subscription Presence($userIds: [ID!]!) {
  presence(userIds: $userIds) {
    user {
      id
    }
    presence {
      ...Presence
    }
  }
}
${PresenceText}`,
}

export const TypingDocument: TypedDocument<TypingSubscription, TypingSubscriptionVariables> = {
  name: 'Typing',
  text: `subscription Typing($channelId: ID!) {
  typing(channelId: $channelId) {
    user {
      ...User
    }
    typing
  }
}
${UserText}`,
}

export const ReadReceiptsDocument: TypedDocument<ReadReceiptsSubscription, ReadReceiptsSubscriptionVariables> = {
  name: 'ReadReceipts',
  text: `subscription ReadReceipts($channelId: ID!) {
  readReceipts(channelId: $channelId) {
    user {
      id
    }
    lastReadSeq
  }
}`,
}

export const ViewerDocument: TypedDocument<ViewerQuery, ViewerQueryVariables> = {
  name: 'Viewer',
  text: `query Viewer {
  viewer {
    ...User
  }
}
${UserText}`,
}

export const UserDocument: TypedDocument<UserQuery, UserQueryVariables> = {
  name: 'User',
  text: `query User($username: String!) {
  user(username: $username) {
    ...User
    createdAt
    presence {
      ...Presence
    }
  }
}
${UserText}
${PresenceText}`,
}

export const SignUpDocument: TypedDocument<SignUpMutation, SignUpMutationVariables> = {
  name: 'SignUp',
  text: `mutation SignUp($input: SignUpInput!) {
  signUp(input: $input) {
    ...Session
  }
}
${UserText}
${SessionText}`,
}

export const SignInDocument: TypedDocument<SignInMutation, SignInMutationVariables> = {
  name: 'SignIn',
  text: `mutation SignIn($input: SignInInput!) {
  signIn(input: $input) {
    ...Session
  }
}
${UserText}
${SessionText}`,
}

export const RefreshSessionDocument: TypedDocument<RefreshSessionMutation, RefreshSessionMutationVariables> = {
  name: 'RefreshSession',
  text: `mutation RefreshSession($refreshToken: String!) {
  refreshSession(refreshToken: $refreshToken) {
    ...Session
  }
}
${UserText}
${SessionText}`,
}

export const SignOutDocument: TypedDocument<SignOutMutation, SignOutMutationVariables> = {
  name: 'SignOut',
  text: `mutation SignOut($refreshToken: String!) {
  signOut(refreshToken: $refreshToken)
}`,
}

export const UpdateProfileDocument: TypedDocument<UpdateProfileMutation, UpdateProfileMutationVariables> = {
  name: 'UpdateProfile',
  text: `mutation UpdateProfile($input: UpdateProfileInput!) {
  updateProfile(input: $input) {
    ...User
  }
}
${UserText}`,
}

export const SetPresenceDocument: TypedDocument<SetPresenceMutation, SetPresenceMutationVariables> = {
  name: 'SetPresence',
  text: `mutation SetPresence($status: PresenceStatus!, $statusText: String) {
  setPresence(status: $status, statusText: $statusText) {
    ...Presence
  }
}
${PresenceText}`,
}
