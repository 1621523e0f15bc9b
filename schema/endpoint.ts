import type { Endpoint } from '../server/domain/endpoint.ts'
import { builder, ofViewer } from './builder.ts'

const endpointType = builder.objectRef<Endpoint>('Endpoint').implement({
  description:
    'Where a client should open its subscription socket now. Ask before each connection, and connect before it ' +
    'expires; where that fails, ask again, or use the address that the API is reached by. Any other replica serves ' +
    'as well.',
  fields: (t) => ({
    url: t.exposeString('url', { description: 'A wss:// or ws:// address, path and all.' }),
    expiresAt: t.field({ type: 'DateTime', resolve: ({ expiresAt }) => expiresAt }),
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
