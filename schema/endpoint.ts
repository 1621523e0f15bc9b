import type { Endpoint } from '../server/domain/endpoint.ts'
import { builder, ofViewer } from './builder.ts'

const endpointType = builder.objectRef<Endpoint>('Endpoint').implement({
  description:
    'Where a client should open its subscription socket now. Ask before each connection, and connect before it ' +
    'expires; where that fails, use the address that the API is reached by for the next attempt, and ask again for ' +
    'the one after. Any other replica serves as well. All sockets of a viewer are sent to one replica, so that ' +
    'whoever has more than one takes of one user needs that other address for the rest.',
  fields: (t) => ({
    url: t.exposeString('url', { description: 'A wss:// or ws:// address, path and all.' }),
    expiresAt: t.field({ description: 'Ask again after this.', type: 'DateTime', resolve: ({ expiresAt }) => expiresAt }),
  }),
})

builder.queryFields((t) => ({
  endpoint: t.field({
    ...ofViewer,
    description: 'The same for all devices of a viewer, as long as there is room. Signed in or not.',
    type: endpointType,
    resolve: (_source, _args, { viewer, services, ip }) => services.endpoint.find(viewer?.userId ?? null, ip ?? ''),
  }),
}))
