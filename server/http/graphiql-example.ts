/** What GraphiQL opens on: a first conversation, every step of which works as it stands. */
export const exampleDocument = `# Welcome to Maru. Everything the server can do is in its schema: the book at the top left shows it.
#
# Put the cursor into an operation below and press Ctrl-Enter (Cmd-Enter on a Mac), from the top down.

# 1. Make an account. Your browser stays signed in, here and in other tabs.
#    If the name is taken, choose another. If it is you who took it, go on with SignIn.
mutation SignUp {
  signUp(input: { username: "alice", password: "a long password, please" }) {
    viewer {
      id
      username
    }
    accessToken # for your own programs: Authorization: Bearer ...
    accessTokenExpiresAt
  }
}

mutation SignIn {
  signIn(input: { username: "alice", password: "a long password, please" }) {
    viewer {
      id
      username
    }
    accessToken
    accessTokenExpiresAt
  }
}

# 2. Watch everything that concerns you, live. It runs until you stop it:
#    open this page in a second browser tab for the steps below, and watch them arrive here.
subscription Inbox {
  inbox {
    __typename
    stream
    cursor
    ... on MessageEvent {
      kind
      message {
        seq
        author {
          username
        }
        content
        channel {
          name
        }
      }
    }
    ... on MembershipEvent {
      user {
        username
      }
      channel {
        name
      }
    }
    ... on ReadStateEvent {
      lastReadSeq
    }
  }
}

# 3. Open a channel that others can find and join.
mutation CreateChannel {
  createChannel(input: { kind: PUBLIC, name: "first-steps", topic: "Trying out Maru" }) {
    channel {
      id
      name
    }
  }
}

# 4. Say something in it. Put the id of the channel into the Variables below: { "channelId": "..." }
mutation SendMessage($channelId: ID!) {
  sendMessage(input: { channelId: $channelId, content: "Hello, world!" }) {
    message {
      id
      seq
      content
      createdAt
    }
  }
}

# 5. See your channels, with the latest of what was said.
query Channels {
  channels(first: 20) {
    edges {
      node {
        id
        kind
        name
        unreadCount
        messages(last: 10) {
          edges {
            node {
              seq
              author {
                username
              }
              content
            }
          }
        }
      }
    }
  }
}

# 6. Find a channel that somebody else has opened, and join it with its id in the Variables.
query PublicChannels {
  publicChannels(first: 20) {
    edges {
      node {
        id
        name
        topic
        memberCount
      }
    }
  }
}

mutation JoinChannel($channelId: ID!) {
  joinChannel(channelId: $channelId) {
    channel {
      name
      memberCount
    }
  }
}
`

/** What the variables pane opens with. */
export const exampleVariables = `{
  "channelId": ""
}
`
