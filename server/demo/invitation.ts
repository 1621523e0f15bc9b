/** What to do, in so many words, to watch a channel in GraphiQL. */
export const invitation = (url: string, name: string, channelId: string): string => `
They are in the channel "${name}". To watch them:

  1. Open ${url} in a browser and sign up there: the page opens on an example that does it.
  2. Paste this into a new tab of the page, run Join, then Watch (Ctrl-Enter runs where the cursor is):

mutation Join {
  joinChannel(channelId: "${channelId}") {
    channel {
      name
      memberCount
    }
  }
}

subscription Watch {
  messages(channelId: "${channelId}") {
    kind
    message {
      seq
      author {
        displayName
      }
      content
      replyTo {
        author {
          displayName
        }
        content
      }
    }
  }
}
`
