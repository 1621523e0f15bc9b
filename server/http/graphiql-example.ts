/** What GraphiQL opens on: a first conversation, every step of which works as it stands. */
export const exampleDocument = `# Welcome to Maru. The book at the top left shows
# everything that the server can do.
#
# Press the play button and choose an operation, or
# put the cursor into one and press Ctrl-Enter
# (Cmd-Enter on a Mac). From the top:

# 1. Make an account: you stay signed in here.
#    Is the name taken? Choose another one.
mutation SignUp {
  signUp(
    input: {
      username: "alice"
      password: "a long password"
    }
  ) {
    viewer {
      id
      username
    }
    # For your own programs, as the header
    # Authorization: Bearer ...
    accessToken
    accessTokenExpiresAt
  }
}

# Whoever has an account comes back by this.
mutation SignIn {
  signIn(
    input: {
      username: "alice"
      password: "a long password"
    }
  ) {
    viewer {
      id
      username
    }
    accessToken
    accessTokenExpiresAt
  }
}

# 2. Watch all that concerns you, live. It goes on
#    until you stop it: take the next steps in a
#    second browser tab, and see them arrive here.
subscription Inbox {
  inbox {
    __typename
    ... on Event {
      stream
      cursor
    }
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

# 3. Open a channel that others can find.
mutation CreateChannel {
  createChannel(
    input: { kind: PUBLIC, name: "first-steps" }
  ) {
    channel {
      id
      name
    }
  }
}

# 4. Say something in it: put the channel's id from
#    the answer to 3 into the Variables below.
mutation SendMessage($channelId: ID!) {
  sendMessage(
    input: {
      channelId: $channelId
      content: "Hello, world!"
    }
  ) {
    message {
      id
      seq
      content
      createdAt
    }
  }
}

# 5. See your channels, and what was said last.
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

# 6. Find what others have opened, and join it:
#    again by its id in the Variables.
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
