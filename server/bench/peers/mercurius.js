import Fastify from 'fastify'
import mercurius from 'mercurius'
import { messageOf, typeDefs } from './schema.js'

// As https://mercurius.dev/#/docs/subscriptions shows it under "Subscription support (simple)".
const app = Fastify()
app.register(mercurius, {
  schema: typeDefs,
  resolvers: {
    Mutation: {
      async sendMessage(_, { channelId, content }, { pubsub }) {
        const message = messageOf(channelId, content)
        await pubsub.publish({ topic: `MESSAGES_${channelId}`, payload: { messages: message } })
        return message
      },
    },
    Subscription: {
      messages: { subscribe: async (_, { channelId }, { pubsub }) => await pubsub.subscribe(`MESSAGES_${channelId}`) },
    },
  },
  subscription: true,
})
await app.listen({ port: 0, host: '127.0.0.1' })
process.stdout.write(`${JSON.stringify({ port: app.server.address().port })}\n`)
