import { createServer } from 'node:http'
import { useServer } from 'graphql-ws/use/ws'
import { createPubSub, createSchema, createYoga } from 'graphql-yoga'
import { WebSocketServer } from 'ws'
import { listening } from './listening.js'
import { messageOf, typeDefs } from './schema.js'

// As https://the-guild.dev/graphql/yoga-server/docs/features/subscriptions shows it: the pub/sub of Yoga, and graphql-ws
// on Yoga's own execution.
const pubSub = createPubSub()
const yoga = createYoga({
  logging: false,
  graphiql: { subscriptionsProtocol: 'WS' },
  schema: createSchema({
    typeDefs,
    resolvers: {
      Mutation: {
        sendMessage(_, { channelId, content }) {
          const message = messageOf(channelId, content)
          pubSub.publish('messages', channelId, message)
          return message
        },
      },
      Subscription: {
        messages: {
          subscribe: (_, { channelId }) => pubSub.subscribe('messages', channelId),
          resolve: (payload) => payload,
        },
      },
    },
  }),
})
const server = createServer(yoga)
useServer(
  {
    execute: (args) => args.rootValue.execute(args),
    subscribe: (args) => args.rootValue.subscribe(args),
    onSubscribe: async (ctx, _id, params) => {
      const { schema, execute, subscribe, contextFactory, parse, validate } = yoga.getEnveloped({
        ...ctx,
        req: ctx.extra.request,
        socket: ctx.extra.socket,
        params,
      })
      const args = {
        schema,
        operationName: params.operationName,
        document: parse(params.query),
        variableValues: params.variables,
        contextValue: await contextFactory(),
        rootValue: { execute, subscribe },
      }
      const errors = validate(args.schema, args.document)
      return errors.length > 0 ? errors : args
    },
  },
  new WebSocketServer({ server, path: yoga.graphqlEndpoint }),
)
listening(server)
