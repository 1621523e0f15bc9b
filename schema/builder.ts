import SchemaBuilder from '@pothos/core'
import type { Context } from './context.ts'

/** The one builder. Types and fields are added to it by the files beside this one. */
export const builder = new SchemaBuilder<{
  Context: Context
  DefaultFieldNullability: false
  Scalars: {
    ID: { Input: string; Output: string }
    DateTime: { Input: Date; Output: Date }
    URL: { Input: string; Output: string }
  }
}>({ defaultFieldNullability: false })

/**
 * Marks a field whose answer, or whether there is one, depends on who asks. Subscriptions that select none of these can be answered once for all
 * who are told of an event.
 */
export const ofViewer = { extensions: { dependsOnViewer: true } }

builder.queryType({ description: 'What is there, as the viewer may see it.' })
builder.mutationType({ description: 'What can be done. The mutations of one operation are done one after the other.' })
builder.subscriptionType({ description: 'What happens, as it happens: over a WebSocket, by `graphql-transport-ws`.' })
