import { createServer } from 'node:http'
import { ApolloServer } from '@apollo/server'
import { ApolloServerPluginDrainHttpServer } from '@apollo/server/plugin/drainHttpServer'
import { expressMiddleware } from '@as-integrations/express5'
import { makeExecutableSchema } from '@graphql-tools/schema'
import cors from 'cors'
import express from 'express'
import { PubSub } from 'graphql-subscriptions'
import { useServer } from 'graphql-ws/use/ws'
import { WebSocketServer } from 'ws'
import { listening } from './listening.js'
import { messageOf, typeDefs } from './schema.js'

// As https://www.apollographql.com/docs/apollo-server/data/subscriptions shows it: PubSub of graphql-subscriptions, and
// graphql-ws beside Apollo Server on one HTTP server.
const pubsub = new PubSub()
const schema = makeExecutableSchema({
  typeDefs,
  resolvers: {
    Mutation: {
      sendMessage(_, { channelId, content }) {
        const message = messageOf(channelId, content)
        pubsub.publish(`MESSAGES_${channelId}`, { messages: message })
        return message
      },
    },
    Subscription: {
      messages: { subscribe: (_, { channelId }) => pubsub.asyncIterableIterator([`MESSAGES_${channelId}`]) },
    },
  },
})
const app = express()
const server = createServer(app)
const sockets = new WebSocketServer({ server, path: '/graphql' })
const cleanup = useServer({ schema }, sockets)
const apollo = new ApolloServer({
  schema,
  plugins: [
    ApolloServerPluginDrainHttpServer({ httpServer: server }),
    { serverWillStart: async () => ({ drainServer: () => cleanup.dispose() }) },
  ],
})
await apollo.start()
app.use('/graphql', cors(), express.json(), expressMiddleware(apollo))
listening(server)
